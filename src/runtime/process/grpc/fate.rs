//! How a session ends: who notices first tells the supervisor, and the supervisor says how the process ended.

use std::future::Future;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::super::running::END_PATIENCE;
use super::super::session::{Ending, Lost, OnLost};
use super::fault::Fault;
use crate::error::{Error, ErrorCode, Result};

/// How long a call waits to learn how the process ended, once the connection is gone: longer than a process may take to end
/// before it is made to.
const PATIENCE: Duration = END_PATIENCE.saturating_add(Duration::from_secs(2));

/// How long a call that was reset looks out for the end of the whole session.
const MOMENT: Duration = Duration::from_millis(100);

/// The end of a session, and the tasks that end with it.
pub(super) struct Fate {
    state: Mutex<State>,
    news: watch::Sender<News>,
}

/// Holds a session's fate for as long as the session is wanted; its tasks hold it too.
pub(super) struct Life(Arc<Fate>);

impl Life {
    /// A session that has just begun.
    pub(super) fn new(on_lost: OnLost) -> Self {
        let state = State { on_lost: Some(on_lost), ..State::default() };
        Self(Arc::new(Fate { state: Mutex::new(state), news: watch::Sender::default() }))
    }
}

impl Deref for Life {
    type Target = Arc<Fate>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.0.close(None);
    }
}

#[derive(Default)]
struct State {
    tasks: Vec<AbortHandle>,
    on_lost: Option<OnLost>,
    is_over: bool,
}

#[derive(Default)]
struct News {
    lost: Option<Lost>,
    ending: Option<Ending>,
}

impl News {
    /// What a call fails with, once that is known.
    fn error(&self) -> Option<Error> {
        match (&self.lost, &self.ending) {
            (Some(Lost::Protocol(reason)), _) => Some(Error::new(ErrorCode::PluginProtocol, reason.clone())),
            (_, Some(ending)) => Some(ending.error()),
            (_, None) => None,
        }
    }
}

impl Fate {
    /// Starts a task that ends with the session at the latest.
    pub(super) fn spawn(&self, io: &Handle, task: impl Future<Output = ()> + Send + 'static) {
        let mut state = self.state();
        if state.is_over {
            return;
        }
        state.tasks.retain(|task| !task.is_finished());
        state.tasks.push(io.spawn(task).abort_handle());
    }

    /// The session can't go on. The first one who says so is believed; all tasks end.
    pub(super) fn lose(&self, lost: Lost) {
        let on_lost = {
            let mut state = self.state();
            if state.is_over {
                return;
            }
            state.end();
            self.news.send_modify(|news| news.lost = Some(lost.clone()));
            state.on_lost.take()
        };
        if let Some(on_lost) = on_lost {
            on_lost(lost);
        }
    }

    /// As [`Self::lose`], when that is what `fault` means: a single call may fail, or be ended, in a session that goes on.
    pub(super) fn lose_if_broken(&self, fault: &Fault) {
        match fault {
            Fault::Status(_) | Fault::Reset(_) => (),
            Fault::Gone => self.lose(Lost::Closed),
            Fault::TooLong { .. } | Fault::Malformed(_) | Fault::Broken(_) => {
                self.lose(Lost::Protocol(fault.to_string()));
            }
        }
    }

    /// The host ends the session; nobody is told any more that it is lost.
    pub(super) fn close(&self, ending: Option<Ending>) {
        let on_lost = {
            let mut state = self.state();
            state.end();
            state.on_lost.take()
        };
        drop(on_lost);
        self.news.send_if_modified(|news| {
            let is_new = news.ending.is_none() && ending.is_some();
            if is_new {
                news.ending = ending;
            }
            is_new
        });
    }

    /// Fails once the session has ended.
    pub(super) fn check(&self) -> Result<()> {
        self.news.borrow().error().map_or(Ok(()), Err)
    }

    /// The error of a call whose connection is gone. Waits shortly for the news how the process ended.
    pub(super) async fn error(&self) -> Error {
        let mut news = self.news.subscribe();
        let known = tokio::time::timeout(PATIENCE, news.wait_for(|news| news.error().is_some())).await;
        let error = known.ok().and_then(std::result::Result::ok).and_then(|news| news.error());
        error.unwrap_or_else(|| Error::new(ErrorCode::PluginProtocol, "the plugin closed its connection"))
    }

    /// Whether the session has ended, or does at this moment: calls may learn of that before it is said here.
    pub(super) async fn ends_now(&self) -> bool {
        let mut news = self.news.subscribe();
        let ended = news.wait_for(|news| news.lost.is_some() || news.ending.is_some());
        tokio::time::timeout(MOMENT, ended).await.is_ok_and(|ended| ended.is_ok())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn end(&mut self) {
        self.is_over = true;
        for task in self.tasks.drain(..) {
            task.abort();
        }
    }
}
