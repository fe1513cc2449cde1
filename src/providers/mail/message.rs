//! The text of an e-mail: headers that only the host decides, and a body in which no byte of a plugin ends a line.

use base64::Engine;
use getrandom::fill;
use lettre::address::Envelope;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MessageBuilder};
use lettre::{Address, message};

use crate::error::{Error, ErrorCode, Result, bug};
use crate::host::Mail;

/// Longest line of a message (RFC 5321, without the line end).
const MAX_LINE_BYTES: usize = 998;

/// Longest word of a subject that is left as it is.
const MAX_WORD_BYTES: usize = 60;

/// Bytes of one encoded word before they are encoded; 75 characters are allowed after.
const MAX_ENCODED_BYTES: usize = 45;

/// What all e-mails of a host have in common.
#[derive(Debug)]
pub(super) struct Letterhead {
    from: Mailbox,
    reply_to: Option<Mailbox>,
    /// Address that delivery failures go to.
    pub(super) sender: String,
}

impl Letterhead {
    pub(super) fn new(from: &str, reply_to: Option<&str>) -> Result<Self> {
        let from = mailbox("from", from)?;
        let reply_to = reply_to.map(|text| mailbox("reply_to", text)).transpose()?;
        Ok(Self { sender: from.email.to_string(), from, reply_to })
    }

    /// The message as it is sent: lines that end in CR LF and nothing else, ASCII only.
    pub(super) fn write(&self, mail: &Mail, plugin: &str) -> Result<Vec<u8>> {
        let mut builder = self.headers(mail)?;
        for (name, value) in
            [("MIME-Version", "1.0"), ("X-GoatFlow-Plugin", plugin), ("Auto-Submitted", "auto-generated")]
        {
            let name = HeaderName::new_from_ascii(name.to_owned()).map_err(|error| bug!("{error}"))?;
            builder = builder.raw_header(HeaderValue::new(name, value.to_owned()));
        }
        let kind = if mail.html { ContentType::TEXT_HTML } else { ContentType::TEXT_PLAIN };
        let body = message::Body::new(one_kind_of_line_end(&mail.body));
        let message = builder.header(kind).body(body).map_err(|error| bug!("an e-mail can't be written: {error}"))?;
        let text = message.formatted();
        if is_well_formed(&text) { Ok(text) } else { Err(bug!("an e-mail has lines that servers read differently")) }
    }

    fn headers(&self, mail: &Mail) -> Result<MessageBuilder> {
        let recipients: Vec<Address> = mail.to.iter().map(|to| recipient(to)).collect::<Result<_>>()?;
        let envelope =
            Envelope::new(Some(self.from.email.clone()), recipients.clone()).map_err(|error| bug!("{error}"))?;
        let mut builder = Message::builder().from(self.from.clone()).envelope(envelope);
        if let Some(reply_to) = &self.reply_to {
            builder = builder.reply_to(reply_to.clone());
        }
        for address in recipients {
            builder = builder.to(Mailbox::new(None, address));
        }
        let id = format!("<{}@{}>", random_name()?, self.from.email.domain());
        Ok(builder.raw_header(subject(&mail.subject)).date_now().message_id(Some(id)))
    }
}

fn mailbox(key: &str, text: &str) -> Result<Mailbox> {
    let is_plain = text.is_ascii() && !text.bytes().any(|byte| byte.is_ascii_control());
    let parsed = text.parse::<Mailbox>().ok().filter(|_| is_plain);
    parsed.ok_or_else(|| {
        let context = format!("`mail.{key}` is neither an address nor `Name <address>` in plain ASCII");
        Error::new(ErrorCode::ArgumentConfig, context)
    })
}

/// The gate's grammar of addresses is narrower than any mailer's.
fn recipient(address: &str) -> Result<Address> {
    address.parse().map_err(|error| {
        let context = format!("recipient `{address}` can't be written into an e-mail");
        Error::new(ErrorCode::PolicyEmailInvalid, context).with_source(error)
    })
}

/// The subject as it is where every server and reader takes it so, else in encoded words (RFC 2047): text beyond ASCII, words
/// that no line has room for, and what would be taken for an encoded word.
fn subject(text: &str) -> HeaderValue {
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && !text.contains("=?")
        && text.trim() == text
        && text.split(' ').all(|word| word.len() <= MAX_WORD_BYTES);
    let name = HeaderName::new_from_ascii_str("Subject");
    if is_plain {
        return HeaderValue::new(name, text.to_owned());
    }
    HeaderValue::dangerous_new_pre_encoded(name, text.to_owned(), encoded_words(text))
}

