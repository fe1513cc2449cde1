//! E-mails of a real plugin through the built-in mailer, to a real SMTP server and to some that misbehave.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use goatflow_plugin::error::ErrorCode;
use goatflow_plugin::manager::{Config, Manager};
use goatflow_plugin::plugin::Cancellation;
use serde_json::{Value, json};

use crate::support::{Guest, Host, PATIENCE, cancellable, timeout};

/// Python of the operating system, which has the SMTP server that `scripts/setup.sh` installs.
const PYTHON: &str = "/usr/bin/python3";

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// A running SMTP server.
struct Server {
    child: Child,
    lines: mpsc::Receiver<Value>,
    port: u64,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        Self::with_certificate("server", arguments)
    }

    fn with_certificate(name: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(PYTHON)
            .arg(path("tools/smtp_server.py"))
            .args(arguments)
            .arg("--certificate")
            .arg(path(&format!("fixtures/tls/{name}.pem")))
            .arg("--key")
            .arg(path(&format!("fixtures/tls/{name}.key")))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        // Read at once, whenever the test looks: a full pipe would stop the server.
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).unwrap());
            }
        });
        let mut server = Self { child, lines, port: 0 };
        server.port = server.mail()["port"].as_u64().unwrap();
        server
    }

    /// The next e-mail that the server took.
    fn mail(&mut self) -> Value {
        let line = self.lines.recv_timeout(PATIENCE);
        line.expect("the SMTP server of the tests says nothing; `make setup` installs it")
    }

    /// The section of the configuration, with more.
    fn section(&self, more: Value) -> Value {
        section(self.port, more)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn section(port: u64, more: Value) -> Value {
    let mut section = json!({
        "host": "localhost", "port": port, "encryption": "plain", "from": "Service Desk <desk@goat.example>",
        "ca_file": path("fixtures/tls/ca.pem"), "timeout_ms": 60_000,
    });
    for (key, value) in more.as_object().unwrap() {
        section[key] = value.clone();
    }
    section
}

/// A host with the mailer and a plugin that may write to `example.com` and one mailbox besides.
fn host(section: Value) -> Host {
    let host = Host::with(json!({ "mail": section }));
    host.approve("writer", json!([{"type": "email", "scope": ["@example.com", "boss@example.org"]}]));
    host.load(&Guest::named("writer"));
    host
}

fn send(host: &Host, mail: &Value) -> Result<(), String> {
    host.ask("writer", "send_email", mail).map(|answer| assert_eq!(answer, json!({"ok": true})))
}

fn mail_to(to: Value) -> Value {
    json!({"to": to, "subject": "Hello", "body": "text"})
}

fn refused(slug: &str) -> Result<(), String> {
    Err(slug.to_owned())
}

// Mail that arrives

#[test]
fn mail_arrives_with_headers_that_only_the_host_decides() {
    let mut server = Server::start(&["plain"]);
    let host = host(server.section(json!({"reply_to": "answers@goat.example", "hello_name": "goat.example"})));
    let mail = json!({
        "to": "a@example.com", "subject": "Hello", "body": "one\ntwo", "from": "evil@example.com", "cc": "x@evil.example",
        "bcc": "x@evil.example", "reply_to": "x@evil.example", "headers": {"X-Evil": "1"}, "plugin": "other",
    });
    assert_eq!(send(&host, &mail), Ok(()));
    let mail = server.mail();
    assert_eq!((&mail["sender"], &mail["recipients"]), (&json!("desk@goat.example"), &json!(["a@example.com"])));
    assert_eq!((&mail["hello"], &mail["encrypted"]), (&json!("goat.example"), &json!(false)));
    let text = mail["message"].as_str().unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "one\r\ntwo\r\n");
    let names: Vec<&str> = head.split("\r\n").map(|line| line.split(": ").next().unwrap()).collect();
    let expected = [
        "From",
        "Reply-To",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "X-GoatFlow-Plugin",
        "Auto-Submitted",
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
    ];
    let (mut names, mut expected) = (names, expected.to_vec());
    names.sort_unstable();
    expected.sort_unstable();
    assert_eq!(names, expected);
    for line in [
        "From: \"Service Desk\" <desk@goat.example>",
        "Reply-To: answers@goat.example",
        "To: a@example.com",
        "X-GoatFlow-Plugin: writer",
        "Content-Type: text/plain; charset=utf-8",
    ] {
        assert!(head.split("\r\n").any(|present| present == line), "{line} in {head}");
    }
}

