//! The first words between host and plugin: the plugin's line, and the connection to the socket that it names.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use tokio::sync::oneshot;

use super::grpc::IsPeer;
use super::handshake::{self, Handshake};
use super::jail::JailedChild;
use super::session::wait;
use crate::error::{Error, ErrorCode, Result};
use crate::plugin::CallContext;

/// Waits for the first line, and connects to the socket that it names: one in `sockets`, which the plugin knows by that path
/// and the host by `directory`.
pub(super) fn greet(
    first_line: oneshot::Receiver<Result<Vec<u8>>>,
    (sockets, directory): (&Path, BorrowedFd<'_>),
    is_peer: &IsPeer,
    context: &CallContext,
) -> Result<(Handshake, UnixStream)> {
    let line = wait(context, first_line)?;
    let line =
        line.unwrap_or_else(|_| Err(Error::new(ErrorCode::PluginHandshake, "the plugin's output was closed")))?;
    let handshake = handshake::parse(&line, sockets)?;
    let stream = connect_to(directory, &handshake.socket, context)?;
    if !is_peer(stream.as_fd()) {
        return Err(Error::new(
            ErrorCode::PluginHandshake,
            "the socket that the plugin named belongs to another process (a plugin listens itself)",
        ));
    }
    Ok((handshake, stream))
}

/// Connects without ever blocking: a socket whose owner does not listen properly could hold up a blocking one for ever.
fn connect_to(directory: BorrowedFd<'_>, socket: &Path, context: &CallContext) -> Result<UnixStream> {
    let failed = |errno: Errno| {
        Error::new(ErrorCode::PluginHandshake, "can't connect to the socket that the plugin named")
            .with_source(std::io::Error::from(errno))
    };
    // Held on to before it is looked at: the plugin could put a link to a socket of the host in its place.
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let name = socket.file_name().unwrap_or_default();
    let place = rustix::fs::openat(directory, name, flags, Mode::empty()).map_err(failed)?;
    if FileType::from_raw_mode(rustix::fs::fstat(&place).map_err(failed)?.st_mode) != FileType::Socket {
        return Err(Error::new(ErrorCode::PluginHandshake, "what the plugin named as its socket is something else"));
    }
    let address = SocketAddrUnix::new(format!("/proc/thread-self/fd/{}", place.as_raw_fd())).map_err(failed)?;
    loop {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(failed)?;
        match connect(&socket, &address) {
            Ok(()) => return Ok(UnixStream::from(socket)),
            // The queue of connections is full.
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Err(failed(errno)),
        }
        context.check_alive()?;
        std::thread::park_timeout(context.remaining().min(Duration::from_millis(5)));
    }
}

/// Whether the other end of a connection is this plugin's process.
pub(super) fn peer_check(child: &JailedChild) -> IsPeer {
    let (user, process) = (child.user(), child.pid());
    Arc::new(move |stream: BorrowedFd<'_>| {
        let own = rustix::process::geteuid().as_raw();
        rustix::net::sockopt::socket_peercred(stream).is_ok_and(|peer| {
            let is_same_process = u32::try_from(peer.pid.as_raw_pid()).ok() == process;
            process.is_some() && is_same_process && peer.uid.as_raw() == user.unwrap_or(own)
        })
    })
}
