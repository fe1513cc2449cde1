//! Hands events to subscribers: in order, on worker threads, never on the thread that caused the event.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::ArcSwap;
use serde_json::Value;

use crate::error::{Error, ErrorCode, Result};
use crate::executor;
use crate::host::{Event, EventSink};
use crate::json;

/// Events that wait for slow subscribers, and their bytes; further ones are dropped and counted.
const MAX_WAITING: usize = 10_000;
const MAX_WAITING_BYTES: usize = 32 * 1024 * 1024;

/// Takes an event.
pub type Subscriber = Box<dyn Fn(&str) + Send + Sync>;

/// Everybody who wants events.
#[derive(Default)]
pub struct EventHub {
    subscriptions: ArcSwap<Vec<Weak<Subscription>>>,
    queue: Mutex<Queue>,
    changing: Mutex<()>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    dropped: u64,
    /// A worker is handing events out.
    busy: bool,
}

/// An event on its way.
struct Waiting {
    kind: &'static str,
    plugin: Arc<str>,
    text: String,
}

/// One subscriber; it gets no new events once this is dropped.
pub struct Subscription {
    kinds: Option<HashSet<String>>,
    plugin: Option<String>,
    subscriber: Subscriber,
}

impl EventHub {
    /// A hub without subscribers.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Adds a subscriber. `filter` is JSON `{"kinds": […], "plugin": "…"}`; what is absent does not restrict.
    pub fn subscribe(&self, filter: &[u8], subscriber: Subscriber) -> Result<Arc<Subscription>> {
        let (kinds, plugin) = parse_filter(filter)?;
        let subscription = Arc::new(Subscription { kinds, plugin, subscriber });
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut subscriptions: Vec<_> =
            self.subscriptions.load().iter().filter(|known| known.strong_count() > 0).cloned().collect();
        subscriptions.push(Arc::downgrade(&subscription));
        self.subscriptions.store(Arc::new(subscriptions));
        Ok(subscription)
    }

    /// Events that no subscriber got because too many waited.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.queue().dropped
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_out(&self) {
        loop {
            let next = {
                let mut queue = self.queue();
                let next = queue.waiting.pop_front();
                queue.busy = next.is_some();
                queue.bytes -= next.as_ref().map_or(0, |event| event.text.len());
                next
            };
            let Some(event) = next else { return };
            for subscription in self.subscriptions.load_full().iter().filter_map(Weak::upgrade) {
                if subscription.wants(&event) {
                    let hand_over = || (subscription.subscriber)(&event.text);
                    // A subscriber that panics must not take the others' events along.
                    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(hand_over));
                }
            }
        }
    }
}

impl Subscription {
    fn wants_kind(&self, kind: &str) -> bool {
        self.kinds.as_ref().is_none_or(|kinds| kinds.contains(kind))
    }

    fn wants(&self, event: &Waiting) -> bool {
        self.wants_kind(event.kind) && self.plugin.as_deref().is_none_or(|plugin| *plugin == *event.plugin)
    }
}

/// A sink that shares a hub: what services hold.
pub struct HubSink(pub Arc<EventHub>);

impl EventSink for HubSink {
    fn wants(&self, kind: &'static str) -> bool {
        self.0.subscriptions.load().iter().filter_map(Weak::upgrade).any(|subscription| subscription.wants_kind(kind))
    }

    fn emit(&self, event: Event) {
        let text = event.to_json().to_string();
        let mut queue = self.0.queue();
        if queue.waiting.len() >= MAX_WAITING || queue.bytes + text.len() > MAX_WAITING_BYTES {
            queue.dropped += 1;
            return;
        }
        queue.bytes += text.len();
        queue.waiting.push_back(Waiting { kind: event.kind, plugin: event.plugin, text });
        if std::mem::replace(&mut queue.busy, true) {
            return;
        }
        drop(queue);
        let hub = Arc::clone(&self.0);
        if executor::spawn(move || hub.hand_out()).is_err() {
            // No thread to be had: the events stay, and the next one tries again.
            self.0.queue().busy = false;
        }
    }
}

type Filter = (Option<HashSet<String>>, Option<String>);

fn parse_filter(text: &[u8]) -> Result<Filter> {
    if text.is_empty() {
        return Ok((None, None));
    }
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Document {
        kinds: Option<HashSet<String>>,
        plugin: Option<String>,
    }
    let document: Document = json::from_object(text).map_err(|error| {
        Error::new(ErrorCode::ArgumentJson, "the event filter is not {\"kinds\": […], \"plugin\": \"…\"}")
            .with_source(error)
    })?;
    let unknown = document.kinds.iter().flatten().find(|kind| !Event::KINDS.contains(&kind.as_str()));
    if let Some(unknown) = unknown {
        return Err(Error::new(ErrorCode::ArgumentInvalid, format!("there is no kind of event `{unknown}`"))
            .with_detail("kinds", Value::from(Event::KINDS.to_vec())));
    }
    Ok((document.kinds, document.plugin))
}

impl std::fmt::Debug for EventHub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventHub").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("kinds", &self.kinds).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn events_arrive_in_order_and_only_where_wanted() {
        let hub = EventHub::new();
        let sink = HubSink(Arc::clone(&hub));
        let (sender, receiver) = mpsc::channel();
        let subscription = hub
            .subscribe(
                br#"{"kinds":["log"],"plugin":"a"}"#,
                Box::new(move |event| sender.send(event.to_owned()).unwrap()),
            )
            .unwrap();
        assert!(sink.wants("log") && !sink.wants("published"));
        for number in 0..100 {
            sink.emit(Event::new("log", &"b".into()));
            sink.emit(Event::new("log", &"a".into()).with("number", number));
        }
        for number in 0..100 {
            assert_eq!(receiver.recv().unwrap(), format!(r#"{{"kind":"log","number":{number},"plugin":"a"}}"#));
        }
        drop(subscription);
        assert!(!sink.wants("log"));
    }

    #[test]
    fn filters_are_strict() {
        let hub = EventHub::new();
        let code = |filter: &str| hub.subscribe(filter.as_bytes(), Box::new(|_| {})).unwrap_err().code();
        assert_eq!(code(r#"{"kind":["log"]}"#), ErrorCode::ArgumentJson);
        assert_eq!(code(r#"{"kinds":["logs"]}"#), ErrorCode::ArgumentInvalid);
    }
}
