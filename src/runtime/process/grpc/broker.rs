//! go-plugin's broker, from the host's end: tells the plugin where the host's service listens.
//!
//! The plugin forgets an announcement that it has not used within five seconds, so that it is made right before `Init`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use h2::SendStream;
use h2::client::ResponseFuture;
use tokio::runtime::Handle;

use super::super::session::Lost;
use super::client::{Begun, Client, begin, end};
use super::fate::Fate;
use super::fault::{Fault, Status};
use super::message::encode;
use crate::proto::goplugin::ConnInfo;

/// Number that the host's service is announced under.
pub(super) const HOST_SERVICE_ID: u32 = 1;

/// Longest announcement of a plugin that is read, in bytes.
const MAX_ANNOUNCEMENT: usize = 16 * 1024;

/// Why a plugin is not usable that ended the stream too early.
pub(super) const ENDED: &str = "the plugin ended its broker's stream before the host could say where it listens (keep \
                                `StartStream` of `plugin.GRPCBroker` open, and read from it)";

/// The stream of announcements.
pub(super) struct Broker {
    announcements: Mutex<SendStream<Bytes>>,
    address: String,
    has_ended: Arc<AtomicBool>,
}

impl Broker {
    /// Opens the stream; `address` is what will be announced.
    pub(super) fn open(client: &Client, io: &Handle, fate: &Arc<Fate>, address: &str) -> Result<Self, Fault> {
        let (answer, announcements) = client.start("/plugin.GRPCBroker/StartStream", None)?;
        let has_ended = Arc::new(AtomicBool::new(false));
        fate.spawn(io, {
            let (fate, has_ended) = (Arc::clone(fate), Arc::clone(&has_ended));
            async move {
                match listen(answer).await {
                    Err(Fault::Status(status)) if status.code == Status::UNIMPLEMENTED => fate.lose(Lost::Protocol(
                        "the plugin has no broker, so that it can't reach the host (serve `plugin.GRPCBroker`)"
                            .to_owned(),
                    )),
                    Err(fault) => fate.lose_if_broken(&fault),
                    Ok(()) => (),
                }
                has_ended.store(true, Ordering::Release);
            }
        });
        Ok(Self { announcements: Mutex::new(announcements), address: address.to_owned(), has_ended })
    }

    /// Tells the plugin where the host listens; false when it has ended the stream.
    pub(super) fn announce(&self) -> Result<bool, Fault> {
        let announcement = ConnInfo {
            service_id: HOST_SERVICE_ID,
            network: "unix".to_owned(),
            address: self.address.clone(),
            knock: None,
        };
        let mut announcements = self.announcements.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(announcements.send_data(encode(&announcement)?, false).is_ok() && !self.has_ended())
    }

    /// Whether the plugin has ended the stream.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }
}

/// Takes what the plugin announces. The host uses none of it: the plugin's service is on the connection it has.
async fn listen(answer: ResponseFuture) -> Result<(), Fault> {
    match begin(answer).await? {
        Begun::Ended(status) => status.into_result(),
        Begun::Messages(mut messages) => {
            while messages.next::<ConnInfo>(MAX_ANNOUNCEMENT).await?.is_some() {}
            end(&mut messages).await?.into_result()
        }
    }
}
