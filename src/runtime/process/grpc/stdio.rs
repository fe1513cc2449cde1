//! go-plugin's standard output and error: what the plugin's library caught of them comes as a stream.

use std::sync::Arc;

use bytes::Bytes;
use h2::SendStream;
use h2::client::ResponseFuture;
use tokio::runtime::Handle;

use super::super::session::{Channel, Output};
use super::client::{Begun, Client, begin, end};
use super::fate::Fate;
use super::fault::Fault;
use super::message::encode;
use crate::proto::goplugin::{StdioData, stdio_data};

/// Longest message of the stream, in bytes; go-plugin sends a kilobyte at most.
const MAX_MESSAGE: usize = 256 * 1024;

/// Bytes that are handed on at once.
const CHUNK: usize = 16 * 1024;

/// Asks for the stream, and hands on what comes. Plugins that have none are as good.
pub(super) fn open(client: &Client, io: &Handle, fate: &Arc<Fate>, output: Output) -> Result<(), Fault> {
    let (answer, mut request) = client.start("/plugin.GRPCStdio/StreamStdio", None)?;
    // When the plugin has refused already, the answer says how.
    let _ = request.send_data(encode(&())?, true);
    fate.spawn(io, {
        let fate = Arc::clone(fate);
        async move {
            if let Err(fault) = listen(answer, request, output).await {
                fate.lose_if_broken(&fault);
            }
        }
    });
    Ok(())
}

/// `request` is kept: the stream ends when nobody holds it.
async fn listen(answer: ResponseFuture, request: SendStream<Bytes>, output: Output) -> Result<(), Fault> {
    let outcome = match begin(answer).await? {
        Begun::Ended(status) => status.into_result(),
        Begun::Messages(mut messages) => {
            while let Some(data) = messages.next::<StdioData>(MAX_MESSAGE).await? {
                // The stream's window is given back as its bytes are read: the plugin waits as long.
                hand_on(&data, &output).await;
            }
            end(&mut messages).await?.into_result()
        }
    };
    drop(request);
    outcome
}

async fn hand_on(data: &StdioData, output: &Output) {
    let channel = match data.channel() {
        stdio_data::Channel::Stdout => Channel::Stdout,
        stdio_data::Channel::Stderr => Channel::Stderr,
        stdio_data::Channel::Invalid => return,
    };
    for chunk in data.data.chunks(CHUNK) {
        let mut pause = output(channel, chunk);
        while let Some(until) = pause {
            tokio::time::sleep_until(until).await;
            // It may be worth several pauses.
            pause = output(channel, &[]);
        }
    }
}
