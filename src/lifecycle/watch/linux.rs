//! Events of the file system, from inotify.
//!
//! Directories on the way to a file are watched for being moved or removed themselves, which makes no noise however busy
//! they are; only directories whose content matters are watched for that.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use super::scope::Interest;
use crate::clock::Nanos;

/// File systems on which others can change files without this machine noticing, by their magic numbers: NFS, SMB (three),
/// FUSE, 9P, Ceph, AFS, Coda, VirtualBox.
const REMOTE: [u64; 10] = [
    0x6969,
    0x517B,
    0xFF53_4D42,
    0xFE53_4D42,
    0x6573_5546,
    0x0102_1997,
    0x00C3_6400,
    0x5346_414F,
    0x7375_7245,
    0x786F_4256,
];

/// What the system watches for one target.
#[derive(Default)]
pub(super) struct Armed {
    pub(super) interests: HashMap<i32, Interest>,
}

/// Why there are no events.
pub(super) struct Wanting(pub(super) String);

/// Something happened.
pub(super) struct Notice {
    pub(super) watch: i32,
    pub(super) name: Option<OsString>,
    pub(super) happened: Happened,
}

/// What happened, as far as it matters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Happened {
    /// Events were lost.
    Overflow,
    /// The system watches this no more.
    Ignored,
    /// Somebody wrote to a file.
    Modified,
    /// Somebody who could write to a file closed it.
    Closed,
    /// The name is gone, or stands for another file now.
    Gone,
    /// Anything else.
    Other,
}

/// Where events come from. Closed with the last watch.
pub(super) struct Source {
    inotify: Result<Arc<OwnedFd>, String>,
    /// How many targets want each watch.
    wanted: HashMap<i32, usize>,
}

impl Source {
    pub(super) fn open() -> Self {
        let opened = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK);
        let inotify = opened.map(Arc::new).map_err(|problem| match problem {
            Errno::MFILE | Errno::NFILE => {
                "no more watchers can be had (raise fs.inotify.max_user_instances, or the limit on open files)"
                    .to_owned()
            }
            problem => format!("the system sends no events: {problem}"),
        });
        Self { inotify, wanted: HashMap::new() }
    }

    /// Watches these places for a target, and what it wanted before no more.
    pub(super) fn arm(&mut self, places: &BTreeMap<PathBuf, Interest>, armed: &mut Armed) -> Result<(), Wanting> {
        let inotify = match &self.inotify {
            Ok(inotify) => inotify,
            Err(reason) => return Err(Wanting(reason.clone())),
        };
        let mut interests: HashMap<i32, Interest> = HashMap::new();
        let mut wanting = None;
        for (place, interest) in places {
            if *interest != Interest::Itself && is_remote(place) {
                wanting = Some(format!("`{}` is on a file system that sends no events", place.display()));
                break;
            }
            match inotify::add_watch(inotify, place, flags(interest)) {
                Ok(watch) => drop(interests.insert(watch, interest.clone())),
                // Gone, or something else by now: the next look sees that, and whoever made it so is watched.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                // On the way there; the directory itself is what matters.
                Err(Errno::ACCESS) if *interest == Interest::Itself => {}
                Err(problem) => {
                    wanting = Some(reason(place, problem));
                    break;
                }
            }
        }
        // First the new ones, then away with the old ones: what is in both is never without a watch.
        for watch in interests.keys() {
            *self.wanted.entry(*watch).or_default() += 1;
        }
        let before = std::mem::replace(armed, Armed { interests });
        self.release(before);
        wanting.map_or(Ok(()), |reason| Err(Wanting(reason)))
    }

    /// Watches no more for a target that is gone.
    pub(super) fn release(&mut self, armed: Armed) {
        for watch in armed.interests.into_keys() {
            let Some(count) = self.wanted.get_mut(&watch) else { continue };
            *count -= 1;
            if *count == 0 {
                self.wanted.remove(&watch);
                if let Ok(inotify) = &self.inotify {
                    // One that the system removed by itself can't be removed.
                    let _ = inotify::remove_watch(inotify, watch);
                }
            }
        }
    }

    /// Everything that happened so far.
    pub(super) fn read(&mut self) -> Vec<Notice> {
        let Ok(inotify) = &self.inotify else { return Vec::new() };
        let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
        let mut reader = Reader::new(inotify, &mut buffer);
        let mut notices = Vec::new();
        while let Ok(event) = reader.next() {
            let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()).to_owned());
            let happened = happened(event.events());
            if happened == Happened::Ignored {
                self.wanted.remove(&event.wd());
            }
            notices.push(Notice { watch: event.wd(), name, happened });
            if reader.is_buffer_empty() && notices.len() >= MAX_NOTICES {
                break;
            }
        }
        notices
    }

    /// What becomes readable when something happens.
    pub(super) fn descriptor(&self) -> Option<Arc<OwnedFd>> {
        self.inotify.as_ref().ok().cloned()
    }
}

