//! Who connects to the host's service, and how often.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};

use super::hostile_host_service::{CALL, ask, client, framed, head, open, run, try_client};
use super::peer;
use super::*;

#[test]
fn strangers_are_turned_away_and_cost_the_plugin_nothing() {
    let asked = Arc::new(AtomicU32::new(0));
    let is_peer = {
        let asked = Arc::clone(&asked);
        move |_: std::os::fd::BorrowedFd<'_>| asked.fetch_add(1, Ordering::SeqCst) >= 8
    };
    let stage = Stage::with_peers(peer::serve(Arc::default()), Arc::new(is_peer)).unwrap();
    stage.host_calls.open();
    run(async {
        for _ in 0..8 {
            if let Ok(stranger) = try_client(&stage).await {
                assert!(ask(&stranger, head(CALL), framed("echo", b"")).await.is_err());
            }
        }
        let plugin = client(&stage).await;
        assert_eq!(ask(&plugin, head(CALL), framed("echo", b"1")).await.unwrap().2.unwrap().result, b"1");
    });
    assert_eq!(stage.host.calls.lock().unwrap().len(), 1);
}

#[test]
fn a_fifth_connection_waits_until_another_one_ends() {
    let stage = open();
    run(async {
        let mut clients = Vec::new();
        for _ in 0..4 {
            let client = client(&stage).await;
            assert_eq!(ask(&client, head(CALL), framed("echo", b"1")).await.unwrap().2.unwrap().result, b"1");
            clients.push(client);
        }
        let fifth = client(&stage).await;
        let mut asked = pin!(ask(&fifth, head(CALL), framed("echo", b"5")));
        assert_eq!(ask(&clients[0], head(CALL), framed("echo", b"2")).await.unwrap().2.unwrap().result, b"2");
        assert!(now(asked.as_mut()).is_none(), "served beside four others");
        clients.pop();
        assert_eq!(asked.await.unwrap().2.unwrap().result, b"5");
    });
}

#[test]
fn a_plugin_may_close_idle_connections_and_connect_again() {
    let stage = open();
    run(async {
        for _ in 0..80 {
            let client = client(&stage).await;
            assert_eq!(ask(&client, head(CALL), framed("echo", b"1")).await.unwrap().2.unwrap().result, b"1");
        }
    });
}

#[test]
fn bytes_that_are_not_http2_cost_one_connection() {
    let stage = open();
    run(async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::UnixStream::connect(&stage.address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        // The end may come as a reset.
        let _ = stream.read_to_end(&mut answer).await;
        let client = client(&stage).await;
        assert_eq!(ask(&client, head(CALL), framed("echo", b"1")).await.unwrap().2.unwrap().result, b"1");
    });
    assert!(stage.lost.lock().unwrap().try_recv().is_err());
}

/// What a future has to say at this moment.
fn now<T>(future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
