//! HTTP requests of a real plugin through the built-in client, to servers on this machine that answer byte by byte.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use base64::Engine;
use goatflow_plugin::error::ErrorCode;
use goatflow_plugin::manager::CallOptions;
use goatflow_plugin::plugin::Cancellation;
use goatflow_plugin::providers::http::{HttpClient, HttpOptions};
use goatflow_plugin::providers::net::Resolver;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};

use crate::support::{Guest, Host, PATIENCE, cancellable, request_id, timeout};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A server that hands every connection, and the request that came over it, to a script.
struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

trait Peer: Read + Write {}
impl<T: Read + Write> Peer for T {}

impl Server {
    fn new(script: impl Fn(usize, &str, &mut dyn Peer) + Send + 'static) -> Self {
        Self::wrapped(|stream| Some(Box::new(stream)), script)
    }

    /// Answers the n-th request with the n-th text; the last one goes on.
    fn answering<const N: usize>(answers: [&str; N]) -> Self {
        let answers = answers.map(str::to_owned);
        Self::new(move |index, _, peer| drop(peer.write_all(answers[index.min(N - 1)].as_bytes())))
    }

    fn tls(certificate: &'static str, script: impl Fn(usize, &str, &mut dyn Peer) + Send + 'static) -> Self {
        let chain = CertificateDer::pem_file_iter(fixture(&format!("{certificate}.pem"))).unwrap();
        let key = PrivateKeyDer::from_pem_file(fixture(&format!("{certificate}.key"))).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain.map(Result::unwrap).collect(), key)
            .unwrap();
        let config = Arc::new(config);
        let wrap = move |mut stream: TcpStream| -> Option<Box<dyn Peer>> {
            let mut connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            while connection.is_handshaking() {
                connection.complete_io(&mut stream).ok()?;
            }
            Some(Box::new(rustls::StreamOwned::new(connection, stream)))
        };
        Self::wrapped(wrap, script)
    }

    fn wrapped(
        wrap: impl Fn(TcpStream) -> Option<Box<dyn Peer>> + Send + 'static,
        script: impl Fn(usize, &str, &mut dyn Peer) + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Some(mut peer) = wrap(stream.unwrap()) else { continue };
                let request = read_request(&mut *peer);
                let index = seen.lock().unwrap().len();
                seen.lock().unwrap().push(request.clone());
                script(index, &request, &mut *peer);
            }
        });
        Self { port, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    fn url(&self, path: &str) -> String {
        format!("http://service.example:{}{path}", self.port)
    }
}

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name)
}

/// One request with its body.
fn read_request(peer: &mut dyn Peer) -> String {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        match peer.read(&mut piece) {
            Ok(0) | Err(_) => return text,
            Ok(read) => bytes.extend_from_slice(&piece[..read]),
        }
    }
}

/// Answers look-ups from a script: the n-th look-up of a name gets the n-th answer, the last one goes on.
#[derive(Debug, Default)]
struct Script {
    answers: HashMap<String, Vec<Vec<IpAddr>>>,
    asked: Mutex<Vec<String>>,
}

impl Resolver for Script {
    fn resolve(&self, name: &str) -> std::io::Result<Vec<IpAddr>> {
        let mut asked = self.asked.lock().unwrap();
        let turn = asked.iter().filter(|asked| *asked == name).count();
        asked.push(name.to_owned());
        let answers = self.answers.get(name).ok_or_else(|| std::io::Error::other("no such name"))?;
        Ok(answers[turn.min(answers.len() - 1)].clone())
    }
}

/// A script in which `service.example` is this machine, and further names.
fn names(more: &[(&str, &[&[&str]])]) -> Arc<Script> {
    let parse = |turn: &&[&str]| turn.iter().map(|address| address.parse().unwrap()).collect();
    let mut answers: HashMap<String, Vec<Vec<IpAddr>>> =
        more.iter().map(|(name, turns)| ((*name).to_owned(), turns.iter().map(parse).collect())).collect();
    answers.entry("service.example".into()).or_insert_with(|| vec![vec!["127.0.0.1".parse().unwrap()]]);
    Arc::new(Script { answers, asked: Mutex::default() })
}

