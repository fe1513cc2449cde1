//! The conversation with the launcher: one socket, messages of NUL-separated fields, some with a descriptor.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use super::JailExit;
use super::status::{Failure, Layer};
use crate::clock::{self, Nanos};
use crate::error::{Error, ErrorCode, Result};

/// Longest message; paths in it are shorter than half of that.
const MAX_MESSAGE_BYTES: usize = 8 * 1024;

/// What the launcher says.
#[derive(Debug)]
pub(super) enum Message {
    /// A descriptor of the process of that name.
    Descriptor(String, OwnedFd),
    /// A layer, in force or not.
    Layer(Layer),
    /// A control group that was made.
    Group(String),
    /// The start failed.
    Failed(Failure),
    /// Everything but the program runs.
    Ready,
    /// The program runs.
    Started,
    /// The program ended.
    Ended(JailExit),
    /// All is cleaned up; true when the jail's memory was used up.
    Over(bool),
    /// Nobody is left to say anything.
    End,
}

/// Two connected sockets that keep the bounds of messages.
pub(super) fn pair() -> Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(|errno| no_descriptors("socket", errno))
}

/// Error for a descriptor that the system did not give.
pub(super) fn no_descriptors(what: &str, errno: Errno) -> Error {
    Error::new(ErrorCode::EnvironmentResources, format!("can't make a {what} for a native plugin"))
        .with_source(std::io::Error::from(errno))
}

/// Sends a message with descriptors.
pub(super) fn send(socket: BorrowedFd<'_>, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<()> {
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut control = SendAncillaryBuffer::new(&mut room);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(crate::error::bug!("too many descriptors for the launcher"));
    }
    match sendmsg(socket, &[IoSlice::new(message)], &mut control, SendFlags::NOSIGNAL) {
        Ok(_) => Ok(()),
        Err(errno) => Err(Error::new(ErrorCode::EnvironmentJailLauncher, "the launcher of native plugins went away")
            .with_source(std::io::Error::from(errno))),
    }
}

/// Waits until one of the descriptors has something to say, at most until `deadline`; false when that comes first.
pub(super) fn wait_for(descriptors: &[BorrowedFd<'_>], deadline: Option<Nanos>) -> Result<bool> {
    let mut list: Vec<_> = descriptors.iter().map(|one| PollFd::from_borrowed_fd(*one, PollFlags::IN)).collect();
    loop {
        let left = deadline.map(|deadline| Duration::from_nanos(deadline.saturating_sub(clock::now())));
        // A time too long for the system is as good as none.
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut list, timeout.as_ref()) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(no_descriptors("wait", errno)),
        }
    }
}

/// The next message that is there already; `None` when there is none.
pub(super) fn receive(socket: BorrowedFd<'_>) -> Result<Option<Message>> {
    let mut text = vec![0_u8; MAX_MESSAGE_BYTES];
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut control = RecvAncillaryBuffer::new(&mut room);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let length = match recvmsg(socket, &mut [IoSliceMut::new(&mut text)], &mut control, flags) {
        Ok(received) => received.bytes,
        Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
        Err(Errno::CONNRESET) => 0,
        Err(errno) => {
            return Err(Error::new(ErrorCode::EnvironmentJailLauncher, "can't hear the launcher of native plugins")
                .with_source(std::io::Error::from(errno)));
        }
    };
    let mut passed = control.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect(),
        _ => Vec::new(),
    });
    let text = String::from_utf8_lossy(text.get(..length).unwrap_or_default());
    let passed = passed.next();
    if passed.is_none() && text.starts_with("descriptor\0") {
        // What this process has no room for is lost on the way.
        return Err(no_descriptors("place for a descriptor", Errno::MFILE));
    }
    parse(&text, passed).map(Some).ok_or_else(|| crate::error::bug!("the launcher said `{}`", text.escape_debug()))
}

fn parse(text: &str, passed: Option<OwnedFd>) -> Option<Message> {
    let fields: Vec<&str> = text.split('\0').collect();
    Some(match *fields.as_slice() {
        [""] => Message::End,
        ["ready"] => Message::Ready,
        ["started"] => Message::Started,
        ["descriptor", name] => Message::Descriptor(name.to_owned(), passed?),
        ["layer", "group", "ok", "", "0", path] => Message::Group(path.to_owned()),
        ["layer", name, "ok", "", "0", fact] => Message::Layer(Layer::ok(name, fact)),
        ["layer", name, state, step, errno, place] => {
            Message::Layer(Layer::failed(name, state == "reduced", &failure(step, errno, place)?))
        }
        ["failed", step, errno, place] => Message::Failed(failure(step, errno, place)?),
        ["ended", "code", code] => Message::Ended(exit(Some(code.parse().ok()?), None)),
        ["ended", "signal", signal] => Message::Ended(exit(None, Some(signal.parse().ok()?))),
        ["over", why] => Message::Over(why == "memory"),
        _ => return None,
    })
}

fn failure(step: &str, errno: &str, place: &str) -> Option<Failure> {
    Some(Failure { step: step.to_owned(), errno: errno.parse().ok()?, place: place.to_owned() })
}

fn exit(code: Option<i32>, signal: Option<i32>) -> JailExit {
    JailExit { code, signal, out_of_memory: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(text: &str) -> String {
        format!("{:?}", parse(text, None))
    }

    #[test]
    fn messages_of_the_launcher_are_understood() {
        assert_eq!(heard("ready"), "Some(Ready)");
        assert_eq!(heard(""), "Some(End)");
        assert_eq!(heard("over\0memory"), "Some(Over(true))");
        assert_eq!(heard("layer\0group\0ok\0\00\0/a"), "Some(Group(\"/a\"))");
        let Some(Message::Ended(exit)) = parse("ended\0signal\09", None) else { panic!("not an end") };
        assert_eq!(exit, JailExit { code: None, signal: Some(9), out_of_memory: false });
        let Some(Message::Failed(failure)) = parse("failed\0bind\02\0/x", None) else { panic!("not a failure") };
        assert_eq!(failure, Failure { step: "bind".into(), errno: 2, place: "/x".into() });
    }

    #[test]
    fn anything_else_is_not() {
        for text in ["go", "ready\0", "ended\0code\0x", "layer\0a", "failed\0a\0b\0c", "descriptor\0init", "over"] {
            assert_eq!(heard(text), "None", "{text:?}");
        }
    }
}