#[test]
fn html_unicode_and_long_lines_arrive_as_they_were_written() {
    let mut server = Server::start(&["plain"]);
    let host = host(server.section(json!({})));
    for (html, body) in [
        (true, "<p>Grüße, 世界 &amp; Ziegen</p>".to_owned()),
        (false, "ä".repeat(20_000)),
        (false, "x".repeat(200_000)),
        (false, ".\n..\n.leading\nend.".to_owned()),
        (false, "tab\there, form\u{c}feed, \u{1b}[31m, \u{85}, \u{2028}".to_owned()),
    ] {
        let mail = json!({"to": "a@example.com", "subject": "Über 🐐", "body": body, "html": html});
        assert_eq!(send(&host, &mail), Ok(()));
        let message = server.mail()["message"].as_str().unwrap().to_owned();
        let decoded = decode(&message);
        assert_eq!(decoded["subject"], "Über 🐐");
        assert_eq!(decoded["type"], if html { "text/html" } else { "text/plain" });
        assert_eq!(decoded["body"].as_str().unwrap().trim_end(), body.replace('\n', "\r\n").trim_end());
    }
}

/// What Python's own parser makes of a message.
fn decode(message: &str) -> Value {
    let code = "import sys,json,email,email.policy;m=email.message_from_bytes(sys.stdin.buffer.read(),policy=email.policy.default);\
                print(json.dumps({'subject':m['subject'],'type':m.get_content_type(),'body':m.get_payload(decode=True).decode('utf-8'),'keys':m.keys()}))";
    let mut child =
        Command::new(PYTHON).args(["-c", code]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(message.as_bytes()).unwrap();
    serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn line_ends_of_all_kinds_become_one_and_smuggle_nothing() {
    let mut server = Server::start(&["plain"]);
    let host = host(server.section(json!({})));
    let evil = "MAIL FROM:<evil@goat.example>\r\nRCPT TO:<x@evil.example>\r\nDATA\r\nsmuggled\r\n.\r\n";
    for end in ["\r\n.\r\n", "\n.\n", "\r.\r", "\n.\r\n", "\r\n.\n", "\r\n.\r", "\r.\n", "\r\r\n.\r\n"] {
        let body = format!("before{end}{evil}after");
        assert_eq!(send(&host, &json!({"to": "a@example.com", "subject": "s", "body": body})), Ok(()));
        let mail = server.mail();
        assert_eq!(mail["recipients"], json!(["a@example.com"]), "{end:?}");
        let message = mail["message"].as_str().unwrap();
        assert!(decode(message)["body"].as_str().unwrap().trim_end().ends_with("after"), "{end:?} {message}");
        let stripped = message.replace("\r\n", "");
        assert!(!stripped.contains(['\r', '\n']), "{end:?}");
    }
    // The very next mail is the plugin's own and nothing else.
    assert_eq!(send(&host, &json!({"to": "boss@example.org", "subject": "last", "body": ""})), Ok(()));
    assert_eq!(server.mail()["recipients"], json!(["boss@example.org"]));
}

// What is refused before any server sees it

#[test]
fn mail_outside_the_grant_or_the_grammar_is_refused() {
    // Nobody listens there: what is refused here was refused before.
    let host = host(section(1, json!({})));
    for (to, expected) in [
        (json!("x@evil.example"), "policy.email.recipient_denied"),
        (json!("x@sub.example.com"), "policy.email.recipient_denied"),
        (json!("x@example.com.evil.example"), "policy.email.recipient_denied"),
        (json!("other@example.org"), "policy.email.recipient_denied"),
        (json!(["a@example.com", "x@evil.example"]), "policy.email.recipient_denied"),
        (json!("a@example.com, x@evil.example"), "policy.email.invalid"),
        (json!("a@example.com\r\nBcc: x@evil.example"), "policy.email.invalid"),
        (json!("a@example.com>\r\nRCPT TO:<x@evil.example"), "policy.email.invalid"),
        (json!("\"x\"@example.com"), "policy.email.invalid"),
        (json!("A <a@example.com>"), "policy.email.invalid"),
        (json!("x@evil.example@example.com"), "policy.email.invalid"),
        (json!("x%evil.example@example.com"), "policy.email.invalid"),
        (json!("@evil.example:a@example.com"), "policy.email.invalid"),
        (json!("a@[127.0.0.1]"), "policy.email.invalid"),
        (json!("a@example.com\0"), "policy.email.invalid"),
        (json!("ä@example.com"), "policy.email.invalid"),
        (json!(["a@example.com", "b@example.com\n"]), "policy.email.invalid"),
        (json!(""), "policy.arguments"),
        (json!([]), "policy.arguments"),
        (json!([""]), "policy.arguments"),
        (json!([1]), "policy.arguments"),
        (json!({"a": 1}), "policy.arguments"),
        (json!([["a@example.com"]]), "policy.arguments"),
        (Value::Null, "policy.arguments"),
        (json!(vec!["a@example.com"; 101]), "policy.email.too_large"),
    ] {
        assert_eq!(send(&host, &mail_to(to.clone())), refused(expected), "{to}");
    }
    for subject in ["a\r\nBcc: x@evil.example", "a\nb", "a\rb", "a\0b", "a\u{85}b", "a\u{2028}b"] {
        let mail = json!({"to": "a@example.com", "subject": subject, "body": ""});
        assert_eq!(send(&host, &mail), refused("policy.email.invalid"), "{subject:?}");
    }
    for (field, value, expected) in
        [("body", "a\0b".to_owned(), "policy.email.invalid"), ("subject", "x".repeat(2_001), "policy.email.invalid")]
    {
        let mut mail = mail_to(json!("a@example.com"));
        mail[field] = json!(value);
        assert_eq!(send(&host, &mail), refused(expected), "{field}");
    }
    assert_eq!(send(&host, &mail_to(json!("a@example.org"))), refused("policy.email.recipient_denied"));
}

#[test]
fn without_a_grant_nothing_is_sent() {
    let host = Host::with(json!({"mail": section(1, json!({}))}));
    host.load(&Guest::named("writer"));
    assert_eq!(send(&host, &mail_to(json!("a@example.com"))), refused("policy.permission_missing"));
    let unconfigured = Host::new();
    unconfigured.approve("writer", json!([{"type": "email", "scope": ["@example.com"]}]));
    unconfigured.load(&Guest::named("writer"));
    assert_eq!(send(&unconfigured, &mail_to(json!("a@example.com"))), refused("host.no_provider"));
}

// Several recipients, and how many

#[test]
fn each_recipient_counts_and_all_or_none_are_served() {
    let mut server = Server::start(&["plain"]);
    let host = host(server.section(json!({})));
    let to = |count: usize| json!((0..count).map(|n| format!("u{n}@example.com")).collect::<Vec<_>>());
    assert_eq!(send(&host, &mail_to(to(11))), refused("policy.rate_limited"), "never fits ten a minute");
    assert_eq!(send(&host, &mail_to(to(7))), Ok(()));
    assert_eq!(server.mail()["recipients"], to(7));
    assert_eq!(send(&host, &mail_to(to(4))), refused("policy.rate_limited"), "seven and four");
    assert_eq!(
        send(&host, &mail_to(json!(["a@example.com", "a@example.com", "a@EXAMPLE.com"]))),
        Ok(()),
        "one of eight"
    );
    assert_eq!(server.mail()["recipients"], json!(["a@example.com"]));
    assert_eq!(send(&host, &mail_to(to(2))), Ok(()), "ten of ten");
    server.mail();
    assert_eq!(send(&host, &mail_to(json!("a@example.com"))), refused("policy.rate_limited"));
    // A burst is what an administrator allows besides.
    let permissions = json!([{"type": "email", "scope": ["@example.com"]}]);
    let bursts = json!({"emails": {"size": 50, "per_hour": 1}});
    host.set_policy("writer", json!({"permissions": permissions, "bursts": bursts}));
    assert_eq!(send(&host, &mail_to(to(49))), Ok(()));
    assert_eq!(server.mail()["recipients"], to(49));
    assert_eq!(send(&host, &mail_to(to(2))), refused("policy.rate_limited"));
    assert_eq!(send(&host, &mail_to(to(1))), Ok(()));
}

#[test]
fn a_recipient_that_the_server_refuses_stops_the_whole_mail() {
    let mut server = Server::start(&["plain"]);
    let host = host(server.section(json!({})));
    let ask = |to: Value| host.ask_raw("writer", "send_email", mail_to(to).to_string()).unwrap_err();
    let error = ask(json!(["a@example.com", "nobody@example.com"]));
    assert_eq!(error["code"], "host.mail.rejected");
    assert_eq!(error["detail"]["recipient"], "nobody@example.com");
    assert_eq!(error["detail"]["smtp_code"], 550);
    assert_eq!(ask(json!("later@example.com"))["code"], "host.mail.deferred");
    let unwanted = json!({"to": "a@example.com", "subject": "refuse me", "body": ""});
    assert_eq!(send(&host, &unwanted), refused("host.mail.rejected"));
    assert_eq!(server.mail()["recipients"], json!(["a@example.com"]), "the one that was refused after it was read");
    assert_eq!(send(&host, &mail_to(json!("b@example.com"))), Ok(()));
    assert_eq!(server.mail()["recipients"], json!(["b@example.com"]), "nothing of the others");
}

// Encryption and credentials

#[test]
fn encryption_is_never_left_out() {
    let mail = mail_to(json!("a@example.com"));
    let mut server = Server::start(&["starttls"]);
    assert_eq!(send(&host(server.section(json!({"encryption": "starttls"}))), &mail), Ok(()));
    assert_eq!(server.mail()["encrypted"], true);
    let mut implicit = Server::start(&["tls"]);
    assert_eq!(send(&host(implicit.section(json!({"encryption": "tls"}))), &mail), Ok(()));
    assert_eq!(implicit.mail()["recipients"], json!(["a@example.com"]));
    let plain = Server::start(&["plain"]);
    assert_eq!(send(&host(plain.section(json!({"encryption": "starttls"}))), &mail), refused("host.tls"));
    assert_eq!(send(&host(server.section(json!({}))), &mail), refused("host.mail.rejected"), "it wants STARTTLS");
    for (mode, encryption) in [("starttls", "starttls"), ("tls", "tls")] {
        let stranger = Server::with_certificate("stranger", &[mode]);
        let section = stranger.section(json!({"encryption": encryption}));
        assert_eq!(send(&host(section), &mail), refused("host.tls"), "a certificate nobody vouches for");
    }
}

#[test]
fn credentials_are_given_over_encrypted_connections_only_and_never_shown() {
    let mail = mail_to(json!("a@example.com"));
    for way in ["PLAIN", "LOGIN"] {
        let mut server = Server::start(&["starttls", "--auth", way]);
        let section = |password: &str| {
            server.section(json!({"encryption": "starttls", "username": "desk", "password": password}))
        };
        let (good, bad) = (section("pä$$ word"), section("hunter2"));
        let bare = server.section(json!({"encryption": "starttls"}));
        assert_eq!(send(&host(good), &mail), Ok(()));
        assert_eq!(server.mail()["user"], format!("{way}:desk"));
        let host_bad = host(bad);
        let error = host_bad.ask_raw("writer", "send_email", mail.to_string()).unwrap_err();
        assert_eq!(error["code"], "host.mail.auth");
        let everything = format!("{error} {:?}", host_bad.log_lines("writer"));
        assert!(!everything.contains("hunter2") && !everything.contains("aHVudGVyMg"), "{everything}");
        assert_eq!(send(&host(bare), &mail), refused("host.mail.rejected"));
    }
    let without = Server::start(&["starttls"]);
    let text = json!({"mail": section(without.port, json!({"username": "desk", "password": "hunter2"}))}).to_string();
    let error = Manager::new(Config::parse(text.as_bytes()).unwrap()).map(drop).unwrap_err();
    assert_eq!(error.code(), ErrorCode::ArgumentConfig, "credentials over a plain connection");
    assert!(!error.to_string().contains("hunter2"));
}

#[test]
fn a_password_can_come_from_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    std::fs::write(&file, "pä$$ word\nrest").unwrap();
    let mut server = Server::start(&["tls", "--auth", "PLAIN"]);
    let section = server.section(json!({"encryption": "tls", "username": "desk", "password_file": file}));
    assert_eq!(send(&host(section), &mail_to(json!("a@example.com"))), Ok(()));
    assert_eq!(server.mail()["user"], "PLAIN:desk");
}

// Servers that misbehave

/// A server that says these texts, one for the connection and one for each line it gets, and then nothing more.
fn scripted(texts: &'static [&'static str], silent: mpsc::Sender<()>) -> u64 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream: TcpStream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            for (index, text) in texts.iter().enumerate() {
                if index > 0 && lines.next().is_none_or(|line| line.is_err()) {
                    break;
                }
                if (&stream).write_all(text.as_bytes()).is_err() {
                    break;
                }
            }
            let _ = silent.send(());
            let _ = (&stream).read_to_end(&mut Vec::new());
        }
    });
    port.into()
}