fn options() -> HttpOptions {
    HttpOptions { timeout: PATIENCE, ca_file: Some(fixture("ca.pem")), ..HttpOptions::default() }
}

/// A host with the client and a plugin that may reach these hosts, this machine included.
fn host_with(options: HttpOptions, script: &Arc<Script>, scope: Value) -> Host {
    let host = Host::new();
    let resolver: Arc<dyn Resolver> = Arc::<Script>::clone(script);
    let client = HttpClient::with_resolver(options, resolver).unwrap();
    host.manager.provide("http", Some(Box::new(client))).unwrap();
    grant(&host, scope);
    host.load(&Guest::named("caller"));
    host
}

fn grant(host: &Host, scope: Value) {
    host.approve("caller", json!([{"type": "http", "scope": scope, "allow_private": ["127.0.0.0/8"]}]));
}

fn host_for(server: &Server) -> Host {
    host_with(options(), &names(&[]), json!([format!("service.example:{}", server.port)]))
}

/// Status and body, or the slug of the error.
fn fetch(host: &Host, request: Value) -> Result<(u64, String), String> {
    let answer = host.ask("caller", "http_request", &request)?;
    let body = base64::engine::general_purpose::STANDARD.decode(answer["body"].as_str().unwrap()).unwrap();
    Ok((answer["status"].as_u64().unwrap(), String::from_utf8(body).unwrap()))
}

fn get(host: &Host, url: impl Into<String>) -> Result<(u64, String), String> {
    fetch(host, json!({"url": url.into()}))
}

fn ok() -> Result<(u64, String), String> {
    Ok((200, "ok".to_owned()))
}

fn refused(slug: &str) -> Result<(u64, String), String> {
    Err(slug.to_owned())
}

/// What one answer of a server becomes.
fn outcome(answer: &str) -> Result<(u64, String), String> {
    let server = Server::answering([answer]);
    get(&host_for(&server), server.url("/"))
}

// Requests and answers

#[test]
fn requests_and_answers_have_the_documented_form() {
    let server = Server::answering([
        OK,
        "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone",
        "HTTP/1.1 204 No Content\r\n\r\n",
    ]);
    let host = host_for(&server);
    let request = json!({
        "method": "post", "url": server.url("/a%20b?q=1#fragment"), "body": "aGVsbG8=",
        "headers": {"Content-Type": "text/plain", "User-Agent": "other", "X-Request-Id": "forged", "X-Mine": "1"},
    });
    let answer = host.call_with("caller", "http_request", request.to_string(), &request_id("r-17")).unwrap().unwrap();
    assert_eq!(String::from_utf8(answer).unwrap(), r#"{"body":"b2s=","status":200}"#);
    let sent = server.requests()[0].to_ascii_lowercase();
    let (head, body) = sent.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<&str> = head.lines().collect();
    assert_eq!(lines.remove(0), "post /a%20b?q=1 http/1.1");
    lines.sort_unstable();
    let expected = [
        "accept-encoding: gzip".to_owned(),
        "accept: */*".into(),
        "content-length: 5".into(),
        "content-type: text/plain".into(),
        format!("host: service.example:{}", server.port),
        format!("user-agent: goatflow-plugin/{}", env!("CARGO_PKG_VERSION")),
        "x-goatflow-plugin: caller".into(),
        "x-mine: 1".into(),
        "x-request-id: r-17".into(),
    ];
    assert_eq!(lines, expected);
    assert_eq!(body, "hello");
    assert_eq!(get(&host, server.url("/")), Ok((404, "none".into())));
    assert_eq!(get(&host, server.url("/")), Ok((204, String::new())));
    assert!(!server.requests()[1].to_ascii_lowercase().contains("x-request-id"));
}

#[test]
fn a_request_id_that_is_no_header_value_is_left_out() {
    let server = Server::answering([OK]);
    let host = host_for(&server);
    let request = json!({"url": server.url("/")}).to_string();
    host.call_with("caller", "http_request", request, &request_id("a\r\nX-Evil: 1")).unwrap().unwrap();
    let sent = server.requests()[0].to_ascii_lowercase();
    assert!(!sent.contains("x-request-id") && !sent.contains("evil"), "{sent}");
}

#[test]
fn a_section_of_the_configuration_turns_the_client_on() {
    let server = Server::answering([OK]);
    let url = format!("http://127.0.0.1:{}/", server.port);
    for (section, expected) in [
        (json!({}), refused("host.no_provider")),
        (json!({"http": {"enabled": false}}), refused("host.no_provider")),
        (json!({"http": {}}), ok()),
    ] {
        let host = Host::with(section);
        grant(&host, json!([format!("127.0.0.1:{}", server.port)]));
        host.load(&Guest::named("caller"));
        assert_eq!(get(&host, url.as_str()), expected);
    }
}

#[test]
fn proxies_of_the_environment_are_not_asked() {
    let trap = Server::answering([OK]);
    let proxy = format!("http://127.0.0.1:{}", trap.port);
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "outbound_http::requests_and_answers_have_the_documented_form"]);
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        child.env(name, &proxy);
    }
    let output = child.env_remove("NO_PROXY").env_remove("no_proxy").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    assert_eq!(trap.requests(), Vec::<String>::new());
}

