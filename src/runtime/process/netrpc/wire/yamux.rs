//! yamux: many streams over one connection. This side opened the connection, so that its streams have odd numbers and
//! those of the plugin even ones.
//!
//! A frame has a header of twelve bytes: version, kind, flags, stream and a number, which is the length of the data that
//! follows, the growth of a window, or a value of its own.

use std::collections::BTreeMap;

use super::buffer::Buffer;
use super::{Wired, broken};

/// Bytes that a side may send on a new stream before the other one allows more.
const INITIAL_WINDOW: u32 = 256 * 1024;

/// Room that is given back at once; less is collected.
const LEAST_UPDATE: u32 = INITIAL_WINDOW / 2;

/// Most data in one frame, so that streams take turns.
const MAX_FRAME: usize = 32 * 1024;

/// Frames with so many bytes carry something.
const LEAST_CONTENT: u32 = 64;

/// Finished frames that wait for the connection; more are not made.
const MAX_OUTPUT: usize = 256 * 1024;

/// Streams of the plugin at the same time; a plugin needs one.
const MAX_INCOMING: usize = 4;

/// Number of the last stream that a plugin may open.
const MAX_STREAM: u32 = 8192;

const HEADER: usize = 12;

const DATA: u8 = 0;
const WINDOW_UPDATE: u8 = 1;
const PING: u8 = 2;
const GO_AWAY: u8 = 3;

const SYN: u16 = 1;
const ACK: u16 = 2;
const FIN: u16 = 4;
const RST: u16 = 8;

/// Something happened on a stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The plugin opened it.
    Opened(u32),
    /// Bytes came on it; they count against its window until they are given back.
    Data(u32, &'a [u8]),
    /// The plugin sends nothing more on it.
    Finished(u32),
    /// The plugin cut it off.
    Cut(u32),
}

/// One connection.
#[derive(Debug, Default)]
pub struct Yamux {
    streams: BTreeMap<u32, Stream>,
    opened: u32,
    incoming: usize,
    last_incoming: u32,
    header: [u8; HEADER],
    header_length: usize,
    /// Stream and bytes of the data frame that is being read.
    data: Option<(u32, u32)>,
    /// Flags of a frame that are not yet told.
    finished: Option<Event<'static>>,
    output: Buffer,
    /// Stream whose turn it is.
    turn: u32,
    traffic: Traffic,
}

/// What passed, for whoever counts it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Frames of the plugin without content, or with next to none.
    pub idle: u64,
    /// Frames with content that were sent.
    pub sent: u64,
}

#[derive(Debug)]
struct Stream {
    /// Bytes that the plugin lets us send.
    send_window: u32,
    /// Bytes that the plugin may send.
    receive_window: u32,
    /// Bytes that were used up and not given back.
    used: u32,
    queue: Buffer,
    is_finishing: bool,
    is_finished: bool,
    is_finished_there: bool,
}

#[derive(Debug, Clone, Copy)]
struct Header {
    kind: u8,
    flags: u16,
    stream: u32,
    number: u32,
}

impl Yamux {
    /// Opens a stream.
    pub fn open(&mut self) -> u32 {
        let id = self.opened * 2 + 1;
        self.opened += 1;
        self.streams.insert(id, Stream::new());
        self.put(Header { kind: WINDOW_UPDATE, flags: SYN, stream: id, number: 0 });
        id
    }