#[test]
fn what_servers_say_wrongly_has_an_error_of_its_own() {
    let mail = mail_to(json!("a@example.com"));
    let long: &'static str = Box::leak(format!("220 {}", "x".repeat(5_000)).into_boxed_str());
    let endless: &'static str = Box::leak("220-more\r\n".repeat(200).into_boxed_str());
    let cases: [(&'static [&'static str], &str, &str); 9] = [
        (&["220 hi\r\n", "250 x\r\n", "250 OK\r\n", "250 OK\r\n", "250 OK\r\n"], "plain", "host.protocol"),
        (&["HTTP/1.1 400 Bad Request\r\n\r\n"], "plain", "host.protocol"),
        (&["\u{fffd}\u{fffd}\u{fffd}\r\n"], "plain", "host.protocol"),
        (&["421 too busy\r\n"], "plain", "host.mail.deferred"),
        (&["554 go away\r\n"], "plain", "host.mail.rejected"),
        (&["220 hi\r\n", "250-x\r\n250 STARTTLS\r\n", "454 not now\r\n"], "starttls", "host.tls"),
        // What an attacker on the way puts behind the answer would be read as if it had come encrypted.
        (&["220 hi\r\n", "250-x\r\n250 STARTTLS\r\n", "220 go\r\n250 injected\r\n"], "starttls", "host.tls"),
        (Box::leak(Box::new([long])), "plain", "host.protocol"),
        (Box::leak(Box::new([endless])), "plain", "host.protocol"),
    ];
    for (texts, encryption, expected) in cases {
        let (sender, _receiver) = mpsc::channel();
        let port = scripted(texts, sender);
        assert_eq!(
            send(&host(section(port, json!({"encryption": encryption}))), &mail),
            refused(expected),
            "{texts:?}"
        );
    }
    assert_eq!(send(&host(section(1, json!({}))), &mail), refused("host.connection"));
    assert_eq!(
        send(&host(section(1, json!({"host": "no-such-host.invalid"}))), &mail),
        refused("host.name_unresolved")
    );
}