#[test]
fn what_a_plugin_may_not_say_is_refused_before_anything_is_sent() {
    let server = Server::answering([OK]);
    let host = host_for(&server);
    let headers = [
        json!({"Host": "other"}),
        json!({"X-A": "1\r\nX-B: 2"}),
        json!({"X-A\r\nX-B": "1"}),
        json!({"X-A": "ä"}),
        json!({"X-GoatFlow-Plugin": "other"}),
        json!({"x_goatflow_plugin": "other"}),
        json!({"Transfer-Encoding": "chunked"}),
        json!({"Content-Length": "0"}),
        json!({"Connection": "keep-alive"}),
        json!({"Proxy-Authorization": "x"}),
        json!({"Expect": "100-continue"}),
        json!({"X-A": "1", "x-a": "2"}),
        json!({"": "1"}),
        json!({"X A": "1"}),
    ];
    for headers in headers {
        let request = json!({"url": server.url("/"), "headers": headers});
        assert_eq!(fetch(&host, request), refused("policy.http.invalid"), "{headers}");
    }
    let many: serde_json::Map<String, Value> = (0..65).map(|n| (format!("x-{n}"), json!("1"))).collect();
    assert_eq!(fetch(&host, json!({"url": server.url("/"), "headers": many})), refused("policy.http.invalid"));
    for url in [
        format!("http://user:pw@service.example:{}/", server.port),
        format!("http://service.example:{}@evil.example/", server.port),
        server.url("/a b"),
        server.url("/\r\nX-Evil: 1"),
        format!("http:\\\\service.example:{}/", server.port),
        "file:///etc/passwd".into(),
        "gopher://service.example/".into(),
    ] {
        assert_eq!(get(&host, url.as_str()), refused("policy.http.invalid"), "{url}");
    }
    for method in ["CONNECT", "TRACE", "GET\r\n", "BREW"] {
        let request = json!({"url": server.url("/"), "method": method});
        assert_eq!(fetch(&host, request), refused("policy.http.invalid"), "{method}");
    }
    assert_eq!(get(&host, format!("http://service.example:{}/", server.port ^ 1)), refused("policy.http.url_denied"));
    assert_eq!(get(&host, format!("http://other.example:{}/", server.port)), refused("policy.http.url_denied"));
    assert_eq!(server.requests(), Vec::<String>::new());
}

#[test]
fn sizes_are_bounded_on_the_way_out_and_in() {
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n{}", "x".repeat(1001));
    let fits = format!("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{}", "x".repeat(1000));
    let server = Server::answering([&fits, &long]);
    let options = HttpOptions { max_request_bytes: 5, max_response_bytes: 1000, ..options() };
    let host = host_with(options, &names(&[]), json!([format!("service.example:{}", server.port)]));
    let post = |body: &str| fetch(&host, json!({"method": "POST", "url": server.url("/"), "body": body}));
    assert_eq!(post("aGVsbG8="), Ok((200, "x".repeat(1000))));
    assert_eq!(post("aGVsbG8h"), refused("policy.http.too_large"));
    assert_eq!(server.requests().len(), 1);
    assert_eq!(post(""), refused("host.answer_too_large"));
}