    /// Reads frames up to the next event; `input` is left with what was not read.
    pub fn receive<'a>(&mut self, input: &mut &'a [u8]) -> Wired<Option<Event<'a>>> {
        loop {
            if self.data.is_none()
                && let Some(event) = self.finished.take()
            {
                if let Event::Finished(id) = event {
                    self.forget_finished(id);
                }
                return Ok(Some(event));
            }
            if input.is_empty() {
                return Ok(None);
            }
            let event = match self.data {
                Some((id, left)) => self.read_data(id, left, input),
                None => self.read_header(input)?,
            };
            if event.is_some() {
                return Ok(event);
            }
        }
    }

    /// What passed since this was asked the last time.
    pub fn traffic(&mut self) -> Traffic {
        std::mem::take(&mut self.traffic)
    }

    /// Gives bytes that came on a stream back to its window.
    pub fn give_back(&mut self, id: u32, count: usize) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.used = stream.used.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        if stream.used >= LEAST_UPDATE && !stream.is_finished_there {
            let number = std::mem::take(&mut stream.used);
            stream.receive_window = stream.receive_window.saturating_add(number);
            self.put(Header { kind: WINDOW_UPDATE, flags: 0, stream: id, number });
        }
    }

    /// Where bytes are appended that a stream shall send; nothing when it is gone.
    pub fn queue(&mut self, id: u32) -> Option<&mut Vec<u8>> {
        self.streams.get_mut(&id).filter(|stream| !stream.is_finishing).map(|stream| stream.queue.end())
    }

    /// Bytes that a stream has still to send.
    pub fn queued(&self, id: u32) -> usize {
        self.streams.get(&id).map_or(0, |stream| stream.queue.len())
    }

    /// Bytes that all streams of the plugin have still to send.
    pub fn queued_on_incoming(&self) -> usize {
        let incoming = self.streams.iter().filter(|(id, _)| id.is_multiple_of(2));
        incoming.map(|(_, stream)| stream.queue.len()).sum()
    }

    /// Sends nothing more on a stream, once its queue is empty.
    pub fn finish(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.is_finishing = true;
        }
    }

    /// Cuts a stream off.
    pub fn cut(&mut self, id: u32) {
        if self.remove(id) {
            self.put(Header { kind: WINDOW_UPDATE, flags: RST, stream: id, number: 0 });
        }
    }

    /// What the connection has to send at this moment.
    pub fn output(&mut self) -> &[u8] {
        self.make_frames();
        self.output.front()
    }

    /// Takes from the output what was sent.
    pub fn sent(&mut self, count: usize) {
        self.output.consume(count);
    }

    /// False while the plugin does not take what is sent to it: nothing is read from it either then, so that it can't
    /// make the host collect answers.
    pub fn wants_input(&self) -> bool {
        self.output.len() < 2 * MAX_OUTPUT
    }

    fn read_data<'a>(&mut self, id: u32, left: u32, input: &mut &'a [u8]) -> Option<Event<'a>> {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        let (data, rest) = input.split_at_checked(count)?;
        *input = rest;
        let left = left.saturating_sub(u32::try_from(count).unwrap_or(u32::MAX));
        self.data = Some((id, left)).filter(|(_, left)| *left > 0);
        // Data of a stream that was cut off comes until the plugin knows.
        self.streams.contains_key(&id).then_some(Event::Data(id, data))
    }

    fn read_header<'a>(&mut self, input: &mut &'a [u8]) -> Wired<Option<Event<'a>>> {
        while self.header_length < HEADER {
            let Some((byte, rest)) = input.split_first() else { return Ok(None) };
            if let Some(place) = self.header.get_mut(self.header_length) {
                *place = *byte;
            }
            self.header_length += 1;
            *input = rest;
        }
        self.header_length = 0;
        let header = Header::read(self.header)?;
        let is_idle = header.kind != DATA || header.number < LEAST_CONTENT;
        self.traffic.idle += u64::from(is_idle);
        match header.kind {
            PING => {
                if header.flags & SYN != 0 {
                    self.put(Header { kind: PING, flags: ACK, stream: 0, number: header.number });
                }
                Ok(None)
            }
            GO_AWAY => match header.number {
                0 => Ok(None),
                code => broken(format!("the plugin gave up the connection with code {code}")),
            },
            _ => self.stream_frame(header),
        }
    }

    fn stream_frame<'a>(&mut self, header: Header) -> Wired<Option<Event<'a>>> {
        let Header { kind, flags, stream: id, number } = header;
        let mut event = None;
        if flags & SYN != 0 {
            event = self.accept(id)?;
        } else if !self.was_opened(id) {
            return broken(format!("a frame is for the stream {id}, which was never opened"));
        }
        if kind == DATA && number > 0 {
            self.data = Some((id, number));
        }
        let Some(stream) = self.streams.get_mut(&id) else { return Ok(None) };
        if kind == DATA {
            stream.take_data(id, number)?;
        } else {
            stream.send_window = match stream.send_window.checked_add(number) {
                Some(window) => window,
                None => return broken(format!("the window of stream {id} grows beyond what a number can say")),
            };
        }
        if flags & RST != 0 {
            self.remove(id);
            self.finished = Some(Event::Cut(id));
        } else if flags & FIN != 0 {
            if std::mem::replace(&mut stream.is_finished_there, true) {
                return broken(format!("stream {id} is finished a second time"));
            }
            self.finished = Some(Event::Finished(id));
        }
        Ok(event)
    }

    fn accept(&mut self, id: u32) -> Wired<Option<Event<'static>>> {
        if id == 0 || !id.is_multiple_of(2) || self.streams.contains_key(&id) {
            return broken(format!("the plugin opens the stream {id}, which is not its to open"));
        }
        if id > MAX_STREAM {
            return broken(format!("the plugin opened more than {} streams", MAX_STREAM / 2));
        }
        self.last_incoming = self.last_incoming.max(id);
        if self.incoming >= MAX_INCOMING {
            self.put(Header { kind: WINDOW_UPDATE, flags: RST, stream: id, number: 0 });
            return Ok(None);
        }
        self.incoming += 1;
        self.streams.insert(id, Stream::new());
        self.put(Header { kind: WINDOW_UPDATE, flags: ACK, stream: id, number: 0 });
        Ok(Some(Event::Opened(id)))
    }

    fn was_opened(&self, id: u32) -> bool {
        if id.is_multiple_of(2) { id != 0 && id <= self.last_incoming } else { id / 2 < self.opened }
    }

    fn remove(&mut self, id: u32) -> bool {
        let is_there = self.streams.remove(&id).is_some();
        if is_there && id.is_multiple_of(2) {
            self.incoming -= 1;
        }
        is_there
    }

    fn forget_finished(&mut self, id: u32) {
        let is_over = |stream: &Stream| stream.is_finished && stream.is_finished_there;
        // Data of its last frame still follows, so that it is told to whoever reads the stream.
        if self.data.is_none_or(|(reading, _)| reading != id) && self.streams.get(&id).is_some_and(is_over) {
            self.remove(id);
        }
    }

    fn put(&mut self, header: Header) {
        self.output.extend(&header.bytes());
    }

    /// Lets the streams take turns until nothing can be sent, or enough waits.
    fn make_frames(&mut self) {
        let mut idle = 0;
        while self.output.len() < MAX_OUTPUT && idle <= self.streams.len() {
            let next = self.streams.range(self.turn..).chain(self.streams.range(..self.turn)).next();
            let Some(id) = next.map(|(id, _)| *id) else { return };
            self.turn = id + 1;
            idle = if self.make_frame(id) { 0 } else { idle + 1 };
        }
    }

    fn make_frame(&mut self, id: u32) -> bool {
        let Some(stream) = self.streams.get_mut(&id) else { return false };
        let window = usize::try_from(stream.send_window).unwrap_or(usize::MAX);
        let count = stream.queue.len().min(window).min(MAX_FRAME);
        if count > 0 {
            let number = u32::try_from(count).unwrap_or_default();
            stream.send_window -= number;
            self.traffic.sent += 1;
            self.output.extend(&Header { kind: DATA, flags: 0, stream: id, number }.bytes());
            self.output.extend(stream.queue.front().get(..count).unwrap_or_default());
            stream.queue.consume(count);
            return true;
        }
        if stream.is_finishing && !stream.is_finished && stream.queue.is_empty() {
            stream.is_finished = true;
            self.put(Header { kind: WINDOW_UPDATE, flags: FIN, stream: id, number: 0 });
            self.forget_finished(id);
            return true;
        }
        false
    }
}