#[test]
fn a_server_that_hangs_is_left_at_the_time_limit_the_deadline_or_on_cancellation() {
    let steps: [&'static [&'static str]; 3] =
        [&[""], &["220 hi\r\n"], &["220 hi\r\n", "250 x\r\n", "250 OK\r\n", "250 OK\r\n", "354 go\r\n"]];
    for texts in steps {
        let (sender, silent) = mpsc::channel();
        let port = scripted(texts, sender);
        let mail = mail_to(json!("a@example.com"));
        let short = host(section(port, json!({"timeout_ms": 200})));
        assert_eq!(send(&short, &mail), refused("host.timeout"), "{texts:?}");
        silent.recv_timeout(PATIENCE).unwrap();
        let host = host(section(port, json!({})));
        assert_eq!(host.code("writer", "send_email", mail.to_string(), &timeout(300)), ErrorCode::PluginDeadline);
        silent.recv_timeout(PATIENCE).unwrap();
        let cancellation = Cancellation::new();
        let code = std::thread::scope(|scope| {
            let options = cancellable(&cancellation);
            let (host, mail) = (&host, &mail);
            let asking = scope.spawn(move || host.code("writer", "send_email", mail.to_string(), &options));
            silent.recv_timeout(PATIENCE).unwrap();
            cancellation.cancel();
            asking.join().unwrap()
        });
        assert_eq!(code, ErrorCode::PluginCancelled, "{texts:?}");
    }
}