#[test]
fn what_counts_is_the_size_after_decompression() {
    // gzip of 10 MiB and 1 byte of zeros, made with `head -c 10485761 /dev/zero | gzip -9n`.
    let bomb = std::fs::read(fixture("../http/bomb.gz")).unwrap();
    let small = std::fs::read(fixture("../http/ok.gz")).unwrap();
    assert!(bomb.len() < 11_000);
    let server = Server::new(move |index, _, peer| {
        let body = if index == 0 { &small } else { &bomb };
        let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", body.len());
        peer.write_all(head.as_bytes()).unwrap();
        peer.write_all(body).unwrap();
    });
    let host = host_for(&server);
    assert_eq!(get(&host, server.url("/")), ok());
    assert_eq!(get(&host, server.url("/")), refused("host.answer_too_large"));
}

// Servers that misbehave

#[test]
fn answers_that_are_no_http_are_refused() {
    for (answer, expected) in [
        ("", "host.connection"),
        ("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\r\n\r\n", "host.protocol"),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n\r\n", "host.protocol"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", "host.connection"),
        ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "host.protocol"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk", "host.protocol"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "host.protocol"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", "host.connection"),
        ("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok", "host.protocol"),
    ] {
        assert_eq!(outcome(answer), refused(expected), "{answer:?}");
    }
}

#[test]
fn answers_in_unusual_but_proper_form_are_read() {
    for answer in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\no\r\n1\r\nk\r\n0\r\nX-Trailer: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nok",
        "HTTP/1.0 200 OK\r\n\r\nok",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
    ] {
        assert_eq!(outcome(answer), ok(), "{answer:?}");
    }
}

#[test]
fn headers_without_end_are_cut_off() {
    for (more, expected) in [("X-More: and more\r\n", "host.protocol"), ("and more and more", "host.answer_too_large")]
    {
        let server = Server::new(move |_, _, peer| {
            let _ = peer.write_all(b"HTTP/1.1 200 OK\r\nX-Long: ");
            while peer.write_all(more.as_bytes()).is_ok() {}
        });
        assert_eq!(get(&host_for(&server), server.url("/")), refused(expected), "{more}");
    }
}

#[test]
fn interim_answers_without_end_are_cut_off() {
    for interim in ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"] {
        let server = Server::new(move |_, _, peer| while peer.write_all(interim.as_bytes()).is_ok() {});
        let answer = get(&host_for(&server), server.url("/"));
        assert_eq!(answer, refused("host.answer_too_large"), "{interim}");
    }
}

