//! One SMTP session. Written out rather than left to a library, because every wait must end with the call, and nothing may
//! be read that was sent before encryption began.

use std::io::{Read, Write};
use std::sync::Arc;

use base64::Engine;
use rustls::ClientConfig;

use super::Credentials;
use crate::error::{Error, ErrorCode, Result};
use crate::plugin::name::shorten;
use crate::providers::net::stream::broken;
use crate::providers::net::{Stream, Watch};

/// Longest line of an answer, in bytes.
const MAX_LINE_BYTES: usize = 1_000;

/// Most lines of an answer.
const MAX_LINES: usize = 100;

/// A session with a mail server.
pub(super) struct Session<'w> {
    stream: Stream,
    watch: &'w Watch,
    /// What came and was not read yet.
    buffer: Vec<u8>,
    hello_name: String,
    /// Lines of the answer to `EHLO`, in capitals.
    extensions: Vec<String>,
}

/// An answer: its number and its text.
struct Answer {
    code: u16,
    lines: Vec<String>,
}

/// Names that may stand in `EHLO`.
pub(super) fn check_hello_name(name: &str) -> Result<()> {
    let is_harmless = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    if !name.is_empty() && name.len() <= 255 && name.bytes().all(is_harmless) {
        return Ok(());
    }
    Err(Error::new(ErrorCode::ArgumentConfig, "`mail.hello_name` is not a host name"))
}

impl<'w> Session<'w> {
    /// Waits for the server's greeting and greets it.
    pub(super) fn greet(stream: Stream, watch: &'w Watch, hello_name: &str) -> Result<Self> {
        let mut session =
            Self { stream, watch, buffer: Vec::new(), hello_name: hello_name.to_owned(), extensions: Vec::new() };
        session.answer()?.expect(220, "greeting")?;
        session.hello()?;
        Ok(session)
    }

    fn hello(&mut self) -> Result<()> {
        let hello = format!("EHLO {}", self.hello_name);
        let answer = self.command(&hello)?.expect(250, "EHLO")?;
        self.extensions = answer.lines.iter().skip(1).map(|line| line.to_ascii_uppercase()).collect();
        Ok(())
    }

    /// Encrypts the session. A server that does not offer it, or talks on in plain text, is refused: mail never goes out
    /// in plain text because somebody on the way cut a line out.
    pub(super) fn start_tls(&mut self, config: &Arc<ClientConfig>, host: &str) -> Result<()> {
        if !self.extensions.iter().any(|line| line == "STARTTLS") {
            return Err(not_encrypted("the mail server does not offer STARTTLS, which `mail.encryption` asks for"));
        }
        let answer = self.command("STARTTLS")?;
        if answer.code != 220 {
            return Err(not_encrypted("the mail server refused STARTTLS"));
        }
        if !self.buffer.is_empty() {
            return Err(not_encrypted("the mail server sent more before encryption than it should"));
        }
        self.stream.encrypt(config, host)?;
        self.hello()
    }

    /// Logs in with the first way that the server offers and we know.
    pub(super) fn log_in(&mut self, credentials: &Credentials) -> Result<()> {
        if !self.stream.is_encrypted() {
            return Err(not_encrypted("credentials are not sent over a plain connection"));
        }
        let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let (user, password) = (&credentials.user, &credentials.password);
        let answer = if self.offers_login("PLAIN") {
            self.command(&format!("AUTH PLAIN {}", encode(&format!("\0{user}\0{password}"))))?
        } else if self.offers_login("LOGIN") {
            self.command("AUTH LOGIN")?.expect_login_step()?;
            self.command(&encode(user))?.expect_login_step()?;
            self.command(&encode(password))?
        } else {
            return Err(no_login("the mail server offers neither AUTH PLAIN nor AUTH LOGIN"));
        };
        match answer.code {
            235 => Ok(()),
            code => Err(no_login("the mail server refused the host's credentials").with_detail("smtp_code", code)),
        }
    }

    fn offers_login(&self, way: &str) -> bool {
        let ways = self.extensions.iter().filter_map(|line| line.strip_prefix("AUTH"));
        ways.flat_map(|ways| ways.split([' ', '='])).any(|offered| offered == way)
    }