/// Events that are read before somebody looks at the files; the rest waits its turn.
const MAX_NOTICES: usize = 4_096;

fn flags(interest: &Interest) -> WatchFlags {
    let itself = WatchFlags::DONT_FOLLOW
        | WatchFlags::MASK_ADD
        | WatchFlags::MOVE_SELF
        | WatchFlags::DELETE_SELF
        | WatchFlags::ATTRIB;
    if *interest == Interest::Itself {
        return itself;
    }
    itself
        | WatchFlags::ONLYDIR
        | WatchFlags::CREATE
        | WatchFlags::DELETE
        | WatchFlags::MODIFY
        | WatchFlags::CLOSE_WRITE
        | WatchFlags::MOVED_FROM
        | WatchFlags::MOVED_TO
}

fn happened(flags: ReadFlags) -> Happened {
    let gone = ReadFlags::DELETE | ReadFlags::MOVED_FROM | ReadFlags::MOVED_TO | ReadFlags::CREATE;
    match () {
        () if flags.contains(ReadFlags::QUEUE_OVERFLOW) => Happened::Overflow,
        () if flags.intersects(ReadFlags::IGNORED | ReadFlags::UNMOUNT) => Happened::Ignored,
        () if flags.contains(ReadFlags::CLOSE_WRITE) => Happened::Closed,
        () if flags.contains(ReadFlags::MODIFY) => Happened::Modified,
        () if flags.intersects(gone) => Happened::Gone,
        () => Happened::Other,
    }
}

fn reason(place: &Path, problem: Errno) -> String {
    match problem {
        Errno::NOSPC | Errno::NOMEM => "no more files can be watched (raise fs.inotify.max_user_watches)".to_owned(),
        problem => format!("`{}` can't be watched: {problem}", place.display()),
    }
}

fn is_remote(place: &Path) -> bool {
    rustix::fs::statfs(place).is_ok_and(|found| u64::try_from(found.f_type).is_ok_and(|magic| REMOTE.contains(&magic)))
}

/// Wakes the thread up.
pub(super) struct Bell(OwnedFd);

impl Bell {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    pub(super) fn ring(&self) {
        // Fails only when it was rung very often already.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Waits for the bell, for events, or until `timeout` is over.
    pub(super) fn wait(&self, events: Option<&OwnedFd>, timeout: Option<Nanos>) {
        let timeout = timeout.map(|nanos| Timespec {
            tv_sec: i64::try_from(nanos / 1_000_000_000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(nanos % 1_000_000_000).unwrap_or(0),
        });
        let bell = PollFd::new(&self.0, PollFlags::IN);
        // A signal ends the wait early, which does no harm.
        let _ = match events {
            Some(events) => poll(&mut [bell, PollFd::new(events, PollFlags::IN)], timeout.as_ref()),
            None => poll(&mut [bell], timeout.as_ref()),
        };
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.0, &mut count);
    }
}
