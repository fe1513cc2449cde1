//! go-plugin's broker, from the host's end: tells the plugin where the host's service listens.
//!
//! The plugin forgets an announcement that it has not used within five seconds, so that it is made right before `Init`.

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

/// The stream of announcements.
pub(super) struct Broker {
    announcements: Mutex<SendStream<Bytes>>,
    address: String,
}

impl Broker {
    /// Opens the stream; `address` is what will be announced.
    pub(super) fn open(client: &Client, io: &Handle, fate: &Arc<Fate>, address: &str) -> Result<Self, Fault> {
        let (answer, announcements) = client.start("/plugin.GRPCBroker/StartStream", None)?;
        fate.spawn(io, {
            let fate = Arc::clone(fate);
            async move {
                match listen(answer).await {
                    Err(Fault::Status(status)) if status.code == Status::UNIMPLEMENTED => fate.lose(Lost::Protocol(
                        "the plugin has no broker, so that it can't reach the host (serve `plugin.GRPCBroker`)"
                            .to_owned(),
                    )),
                    Err(fault) => fate.lose_if_broken(&fault),
                    Ok(()) => (),
                }
            }
        });
        Ok(Self { announcements: Mutex::new(announcements), address: address.to_owned() })
    }

    /// Tells the plugin where the host listens.
    pub(super) fn announce(&self) -> Result<(), Fault> {
        let announcement = ConnInfo {
            service_id: HOST_SERVICE_ID,
            network: "unix".to_owned(),
            address: self.address.clone(),
            knock: None,
        };
        let mut announcements = self.announcements.lock().unwrap_or_else(PoisonError::into_inner);
        announcements.send_data(encode(&announcement)?, false).map_err(Fault::from)
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