    /// Hands the message over: to all recipients or to none.
    pub(super) fn deliver(mut self, sender: &str, recipients: &[String], message: &[u8]) -> Result<()> {
        self.command(&format!("MAIL FROM:<{sender}>"))?.expect(250, "MAIL")?;
        for recipient in recipients {
            let answer = self.command(&format!("RCPT TO:<{recipient}>"))?;
            if !matches!(answer.code, 250 | 251) {
                return Err(answer.refusal("RCPT").with_detail("recipient", recipient.as_str()));
            }
        }
        self.command("DATA")?.expect(354, "DATA")?;
        self.write(&dot_stuffed(message))?;
        self.answer()?.expect(250, "message")?;
        // The mail is the server's by now; how the session ends changes nothing.
        let _ = self.write(b"QUIT\r\n");
        Ok(())
    }

    fn command(&mut self, line: &str) -> Result<Answer> {
        if line.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(crate::error::bug!("an SMTP command has a control character"));
        }
        self.write(format!("{line}\r\n").as_bytes())?;
        self.answer()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.stream.write_all(bytes).and_then(|()| self.stream.flush());
        written.map_err(|error| self.watch.reason(|| broken(&error)))
    }

    /// Reads one answer of the server.
    fn answer(&mut self) -> Result<Answer> {
        let mut lines = Vec::new();
        while lines.len() < MAX_LINES {
            let line = self.line()?;
            let code = line.get(..3).and_then(|code| code.parse::<u16>().ok()).filter(|code| (200..600).contains(code));
            let (Some(code), separator) = (code, line.as_bytes().get(3)) else { return Err(not_smtp()) };
            lines.push(line.get(4..).unwrap_or_default().trim_end().to_owned());
            match separator {
                Some(b'-') => {}
                Some(b' ') | None => return Ok(Answer { code, lines }),
                Some(_) => return Err(not_smtp()),
            }
        }
        Err(not_smtp())
    }

    fn line(&mut self) -> Result<String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned());
            }
            if self.buffer.len() > MAX_LINE_BYTES {
                return Err(not_smtp());
            }
            let mut piece = [0_u8; 1_024];
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(self.watch.reason(|| broken(&std::io::ErrorKind::UnexpectedEof.into()))),
                Ok(read) => self.buffer.extend_from_slice(&piece[..read]),
                Err(error) => return Err(self.watch.reason(|| broken(&error))),
            }
        }
    }
}

impl Answer {
    fn expect(self, code: u16, step: &str) -> Result<Self> {
        if self.code == code { Ok(self) } else { Err(self.refusal(step)) }
    }

    fn expect_login_step(self) -> Result<()> {
        match self.code {
            334 => Ok(()),
            code => Err(no_login("the mail server refused to log the host in").with_detail("smtp_code", code)),
        }
    }

    /// 4xx means later, 5xx means never; anything else is out of order.
    fn refusal(&self, step: &str) -> Error {
        let (code, what) = match self.code {
            400..500 => (ErrorCode::HostMailDeferred, "can't take the e-mail now"),
            500..600 => (ErrorCode::HostMailRejected, "refused the e-mail"),
            _ => (ErrorCode::HostProtocol, "answered out of order"),
        };
        let said = shorten(self.lines.first().map_or("", String::as_str), 200);
        Error::new(code, format!("the mail server {what} ({step}: {} {said})", self.code))
            .with_detail("smtp_code", self.code)
    }
}

/// Lines that begin with a dot get a second one; a line with a single dot ends the message (RFC 5321 4.5.2).
fn dot_stuffed(message: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(message.len() + 64);
    for (index, line) in message.split(|byte| *byte == b'\n').enumerate() {
        if index > 0 {
            stuffed.push(b'\n');
        }
        if line.first() == Some(&b'.') {
            stuffed.push(b'.');
        }
        stuffed.extend_from_slice(line);
    }
    if !stuffed.ends_with(b"\r\n") {
        stuffed.extend_from_slice(b"\r\n");
    }
    stuffed.extend_from_slice(b".\r\n");
    stuffed
}

fn not_encrypted(problem: &'static str) -> Error {
    Error::new(ErrorCode::HostTls, problem)
}

fn no_login(problem: &'static str) -> Error {
    Error::new(ErrorCode::HostMailAuth, problem)
}

fn not_smtp() -> Error {
    Error::new(ErrorCode::HostProtocol, "what the mail server answers is not SMTP")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_at_the_beginning_of_lines_are_doubled() {
        for (message, expected) in [
            ("", "\r\n.\r\n"),
            ("a", "a\r\n.\r\n"),
            ("a\r\n", "a\r\n.\r\n"),
            (".", "..\r\n.\r\n"),
            (".a\r\n..\r\nb.\r\n.\r\n", "..a\r\n...\r\nb.\r\n..\r\n.\r\n"),
        ] {
            assert_eq!(String::from_utf8(dot_stuffed(message.as_bytes())).unwrap(), expected, "{message:?}");
        }
    }
}
