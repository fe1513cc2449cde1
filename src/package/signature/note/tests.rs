//! Notes are read in one spelling only, and signatures hold for nothing but their statement.

use super::*;

fn statement() -> Statement {
    Statement {
        name: "stats".into(),
        version: "1.4.2".into(),
        sha256: [0xab; 32],
        sequence: 17,
        not_before: Moment::parse("2026-11-01T00:00:00Z").unwrap(),
        expires: Moment::parse("2027-11-01T00:00:00Z").unwrap(),
        min_host: Some("0.7.0".into()),
        isolation_minimum: Some(3),
        permissions_sha256: Some([0xcd; 32]),
    }
}

fn secret(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

fn note() -> Note {
    let mut note = Note::new(statement()).unwrap();
    note.sign("acme-release", &secret(1)).unwrap();
    note.sign("acme-security", &secret(2)).unwrap();
    note
}

#[test]
fn what_is_written_is_read_and_verifies() {
    let text = note().to_text();
    let beginning = "gk-plugin-signature v1\nname: stats\nversion: 1.4.2\nsha256: abababababababababababababababababababababababababababababababab\nsequence: 17\nnot-before: 2026-11-01T00:00:00Z\nexpires: 2027-11-01T00:00:00Z\nmin-host: 0.7.0\nisolation-minimum: 3\npermissions-sha256: cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd\n\n— acme-release ";
    assert!(text.starts_with(beginning), "{text}");
    let read = Note::parse(text.as_bytes()).unwrap();
    assert_eq!(read, note());
    assert!(read.is_signed(&read.signatures[0], &secret(1).public()));
    assert!(read.is_signed(&read.signatures[1], &secret(2).public()));
    assert!(!read.is_signed(&read.signatures[0], &secret(2).public()));
}

#[test]
fn every_changed_byte_is_noticed() {
    let text = note().to_text().into_bytes();
    let statement_bytes = statement().to_text().len();
    for at in 0..statement_bytes {
        let mut changed = text.clone();
        changed[at] ^= 1;
        if let Ok(read) = Note::parse(&changed) {
            assert!(!read.is_signed(&read.signatures[0], &secret(1).public()), "byte {at} does not count");
        }
    }
}

#[test]
fn a_signature_of_another_kind_is_none_here() {
    let mut read = note();
    // What `.sig` signs: the bare digest; and the text without its domain.
    for message in [statement().sha256.to_vec(), statement().to_text().into_bytes()] {
        read.signatures[0].signature = secret(1).sign(&message);
        assert!(!read.is_signed(&read.signatures[0], &secret(1).public()));
    }
}

#[test]
fn optional_fields_may_be_absent() {
    let short = Statement { min_host: None, isolation_minimum: None, permissions_sha256: None, ..statement() };
    let mut note = Note::new(short).unwrap();
    note.sign("a", &secret(1)).unwrap();
    assert_eq!(Note::parse(note.to_text().as_bytes()).unwrap(), note);
}

#[test]
fn other_spellings_are_refused() {
    let good = note().to_text();
    let swap = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replacen(from, to, 1)
    };
    let mut refused = vec![
        String::new(),
        good.replace('\n', "\r\n"),
        format!("{good}\n"),
        format!(" {good}"),
        format!("\u{feff}{good}"),
        good.trim_end().to_owned(),
        good.split("— ").next().unwrap().to_owned(),
        swap("v1", "v2"),
        swap("name: stats\n", ""),
        swap("name: stats\n", "name: stats\nname: stats\n"),
        swap("name: stats\nversion: 1.4.2", "version: 1.4.2\nname: stats"),
        swap("name: stats", "name:stats"),
        swap("name: stats", "name: stats "),
        swap("name: stats", "name: Stats"),
        swap("name: stats", "name: ../x"),
        swap("version: 1.4.2", "version: 1/2"),
        swap("version: 1.4.2", "version: "),
        swap("sha256: ab", "sha256: AB"),
        swap("sha256: ab", "sha256: "),
        swap("sequence: 17", "sequence: 017"),
        swap("sequence: 17", "sequence: +17"),
        swap("sequence: 17", "sequence: -1"),
        swap("sequence: 17", "sequence: 18446744073709551616"),
        swap("2026-11-01T00:00:00Z", "2026-11-01"),
        swap("2027-11-01T00:00:00Z", "2026-11-01T00:00:00Z"),
        swap("isolation-minimum: 3", "isolation-minimum: 5"),
        swap("min-host: 0.7.0", "min-host: x"),
        swap("min-host", "max-host"),
        swap("\n\n", "\nextra: 1\n\n"),
        swap("— acme-release", "- acme-release"),
        swap("— acme-release", "—  acme-release"),
        swap("acme-release ", "Acme "),
        swap("acme-release ", ""),
        swap("==\n", "=\n"),
        swap("==\n", "== x\n"),
    ];
    let line = good.lines().last().unwrap();
    refused.push(format!("{good}{line}\n"));
    refused.push(good.replacen(line, &line[..line.len() - 4], 1));
    for text in refused {
        assert_eq!(Note::parse(text.as_bytes()).unwrap_err().code(), ErrorCode::SignatureMalformed, "{text:?}");
    }
}

#[test]
fn a_note_has_a_bounded_number_of_signatures() {
    let mut note = Note::new(statement()).unwrap();
    for seed in 1..=16 {
        note.sign("k", &secret(seed)).unwrap();
    }
    assert!(Note::parse(note.to_text().as_bytes()).is_ok());
    assert_eq!(note.sign("k", &secret(17)).unwrap_err().code(), ErrorCode::SignatureMalformed);
    note.sign("again", &secret(1)).unwrap();
    assert_eq!(note.signatures.len(), 16);
}

#[test]
fn nothing_is_signed_that_would_not_be_read() {
    let bad = [
        Statement { name: "a\nb".into(), ..statement() },
        Statement { version: "1\n".into(), ..statement() },
        Statement { min_host: Some("1\nx: y".into()), ..statement() },
        Statement { isolation_minimum: Some(9), ..statement() },
    ];
    for statement in bad {
        assert_eq!(Note::new(statement.clone()).unwrap_err().code(), ErrorCode::SignatureMalformed, "{statement:?}");
    }
    assert_eq!(note().sign("a b", &secret(3)).unwrap_err().code(), ErrorCode::SignatureMalformed);
}