fn encoded_words(text: &str) -> String {
    let mut words = Vec::new();
    let mut piece = String::new();
    for character in text.chars() {
        if piece.len() + character.len_utf8() > MAX_ENCODED_BYTES {
            words.push(std::mem::take(&mut piece));
        }
        piece.push(character);
    }
    words.push(piece);
    let encode = |word: String| format!("=?utf-8?B?{}?=", base64::engine::general_purpose::STANDARD.encode(word));
    words.into_iter().map(encode).collect::<Vec<_>>().join("\r\n ")
}

fn random_name() -> Result<String> {
    let mut bytes = [0_u8; 16];
    fill(&mut bytes).map_err(|error| Error::new(ErrorCode::EnvironmentIo, "no random bytes").with_source(error))?;
    Ok(u128::from_ne_bytes(bytes).to_string())
}

/// CR LF, CR and LF all become LF, which the mailer writes as CR LF: a server that takes a bare one for the end of a line,
/// and a plugin that knows, can't begin a message of their own.
fn one_kind_of_line_end(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// What nobody reads in two ways: ASCII, CR and LF only together, no NUL, lines of a length that all servers take.
fn is_well_formed(text: &[u8]) -> bool {
    let mut lines = text.split(|byte| *byte == b'\n').peekable();
    let mut is_sound = text.is_ascii() && !text.contains(&0);
    while let (true, Some(line)) = (is_sound, lines.next()) {
        let content = if lines.peek().is_some() { line.strip_suffix(b"\r") } else { Some(line) };
        is_sound = content.is_some_and(|content| !content.contains(&b'\r') && content.len() <= MAX_LINE_BYTES);
    }
    is_sound
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(subject: &str, body: &str, html: bool) -> String {
        let letterhead = Letterhead::new("Desk <desk@example.com>", None).unwrap();
        let to = vec!["a@example.org".to_owned()];
        let mail = Mail { to, subject: subject.into(), body: body.into(), html };
        String::from_utf8(letterhead.write(&mail, "stats").unwrap()).unwrap()
    }

    #[test]
    fn plain_text_stays_readable() {
        let text = written("Hello", "one\ntwo\r\nthree\rfour", false);
        assert!(text.contains("Subject: Hello\r\n") && text.contains("From: Desk <desk@example.com>\r\n"), "{text}");
        assert!(text.contains("X-GoatFlow-Plugin: stats\r\n") && text.contains("To: a@example.org\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\none\r\ntwo\r\nthree\r\nfour"), "{text}");
    }

    #[test]
    fn nothing_in_subject_and_body_makes_a_line_of_its_own() {
        for body in
            ["\r.\r", "\n.\n", "\r\n.\r\n", "\n.\r", "x\r\n.\nMAIL FROM:<a@b>", "\u{85}.\u{2028}", &"x".repeat(100_000)]
        {
            for subject in ["", "Grüße", &"long ".repeat(300), &"x".repeat(1_500), "=?utf-8?q?=0d=0a?="] {
                let text = written(subject, body, false);
                assert!(is_well_formed(text.as_bytes()), "{subject} {body} {text}");
            }
        }
    }

    #[test]
    fn subjects_that_mean_something_to_mailers_are_encoded() {
        for (subject, line) in [
            ("a b", "Subject: a b\r\n"),
            ("=?utf-8?q?=0d=0a?=", "Subject: =?utf-8?B?PT91dGYtOD9xPz0wZD0wYT89?=\r\n"),
            ("ä", "Subject: =?utf-8?B?w6Q=?=\r\n"),
            (" a", "Subject: =?utf-8?B?IGE=?=\r\n"),
        ] {
            assert!(written(subject, "", false).contains(line), "{subject}");
        }
    }

    #[test]
    fn malformed_texts_are_seen() {
        for text in ["a\nb", "a\rb", "a\r\r\nb", "a\0", "ä"] {
            assert!(!is_well_formed(text.as_bytes()), "{text:?}");
        }
        assert!(!is_well_formed("x".repeat(999).as_bytes()));
        assert!(is_well_formed(b"a\r\nb") && is_well_formed(b"a\r\n") && is_well_formed(b""));
    }
}