#[test]
fn a_connection_that_is_reset_is_an_error_of_the_server() {
    let server = Server::new(|_, _, peer| {
        // Closing with unread bytes in the buffer resets; the request is longer than what the server read.
        drop(peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"));
    });
    let host = host_for(&server);
    assert_eq!(get(&host, server.url("/")), refused("host.connection"));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    grant(&host, json!([format!("service.example:{closed}")]));
    assert_eq!(get(&host, format!("http://service.example:{closed}/")), refused("host.connection"));
}

#[test]
fn bytes_after_an_answer_are_never_taken_for_the_next_one() {
    let poison = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    let server = Server::answering([poison, OK]);
    let host = host_for(&server);
    assert_eq!((get(&host, server.url("/1")), get(&host, server.url("/2"))), (ok(), ok()));
    assert_eq!(server.requests().len(), 2, "each request has a connection of its own");
}

#[test]
fn a_server_that_dribbles_is_left_at_the_time_limit_or_the_deadline() {
    let dribble = |_: usize, _: &str, peer: &mut dyn Peer| {
        let _ = peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        while peer.write_all(b"x").and_then(|()| peer.flush()).is_ok() {
            std::thread::yield_now();
            std::thread::park_timeout(Duration::from_millis(5));
        }
    };
    let server = Server::new(dribble);
    let scope = json!([format!("service.example:{}", server.port)]);
    let short = HttpOptions { timeout: Duration::from_millis(200), ..options() };
    assert_eq!(get(&host_with(short, &names(&[]), scope.clone()), server.url("/")), refused("host.timeout"));
    let host = host_with(options(), &names(&[]), scope);
    let request = json!({"url": server.url("/")}).to_string();
    assert_eq!(host.code("caller", "http_request", request, &timeout(300)), ErrorCode::PluginDeadline);
}

#[test]
fn cancelling_a_call_ends_its_transfer_wherever_it_is() {
    let (sender, receiver) = mpsc::channel();
    let silent = Server::new(move |_, _, peer| {
        sender.send(()).unwrap();
        // Until the other side is gone.
        let _ = peer.read(&mut [0; 1]);
    });
    let host = host_for(&silent);
    let cancellation = Cancellation::new();
    let switch = cancellation.clone();
    let canceller = std::thread::spawn(move || {
        receiver.recv_timeout(PATIENCE).unwrap();
        switch.cancel();
    });
    let request = json!({"url": silent.url("/")}).to_string();
    assert_eq!(host.code("caller", "http_request", request, &cancellable(&cancellation)), ErrorCode::PluginCancelled);
    canceller.join().unwrap();
}

#[test]
fn a_plugin_has_only_so_many_requests_under_way() {
    let (sender, receiver) = mpsc::channel();
    let server = Server::new(move |_, _, peer| {
        sender.send(()).unwrap();
        let _ = peer.read(&mut [0; 1]);
    });
    let options = HttpOptions { max_concurrent_per_plugin: 1, ..options() };
    let scope = json!([format!("service.example:{}", server.port)]);
    let host = host_with(options, &names(&[]), scope.clone());
    let permissions = json!([{"type": "http", "scope": scope, "allow_private": ["127.0.0.0/8"]}]);
    host.set_policy("busy", json!({"permissions": permissions, "instances": 2}));
    host.load(&Guest::registered(&json!({"name": "busy", "version": "1.0.0", "resources": {"instances": 2}})));
    let request = json!({"url": server.url("/")});
    let cancellation = Cancellation::new();
    let (done, ended) = mpsc::channel();
    let options = CallOptions { cancellation: cancellation.clone(), ..CallOptions::default() };
    let tell = Box::new(move |outcome: goatflow_plugin::manager::Outcome| done.send(outcome.is_err()).unwrap());
    host.manager.start_call("busy", "http_request", request.to_string().as_bytes(), options, tell).unwrap();
    receiver.recv_timeout(PATIENCE).unwrap();
    assert_eq!(host.ask("busy", "http_request", &request), Err("policy.outbound.busy".into()));
    cancellation.cancel();
    assert!(ended.recv_timeout(PATIENCE).unwrap());
}

// Addresses

#[test]
fn names_that_lead_inside_are_refused() {
    let server = Server::answering([OK]);
    for address in [
        "127.0.0.1",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "100.100.100.200",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
        "fd00:ec2::254",
        "fd20:ce::254",
    ] {
        let script = names(&[("service.example", &[&[address]]), ("mixed.example", &[&["203.0.113.9", address]])]);
        let scope = json!([format!("service.example:{}", server.port), format!("mixed.example:{}", server.port)]);
        let host = host_with(options(), &script, json!([]));
        host.approve("caller", json!([{"type": "http", "scope": scope}]));
        assert_eq!(get(&host, server.url("/")), refused("policy.http.address_denied"), "{address}");
        let mixed = format!("http://mixed.example:{}/", server.port);
        assert_eq!(get(&host, mixed), refused("policy.http.address_denied"), "{address} beside a public one");
    }
    assert_eq!(server.requests(), Vec::<String>::new());
}

#[test]
fn the_address_inside_is_told_to_the_administrator_and_not_to_the_plugin() {
    let script = names(&[("service.example", &[&["10.11.12.13"]])]);
    let host = host_with(options(), &script, json!(["service.example"]));
    let request = json!({"method": "GET", "url": "http://service.example/"}).to_string();
    let told = host.ask_raw("caller", "http_request", request).unwrap_err();
    assert_eq!(
        (&told["code"], &told["detail"]["rule"]),
        (&json!("policy.http.address_denied"), &json!("http.address"))
    );
    assert_eq!(told["detail"]["target"], "http://service.example/");
    assert!(!told.to_string().contains("10.11.12.13") && told["detail"]["no_suggestion"].is_string(), "{told}");
    let recorded = &host.stats("caller")["denied"][0];
    assert_eq!(recorded["code"], "policy.http.address_denied");
    assert_eq!(recorded["suggestions"][0]["allow_private"], json!(["10.11.12.13/32"]));
}

#[test]
fn opened_networks_do_not_open_others() {
    let server = Server::answering([OK]);
    let turns: [&[&str]; 4] = [&["127.0.0.1"], &["169.254.169.254"], &["::1"], &["::ffff:127.0.0.1"]];
    let script = names(&[("service.example", &turns)]);
    let host = host_with(options(), &script, json!([format!("service.example:{}", server.port)]));
    assert_eq!(get(&host, server.url("/")), ok());
    for _ in 0..3 {
        assert_eq!(get(&host, server.url("/")), refused("policy.http.address_denied"));
    }
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_name_is_looked_up_once_for_each_request_and_the_checked_address_is_used() {
    let server = Server::answering([OK]);
    // A name that turns after the first look-up: a second look-up for the connection would go elsewhere.
    let script = names(&[("service.example", &[&["127.0.0.1"], &["10.0.0.1"]])]);
    let host = host_with(options(), &script, json!([format!("service.example:{}", server.port)]));
    assert_eq!(get(&host, server.url("/")), ok());
    assert_eq!(*script.asked.lock().unwrap(), ["service.example"]);
    assert_eq!(get(&host, server.url("/")), refused("policy.http.address_denied"));
}

#[test]
fn names_without_an_address_are_unresolved() {
    let server = Server::answering([OK]);
    let script = names(&[("empty.example", &[&[]])]);
    let scope = json!([format!("empty.example:{}", server.port), format!("unknown.example:{}", server.port)]);
    let host = host_with(options(), &script, scope);
    for name in ["empty", "unknown"] {
        let url = format!("http://{name}.example:{}/", server.port);
        assert_eq!(get(&host, url), refused("host.name_unresolved"), "{name}");
    }
}

#[test]
fn the_next_address_is_tried_when_one_does_not_answer() {
    let server = Server::answering([OK]);
    let script = names(&[("service.example", &[&["127.0.0.2", "127.0.0.1"]])]);
    let host = host_with(options(), &script, json!([format!("service.example:{}", server.port)]));
    assert_eq!(get(&host, server.url("/")), ok());
}

// Redirects

fn redirect(status: u16, location: &str) -> String {
    format!("HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
}

#[test]
fn redirects_are_followed_inside_the_grant_and_refused_outside() {
    for (location, expected) in [
        ("/next", ok()),
        ("next?x=1", ok()),
        ("http://other.example:{port}/", ok()),
        ("//other.example:{port}/x", ok()),
        ("http://forbidden.example:{port}/", refused("policy.http.url_denied")),
        ("http://service.example/", refused("policy.http.url_denied")),
        ("http://127.0.0.1:{port}/", refused("policy.http.url_denied")),
        ("http://inside.example:{port}/", refused("policy.http.address_denied")),
        ("http://user@other.example:{port}/", refused("policy.http.invalid")),
        ("http://other.example:{port}\\@evil/", refused("policy.http.invalid")),
        ("ftp://other.example/", refused("policy.http.invalid")),
        ("file:///etc/passwd", refused("policy.http.invalid")),
        ("http://[::ffff:127.0.0.1]:{port}/", refused("policy.http.invalid")),
        ("http://0x7f.1:{port}/", refused("policy.http.invalid")),
        ("http://2130706433:{port}/", refused("policy.http.invalid")),
    ] {
        let listening: Arc<Mutex<String>> = Arc::default();
        let answer = Arc::clone(&listening);
        let server = Server::new(move |index, _, peer| {
            let answer = if index == 0 { answer.lock().unwrap().clone() } else { OK.to_owned() };
            peer.write_all(answer.as_bytes()).unwrap();
        });
        let port = server.port.to_string();
        *listening.lock().unwrap() = redirect(302, &location.replace("{port}", &port));
        let script = names(&[("other.example", &[&["127.0.0.1"]]), ("inside.example", &[&["10.0.0.1"]])]);
        let scope: Vec<String> = ["service", "other", "inside"].map(|name| format!("{name}.example:{port}")).into();
        let host = host_with(options(), &script, json!(scope));
        assert_eq!(get(&host, server.url("/a/b")), expected, "{location}");
        assert_eq!(server.requests().len(), if expected.is_ok() { 2 } else { 1 }, "{location}");
    }
}

#[test]
fn five_redirects_are_followed_and_no_more() {
    for (redirects, expected) in [(5, ok()), (6, refused("policy.http.invalid"))] {
        let server = Server::new(move |index, _, peer| {
            let answer = if index < redirects { redirect(302, &format!("/{index}")) } else { OK.to_owned() };
            peer.write_all(answer.as_bytes()).unwrap();
        });
        assert_eq!(get(&host_for(&server), server.url("/")), expected);
        assert_eq!(server.requests().len(), 6);
    }
}

#[test]
fn redirects_change_methods_and_bodies_as_browsers_do() {
    for (status, method, expected) in [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (303, "POST", "GET"),
        (303, "PUT", "GET"),
        (303, "HEAD", "HEAD"),
        (307, "POST", "POST"),
        (308, "PUT", "PUT"),
        (301, "PUT", "PUT"),
        (302, "DELETE", "DELETE"),
    ] {
        let first = redirect(status, "/next");
        let server = Server::answering([&first, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]);
        let body = if ["HEAD", "DELETE"].contains(&method) { "" } else { "aGVsbG8=" };
        let headers = json!({"Content-Type": "text/plain", "X-Mine": "1"});
        let request = json!({"method": method, "url": server.url("/"), "body": body, "headers": headers});
        assert_eq!(fetch(&host_for(&server), request), Ok((200, String::new())));
        let second = server.requests()[1].to_ascii_lowercase();
        let line = format!("{} /next http/1.1", expected.to_ascii_lowercase());
        assert_eq!(second.lines().next(), Some(line.as_str()), "{status} {method}");
        assert_eq!(second.ends_with("hello"), method == expected && !body.is_empty(), "{status} {method}");
        assert_eq!(second.contains("content-type"), method == expected, "{status} {method}");
        assert!(second.contains("x-mine: 1") && second.contains("x-goatflow-plugin: caller"));
    }
}

#[test]
fn credentials_stay_with_the_server_they_were_meant_for() {
    let second = Server::answering([OK]);
    let elsewhere = redirect(307, &format!("http://service.example:{}/", second.port));
    let first = Server::answering([&redirect(307, "/again"), &elsewhere]);
    let scope: Vec<String> = [&first, &second].map(|server| format!("service.example:{}", server.port)).into();
    let host = host_with(options(), &names(&[]), json!(scope));
    let headers = json!({"Authorization": "Bearer x", "Cookie": "a=b", "X-Api-Key": "k", "Accept": "text/plain"});
    assert_eq!(fetch(&host, json!({"url": first.url("/"), "headers": headers})), ok());
    let has = |request: &str| {
        ["authorization:", "cookie:", "x-api-key:", "accept:"].map(|name| request.to_ascii_lowercase().contains(name))
    };
    assert_eq!(first.requests().iter().map(|request| has(request)).collect::<Vec<_>>(), [[true; 4]; 2]);
    assert_eq!(has(&second.requests()[0]), [false, false, false, true]);
    assert!(!second.requests()[0].to_ascii_lowercase().contains("referer"));
}

#[test]
fn a_redirect_that_names_several_places_is_refused_and_one_without_a_place_is_an_answer() {
    let two = "HTTP/1.1 302 Moved\r\nLocation: /a\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(outcome(two), refused("policy.http.invalid"));
    assert_eq!(
        outcome("HTTP/1.1 302 Moved\r\nLocation: /\u{e4}\r\nContent-Length: 0\r\n\r\n"),
        refused("policy.http.invalid")
    );
    assert_eq!(outcome("HTTP/1.1 302 Moved\r\nContent-Length: 2\r\n\r\nok"), Ok((302, "ok".into())));
    assert_eq!(outcome("HTTP/1.1 304 Not Modified\r\nLocation: /a\r\n\r\n"), Ok((304, String::new())));
}

#[test]
fn a_policy_that_changes_meanwhile_holds_for_the_next_redirect() {
    for (change, expected) in
        [(json!({"status": "blocked"}), "policy.blocked"), (json!({"permissions": []}), "policy.http.url_denied")]
    {
        let (arrived, wait) = mpsc::channel();
        let (go, gone) = mpsc::channel::<()>();
        let server = Server::new(move |_, _, peer| {
            arrived.send(()).unwrap();
            gone.recv_timeout(PATIENCE).unwrap();
            peer.write_all(redirect(302, "/next").as_bytes()).unwrap();
        });
        let host = host_for(&server);
        let answer = std::thread::scope(|scope| {
            let asking = scope.spawn(|| get(&host, server.url("/")));
            wait.recv_timeout(PATIENCE).unwrap();
            host.set_policy("caller", change);
            go.send(()).unwrap();
            asking.join().unwrap()
        });
        assert_eq!((answer, server.requests().len()), (refused(expected), 1));
    }
}

// Encryption

/// A server that does not wait for a request, and speaks plainly.
fn talks_first() -> Server {
    let talk = |mut stream: TcpStream| {
        drop(stream.write_all(OK.as_bytes()));
        None
    };
    Server::wrapped(talk, |_, _, _| {})
}

#[test]
fn encrypted_servers_must_prove_their_name() {
    let answer =
        |_: usize, _: &str, peer: &mut dyn Peer| drop(peer.write_all(OK.as_bytes()).and_then(|()| peer.flush()));
    let (trusted, stranger, plain) = (Server::tls("server", answer), Server::tls("stranger", answer), talks_first());
    let script = names(&[("other.example", &[&["127.0.0.1"]])]);
    let ports = [trusted.port, stranger.port, plain.port];
    let scope: Vec<String> =
        ports.iter().flat_map(|port| [format!("service.example:{port}"), format!("other.example:{port}")]).collect();
    let host = host_with(options(), &script, json!(scope));
    let https = |name: &str, server: &Server| get(&host, format!("https://{name}.example:{}/", server.port));
    assert_eq!(https("service", &trusted), ok());
    assert_eq!(https("other", &trusted), refused("host.tls"), "a certificate for another name");
    assert_eq!(https("service", &stranger), refused("host.tls"), "a certificate nobody vouches for");
    assert_eq!(https("service", &plain), refused("host.tls"), "no TLS at all");
    let without = HttpOptions { ca_file: None, ..options() };
    let host = host_with(without, &script, json!(scope));
    let url = format!("https://service.example:{}/", trusted.port);
    assert_eq!(get(&host, url), refused("host.tls"), "only the configured file vouches for it");
}

#[test]
fn an_encrypted_server_does_not_redirect_to_a_plain_one() {
    let plain = Server::answering([OK]);
    let location = redirect(302, &plain.url("/"));
    let server =
        Server::tls("server", move |_, _, peer| drop(peer.write_all(location.as_bytes()).and_then(|()| peer.flush())));
    let scope: Vec<String> = [&plain, &server].map(|server| format!("service.example:{}", server.port)).into();
    let host = host_with(options(), &names(&[]), json!(scope));
    assert_eq!(get(&host, format!("https://service.example:{}/", server.port)), refused("policy.http.invalid"));
    assert_eq!(plain.requests(), Vec::<String>::new());
}
