//! A scripted resolver: names and what they resolve to, the first time and after.

use std::net::{IpAddr, Ipv4Addr};

use crate::policy::json::Node;
use crate::policy::scope::domain::is_below;
use crate::policy::scope::http::StrictHost;

/// The `resolve` member of a request, and how often each name was looked up.
#[derive(Debug)]
pub(super) struct Lookup<'n> {
    script: Option<&'n Node>,
    asked: Vec<Box<str>>,
}

impl<'n> Lookup<'n> {
    pub(super) fn new(script: Option<&'n Node>) -> Self {
        Self { script: script.filter(|script| **script != Node::Null), asked: Vec::new() }
    }

    /// Addresses of `host`: none to check when it is an address, or when nothing is scripted and the name is not one
    /// that always means the machine itself. A scripted look-up that does not know the name finds no address.
    pub(super) fn addresses(&mut self, host: &StrictHost) -> Result<Option<Vec<IpAddr>>, String> {
        let StrictHost::Name(name) = host else { return Ok(None) };
        let Some(script) = self.script else {
            let is_local = **name == *"localhost" || is_below(name, "localhost");
            return Ok(is_local.then(|| vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]));
        };
        let Node::Object(entries) = script else {
            return Err("`resolve` must be an object of names and lists of addresses".to_owned());
        };
        let times = self.asked.iter().filter(|asked| *asked == name).count();
        self.asked.push(name.clone());
        let entry = entries.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        entry.map_or(Ok(Some(Vec::new())), |(_, answers)| answer(answers, times).map(Some))
    }
}

/// The answer to the look-up that follows `times` earlier ones; the last answer repeats.
fn answer(answers: &Node, times: usize) -> Result<Vec<IpAddr>, String> {
    let wrong = || "`resolve` has something else than lists of addresses".to_owned();
    match answers {
        Node::Text(_) => address(answers).map(|address| vec![address]).ok_or_else(wrong),
        Node::List(items) if items.iter().any(|item| matches!(item, Node::List(_))) => {
            let turn = items.get(times).or_else(|| items.last()).ok_or_else(wrong)?;
            let Node::List(turn) = turn else { return Err(wrong()) };
            turn.iter().map(|item| address(item).ok_or_else(wrong)).collect()
        }
        Node::List(items) => items.iter().map(|item| address(item).ok_or_else(wrong)).collect(),
        _ => Err(wrong()),
    }
}

fn address(node: &Node) -> Option<IpAddr> {
    node.text()?.parse().ok()
}