impl Stream {
    fn new() -> Self {
        Self {
            send_window: INITIAL_WINDOW,
            receive_window: INITIAL_WINDOW,
            used: 0,
            queue: Buffer::default(),
            is_finishing: false,
            is_finished: false,
            is_finished_there: false,
        }
    }

    fn take_data(&mut self, id: u32, count: u32) -> Wired<()> {
        if self.is_finished_there && count > 0 {
            return broken(format!("data comes on stream {id}, which was finished"));
        }
        match self.receive_window.checked_sub(count) {
            Some(window) => {
                self.receive_window = window;
                Ok(())
            }
            None => broken(format!("{count} bytes come on stream {id}, whose window has {}", self.receive_window)),
        }
    }
}

impl Header {
    fn read(bytes: [u8; HEADER]) -> Wired<Self> {
        let [version, kind, f0, f1, s0, s1, s2, s3, n0, n1, n2, n3] = bytes;
        if version != 0 || kind > GO_AWAY {
            return broken(format!("a yamux frame has version {version} and kind {kind}"));
        }
        let flags = u16::from_be_bytes([f0, f1]);
        let (stream, number) = (u32::from_be_bytes([s0, s1, s2, s3]), u32::from_be_bytes([n0, n1, n2, n3]));
        Ok(Self { kind, flags, stream, number })
    }

    fn bytes(self) -> [u8; HEADER] {
        let [f0, f1] = self.flags.to_be_bytes();
        let [s0, s1, s2, s3] = self.stream.to_be_bytes();
        let [n0, n1, n2, n3] = self.number.to_be_bytes();
        [0, self.kind, f0, f1, s0, s1, s2, s3, n0, n1, n2, n3]
    }
}
