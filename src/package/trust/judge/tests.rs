//! Every status, in both directions.

use super::*;
use crate::package::signature::SecretKey;
use crate::package::trust::document::{Revocation, Role};

const FILE: [u8; 32] = [0x11; 32];
const ASKED: [u8; 32] = [0x22; 32];

fn secret(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

fn moment(text: &str) -> Moment {
    Moment::parse(text).unwrap()
}

fn now() -> Moment {
    moment("2026-11-22T12:00:00Z")
}

fn key(seed: u8, label: &str) -> TrustedKey {
    TrustedKey::new(&secret(seed).public(), label, vec!["stats".into(), "acme-*".into()])
}

fn document(keys: Vec<TrustedKey>) -> TrustDocument {
    TrustDocument { keys, ..TrustDocument::default() }
}

fn subject<'a>() -> Subject<'a> {
    Subject { name: "stats", version: "1.4.2", permissions_sha256: Some(ASKED) }
}

fn statement() -> Statement {
    Statement {
        name: "stats".into(),
        version: "1.4.2".into(),
        sha256: FILE,
        sequence: 17,
        not_before: moment("2026-11-01T00:00:00Z"),
        expires: moment("2027-11-01T00:00:00Z"),
        min_host: None,
        isolation_minimum: None,
        permissions_sha256: Some(ASKED),
    }
}

fn sig(seed: u8) -> String {
    Detached::sign(&FILE, &secret(seed)).to_text()
}

fn note(statement: Statement, seeds: &[u8]) -> String {
    let mut note = Note::new(statement).unwrap();
    for seed in seeds {
        note.sign("k", &secret(*seed)).unwrap();
    }
    note.to_text()
}

/// Judges everything that can be judged.
fn judge(document: &TrustDocument, mode: Mode, sig: Option<&str>, note: Option<&str>) -> Result<Verified> {
    judge_at(document, mode, sig, note, &subject(), &History::default(), now())
}

fn judge_at(
    document: &TrustDocument,
    mode: Mode,
    sig: Option<&str>,
    note: Option<&str>,
    subject: &Subject<'_>,
    history: &History,
    now: Moment,
) -> Result<Verified> {
    let evidence = Evidence { sha256: FILE, detached: sig.map(str::as_bytes), note: note.map(str::as_bytes) };
    let verified = TrustStore::new(document)?.judge(mode, &evidence, now)?;
    verified.check_subject(subject)?;
    verified.check_history(subject, history)?;
    Ok(verified)
}

fn refused(result: Result<Verified>) -> (&'static str, &'static str) {
    let code = result.unwrap_err().code();
    (code.slug(), Status::of(code).map_or("-", |status| status.name()))
}

#[test]
fn a_signature_of_a_trusted_key_holds_in_both_modes() {
    let trust = document(vec![key(1, "a"), key(2, "b")]);
    for mode in [Mode::Optional, Mode::Required] {
        for (sig, note) in [
            (Some(sig(2)), None),
            (None, Some(note(statement(), &[2]))),
            (Some(sig(2)), Some(note(statement(), &[2]))),
            (Some(sig(1)), Some(note(statement(), &[2]))),
        ] {
            let verified = judge(&trust, mode, sig.as_deref(), note.as_deref()).unwrap();
            assert_eq!(verified.status(), Status::Verified { key: secret(2).public().id(), label: "b".into() });
        }
    }
}

#[test]
fn unsigned_is_refused_only_where_a_signature_is_required() {
    let trust = document(vec![key(1, "a")]);
    assert_eq!(judge(&trust, Mode::Optional, None, None).unwrap().status(), Status::Unsigned);
    assert_eq!(refused(judge(&trust, Mode::Required, None, None)), ("signature.unsigned", "unsigned"));
    let empty = document(vec![]);
    assert_eq!(refused(judge(&empty, Mode::Required, None, None)), ("signature.unsigned", "unsigned"));
    let signed = sig(1);
    assert_eq!(
        refused(judge(&empty, Mode::Required, Some(&signed), None)),
        ("signature.untrusted_key", "untrusted_key")
    );
}

#[test]
fn what_is_there_must_hold_in_both_modes() {
    let trust = document(vec![key(1, "a")]);
    let wrong_file = Detached::sign(&[0x12; 32], &secret(1)).to_text();
    let other_file = note(Statement { sha256: [0x12; 32], ..statement() }, &[1]);
    let good_note = note(statement(), &[1]);
    let stranger = note(statement(), &[9]);
    let good = sig(1);
    let forged = good_note.replace("sequence: 17", "sequence: 99");
    let bad = ("signature.bad_signature", "bad_signature");
    let malformed = ("signature.malformed", "bad_signature");
    let untrusted = ("signature.untrusted_key", "untrusted_key");
    let stranger_sig = sig(9);
    for mode in [Mode::Optional, Mode::Required] {
        for (sig, note, expected) in [
            (Some(stranger_sig.as_str()), None, bad),
            (Some(wrong_file.as_str()), None, bad),
            (Some(""), None, malformed),
            (None, Some(""), malformed),
            (None, Some(other_file.as_str()), bad),
            (None, Some(forged.as_str()), bad),
            (None, Some(stranger.as_str()), untrusted),
            (Some(good.as_str()), Some(forged.as_str()), bad),
            (Some(good.as_str()), Some(stranger.as_str()), untrusted),
            (Some(wrong_file.as_str()), Some(good_note.as_str()), bad),
        ] {
            assert_eq!(refused(judge(&trust, mode, sig, note)), expected, "{sig:?} {note:?}");
        }
    }
}

#[test]
fn one_wrong_signature_under_a_trusted_key_spoils_the_note() {
    let trust = document(vec![key(1, "a"), key(2, "b")]);
    let good = note(statement(), &[1, 2]);
    assert_eq!(judge(&trust, Mode::Required, None, Some(&good)).unwrap().signers().len(), 2);
    let other = note(Statement { sequence: 18, ..statement() }, &[1, 2]);
    let (mut lines, others): (Vec<&str>, Vec<&str>) = (good.lines().collect(), other.lines().collect());
    let last = lines.len() - 1;
    lines[last] = others[last];
    let mixed = lines.join("\n") + "\n";
    assert_eq!(refused(judge(&trust, Mode::Required, None, Some(&mixed))).0, "signature.bad_signature");
    // The signature of a stranger neither helps nor hurts.
    let with_stranger = note(statement(), &[1, 9]);
    assert_eq!(judge(&trust, Mode::Required, None, Some(&with_stranger)).unwrap().signers().len(), 1);
}

#[test]
fn a_key_signs_only_the_names_it_is_trusted_for() {
    let trust = document(vec![key(1, "a")]);
    let signed = sig(1);
    for (name, is_allowed) in
        [("stats", true), ("acme-x", true), ("acme-", true), ("acme", false), ("stats2", false), ("x-acme-y", false)]
    {
        let subject = Subject { name, ..subject() };
        let verdict = judge_at(&trust, Mode::Required, Some(&signed), None, &subject, &History::default(), now());
        assert_eq!(verdict.is_ok(), is_allowed, "{name}");
        if !is_allowed {
            assert_eq!(refused(verdict), ("signature.untrusted_key", "untrusted_key"));
        }
    }
    let mut nothing = key(1, "a");
    nothing.names.clear();
    assert_eq!(
        refused(judge(&document(vec![nothing]), Mode::Required, Some(&signed), None)).0,
        "signature.untrusted_key"
    );
}

#[test]
fn keys_and_notes_hold_for_their_time_only() {
    let mut ending = key(1, "a");
    ending.not_before = Some(moment("2026-01-01T00:00:00Z"));
    ending.not_after = Some(moment("2027-01-01T00:00:00Z"));
    let trust = document(vec![ending]);
    let (signed, noted) = (sig(1), note(statement(), &[1]));
    let at = |time: &str, sig: Option<&str>, note: Option<&str>| {
        judge_at(&trust, Mode::Optional, sig, note, &subject(), &History::default(), moment(time))
    };
    for (time, by_sig, by_note) in [
        ("2025-12-31T23:59:59Z", false, false),
        ("2026-01-01T00:00:00Z", true, false),
        ("2026-10-31T23:59:59Z", true, false),
        ("2026-11-01T00:00:00Z", true, true),
        ("2026-12-31T23:59:59Z", true, true),
        ("2027-01-01T00:00:00Z", false, false),
    ] {
        for (verdict, is_good) in [(at(time, Some(&signed), None), by_sig), (at(time, None, Some(&noted)), by_note)] {
            assert_eq!(verdict.is_ok(), is_good, "{time}");
            if !is_good {
                assert_eq!(refused(verdict), ("signature.expired", "expired"), "{time}");
            }
        }
    }
    let lasting = document(vec![key(1, "a")]);
    let late = moment("2027-11-01T00:00:00Z");
    let verdict = judge_at(&lasting, Mode::Optional, None, Some(&noted), &subject(), &History::default(), late);
    assert_eq!(refused(verdict), ("signature.expired", "expired"));
}

#[test]
fn revoked_keys_and_contents_are_refused() {
    let mut lost = key(1, "a");
    lost.revoked = Some(Revocation { date: moment("2026-11-01T00:00:00Z"), reason: "lost".into() });
    let trust = document(vec![lost, key(2, "b")]);
    let (signed, by_lost) = (sig(1), note(statement(), &[1]));
    for mode in [Mode::Optional, Mode::Required] {
        assert_eq!(refused(judge(&trust, mode, Some(&signed), None)), ("signature.revoked", "revoked"));
        assert_eq!(refused(judge(&trust, mode, None, Some(&by_lost))), ("signature.revoked", "revoked"));
    }
    // Rotation: signed with the old and the new key.
    let both = note(statement(), &[1, 2]);
    assert_eq!(
        judge(&trust, Mode::Required, None, Some(&both)).unwrap().signers(),
        [(secret(2).public().id(), "b".into())]
    );
    let mut trust = document(vec![key(1, "a")]);
    trust.revoke_content(&"11".repeat(32), Revocation { date: now(), reason: String::new() }).unwrap();
    assert_eq!(refused(judge(&trust, Mode::Optional, Some(&signed), None)).0, "signature.revoked");
    assert_eq!(refused(judge(&trust, Mode::Optional, None, None)).0, "signature.revoked", "unsigned too");
}

#[test]
fn a_note_binds_name_version_and_permissions() {
    let trust = document(vec![key(1, "a")]);
    let noted = note(statement(), &[1]);
    for (subject, expected) in [
        (Subject { name: "acme-x", ..subject() }, "signature.name_mismatch"),
        (Subject { version: "1.4.3", ..subject() }, "signature.name_mismatch"),
        (Subject { permissions_sha256: Some([0; 32]), ..subject() }, "signature.permissions_mismatch"),
    ] {
        let verdict = judge_at(&trust, Mode::Optional, None, Some(&noted), &subject, &History::default(), now());
        assert_eq!(refused(verdict), (expected, "name_mismatch"));
    }
    let newer = note(Statement { min_host: Some("99.0.0".into()), ..statement() }, &[1]);
    assert_eq!(refused(judge(&trust, Mode::Optional, None, Some(&newer))).0, "signature.host_too_old");
    let older = note(Statement { min_host: Some("0.0.1".into()), ..statement() }, &[1]);
    assert!(judge(&trust, Mode::Optional, None, Some(&older)).is_ok());
}

#[test]
fn as_many_must_sign_as_the_threshold_says() {
    let with_role = |seed, label, role| TrustedKey { roles: vec![role], ..key(seed, label) };
    let mut trust = document(vec![
        with_role(1, "r1", Role::Release),
        with_role(2, "r2", Role::Release),
        with_role(3, "s1", Role::Security),
        with_role(4, "d1", Role::Dev),
    ]);
    let rule = |name: &str, roles: &[Role], count| Threshold { name: name.into(), roles: roles.to_vec(), count };
    trust.thresholds = vec![rule("stat*", &[Role::Release, Role::Security], 2), rule("other", &[Role::Dev], 9)];
    let verdict =
        |trust: &TrustDocument, seeds: &[u8]| judge(trust, Mode::Optional, None, Some(&note(statement(), seeds)));
    for (seeds, is_enough) in
        [(&[1][..], false), (&[1, 4], false), (&[1, 9], false), (&[1, 2], true), (&[1, 3], true), (&[3, 2, 4], true)]
    {
        let verdict = verdict(&trust, seeds);
        assert_eq!(verdict.is_ok(), is_enough, "{seeds:?}");
        if !is_enough {
            assert_eq!(refused(verdict), ("signature.threshold", "untrusted_key"));
        }
    }
    let signed = sig(1);
    assert_eq!(refused(judge(&trust, Mode::Optional, Some(&signed), None)).0, "signature.threshold");
    // Every rule counts.
    trust.thresholds.push(rule("stats", &[Role::Security], 1));
    assert_eq!(refused(verdict(&trust, &[1, 2])).0, "signature.threshold");
    assert!(verdict(&trust, &[1, 3]).is_ok());
}

#[test]
fn nothing_older_than_what_was_accepted_comes_back() {
    let trust = document(vec![key(1, "a")]);
    let noted = |sequence| note(Statement { sequence, ..statement() }, &[1]);
    let against = |history: &History, sig: Option<&str>, note: Option<&str>| {
        judge_at(&trust, Mode::Optional, sig, note, &subject(), history, now())
    };
    let seen = against(&History::default(), None, Some(&noted(17))).unwrap().advanced(&subject(), &History::default());
    assert_eq!(seen, History { sequence: Some(17), sha256: "11".repeat(32), version: "1.4.2".into() });
    assert!(against(&seen, None, Some(&noted(17))).is_ok() && against(&seen, None, Some(&noted(18))).is_ok());
    assert_eq!(refused(against(&seen, None, Some(&noted(16)))), ("signature.rollback", "rollback"));
    let another = History { sha256: "33".repeat(32), ..seen.clone() };
    assert_eq!(refused(against(&another, None, Some(&noted(17)))).0, "signature.rollback", "a sequence is used once");
    let signed = sig(1);
    assert_eq!(refused(against(&seen, Some(&signed), None)), ("signature.format_downgrade", "rollback"));
    assert_eq!(refused(against(&seen, None, None)).0, "signature.format_downgrade");
    for (highest, is_fine) in [("1.4.2", true), ("1.4.1", true), ("1.4.3", false), ("1.10", false), ("x", true)] {
        let history = History { version: highest.into(), ..History::default() };
        let verdict = against(&history, Some(&signed), None);
        assert_eq!(verdict.is_ok(), is_fine, "{highest}");
        if !is_fine {
            assert_eq!(refused(verdict), ("signature.rollback", "rollback"));
        }
        // A note with a sequence may have any version.
        assert!(against(&history, None, Some(&noted(1))).is_ok());
    }
    // What can't be compared is not remembered, and comes after nothing that can be.
    let odd = Subject { version: "v2", ..subject() };
    let verified = judge(&trust, Mode::Optional, Some(&signed), None).unwrap();
    for highest in ["", "1.4.2"] {
        let history = History { version: highest.into(), ..History::default() };
        assert_eq!(verified.advanced(&odd, &history), history);
        assert_eq!(verified.check_history(&odd, &history).is_ok(), highest.is_empty());
    }
}

#[test]
fn with_both_files_each_signer_needs_the_right_to_the_name() {
    let other = TrustedKey::new(&secret(2).public(), "other", vec!["other".into()]);
    let trust = document(vec![key(1, "a"), other]);
    let both = |seed| judge(&trust, Mode::Required, Some(&sig(seed)), Some(&note(statement(), &[1])));
    assert!(both(1).is_ok());
    assert_eq!(refused(both(2)), ("signature.untrusted_key", "untrusted_key"));
}

#[test]
fn malformed_stores_are_refused_as_a_whole() {
    let good = serde_json::to_value(document(vec![key(1, "a")])).unwrap();
    assert!(TrustDocument::parse(good.to_string().as_bytes()).is_ok());
    let change = |pointer: &str, value: serde_json::Value| {
        let mut changed = good.clone();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        changed.pointer_mut(parent).unwrap()[field] = value;
        changed.to_string()
    };
    use serde_json::json;
    for text in [
        String::new(),
        "[]".into(),
        "{}".into(),
        r#"{"version":1,"version":1}"#.into(),
        change("/version", json!(2)),
        change("/keyz", json!([])),
        change("/keys", json!({})),
        change("/keys/0/label", json!("A b")),
        change("/keys/0/public_key", json!("00".repeat(32))),
        change("/keys/0/public_key", json!("xyz")),
        change("/keys/0/names", json!(["a/b"])),
        change("/keys/0/names", json!([""])),
        change("/keys/0/names", json!("stats")),
        change("/keys/0/names", json!(["*".repeat(20)])),
        change("/keys/0/roles", json!(["boss"])),
        change("/keys/0/not_after", json!("tomorrow")),
        change("/keys/0/extra", json!(1)),
        change("/thresholds", json!([{"name": "a", "roles": [], "count": 1}])),
        change("/thresholds", json!([{"name": "a", "roles": ["release"], "count": 0}])),
        change("/revoked_contents", json!([{"sha256": "11", "date": "2026-11-01T00:00:00Z"}])),
    ] {
        let code = TrustDocument::parse(text.as_bytes()).unwrap_err().code();
        let expected = [ErrorCode::SignatureTrustInvalid, ErrorCode::SignatureKeyInvalid];
        assert!(expected.contains(&code), "{code:?} {text}");
    }
    let twice = serde_json::to_string(&document(vec![key(1, "a"), key(1, "b")])).unwrap();
    assert_eq!(TrustDocument::parse(twice.as_bytes()).unwrap_err().code(), ErrorCode::SignatureTrustInvalid);
}
