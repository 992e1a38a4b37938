//! What is sent: bytes at hand, a file, or a stream read by a thread of its own.

use std::fs::File;
use std::io::{self, Read};
use std::mem;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::mpsc as blocking;
use std::task::{Context, Poll, ready};
use std::thread;

use tokio::sync::mpsc;

use crate::failure::{Failure, Kind};
use crate::sanitize;
use crate::sys::{self, Readiness};

/// How much is read at a time. A pipe gives 64 KiB at most; for files larger reads cost fewer
/// wake-ups, and beyond this no time was gained.
const CHUNK: usize = 128 * 1024;
/// One being filled, one being sent, one between them.
const CHUNKS: usize = 3;
/// How much is read without a thread where it is there already: a short message is sooner sent
/// than a thread started, and a long one is read while it is sent.
const READ_AT_ONCE: u64 = 64 * 1024;
/// How much of standard input is kept where it is to be sent more than once.
const REPEATABLE: u64 = 1024 * 1024;

/// What to send.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// Where its bytes come from.
    pub source: Source,
    /// What is appended to it; in a conversation, what ends each line.
    pub line_end: &'static [u8],
}

/// Where a message comes from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// From the command line.
    Bytes(Rc<[u8]>),
    /// From a file, opened for each exchange.
    File(PathBuf),
    /// From standard input, as it comes, once.
    Stdin,
    /// From a person at a terminal, line by line.
    Conversation,
}

impl Message {
    /// The message as one that can be sent more than once: standard input is read and kept.
    pub(super) fn repeatable(self) -> Result<Self, Failure> {
        let source = match self.source {
            Source::Conversation => {
                return Err(Failure::usage(
                    "a conversation can't be held with more than one connection",
                )
                .hint("give the message with -m or --file"));
            }
            Source::Stdin => {
                let mut bytes = Vec::new();
                stdin()
                    .map_err(|error| failed(&error))?
                    .take(REPEATABLE + 1)
                    .read_to_end(&mut bytes)
                    .map_err(|error| failed(&error))?;
                if bytes.len() as u64 > REPEATABLE {
                    return Err(Failure::usage(
                        "standard input is larger than 1 MiB, too much to be sent more than once",
                    )
                    .hint("give it with --file"));
                }
                Source::Bytes(bytes.into())
            }
            again => again,
        };
        Ok(Self { source, ..self })
    }

    /// Starts to read it.
    pub(super) fn open(&self) -> Result<Feed, Failure> {
        let (bytes, more) = match &self.source {
            Source::Bytes(bytes) => (bytes.to_vec(), More::Nothing),
            Source::File(path) => (Vec::new(), More::Ready(open("--file", path)?, 0)),
            Source::Stdin | Source::Conversation => {
                let stdin = stdin().map_err(|error| failed(&error))?;
                (Vec::new(), More::Ready(stdin, 0))
            }
        };
        let conversation = matches!(self.source, Source::Conversation);
        Ok(Feed {
            length: bytes.len(),
            bytes: bytes.into(),
            sent: 0,
            more,
            each_line_ends: conversation
                .then_some(self.line_end)
                .filter(|end| !end.is_empty()),
            last: (!conversation)
                .then_some(self.line_end)
                .filter(|end| !end.is_empty()),
        })
    }
}

/// Whether a file name means standard input.
pub(super) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Opens a file that the command line names; `option` is the one that does.
pub(super) fn open(option: &str, path: &Path) -> Result<File, Failure> {
    let shown = sanitize::one_line(&path.to_string_lossy());
    let named = |what: &str| Failure::usage(format!("{option} {shown}: {what}"));
    let file = File::open(path).map_err(|error| {
        let text = error.to_string();
        named(text.split(" (os error").next().unwrap_or(&text))
    })?;
    match file.metadata() {
        Ok(metadata) if metadata.is_dir() => Err(named("it is a directory")),
        _ => Ok(file),
    }
}

/// Standard input without std's buffer, which would copy every byte.
#[cfg(unix)]
pub(super) fn stdin() -> io::Result<File> {
    use std::os::fd::AsFd;
    Ok(io::stdin().as_fd().try_clone_to_owned()?.into())
}

/// Standard input without std's buffer, which would copy every byte.
#[cfg(windows)]
pub(super) fn stdin() -> io::Result<File> {
    use std::os::windows::io::AsHandle;
    Ok(io::stdin().as_handle().try_clone_to_owned()?.into())
}

/// A failure to read the message.
pub(super) fn failed(error: &io::Error) -> Failure {
    let kind = match error.kind() {
        io::ErrorKind::IsADirectory => Kind::Usage,
        _ => Kind::Internal,
    };
    Failure::new(kind, format!("the message could not be read: {error}"))
}

/// A message on its way: the part at hand, and where more comes from.
#[derive(Debug)]
pub(super) struct Feed {
    bytes: Box<[u8]>,
    length: usize,
    sent: usize,
    more: More,
    /// What replaces the terminal's LF.
    each_line_ends: Option<&'static [u8]>,
    /// What is appended at the end.
    last: Option<&'static [u8]>,
}

impl Feed {
    /// What is at hand and not yet sent.
    pub(super) fn pending(&self) -> &[u8] {
        &self.bytes[self.sent..self.length]
    }

    /// The first `count` bytes of [`Feed::pending`] are sent.
    pub(super) fn advance(&mut self, count: usize) {
        self.sent += count;
    }

    /// Lets go of what is left.
    pub(super) fn discard(&mut self) {
        self.sent = self.length;
        self.more = More::Nothing;
        self.last = None;
    }

    /// Waits until something is pending; false at the end of the message.
    pub(super) fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        while self.pending().is_empty() {
            if let Some(chunk) = ready!(self.more.poll_chunk(cx))? {
                self.take(chunk);
                continue;
            }
            match self.last.take() {
                Some(end) => {
                    self.bytes = end.into();
                    (self.sent, self.length) = (0, end.len());
                }
                None => return Poll::Ready(Ok(false)),
            }
        }
        Poll::Ready(Ok(true))
    }

    fn take(&mut self, chunk: Chunk) {
        let emptied = match self.each_line_ends {
            None => mem::replace(&mut self.bytes, chunk.bytes),
            Some(end) => {
                let lines = with_line_ends(&chunk.bytes[..chunk.length], end);
                (self.sent, self.length) = (0, lines.len());
                self.bytes = lines.into();
                chunk.bytes
            }
        };
        if self.each_line_ends.is_none() {
            (self.sent, self.length) = (0, chunk.length);
        }
        if let More::Pumped(pump) = &self.more
            && !emptied.is_empty()
        {
            // Where the reader has ended, nobody needs it.
            let _ = pump.emptied.send(emptied);
        }
    }
}

/// Where more of a message comes from.
#[derive(Debug)]
enum More {
    /// There is no more.
    Nothing,
    /// A file of which so many bytes have been read here, while it was ready.
    Ready(File, u64),
    /// A thread that reads.
    Pumped(Pump),
}

impl More {
    /// The next chunk; none at the end.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Chunk>>> {
        if let Self::Ready(file, taken) = self {
            if *taken < READ_AT_ONCE && sys::is_readable(file) {
                let mut bytes = vec![0; CHUNK].into_boxed_slice();
                let length = read(file, &mut bytes)?;
                *taken += length as u64;
                if length > 0 {
                    return Poll::Ready(Ok(Some(Chunk { bytes, length })));
                }
                *self = Self::Nothing;
            } else if let Self::Ready(file, _) = mem::replace(self, Self::Nothing) {
                *self = Self::Pumped(Pump::start(file));
            }
        }
        match self {
            Self::Pumped(pump) => pump.filled.poll_recv(cx).map(Option::transpose),
            _ => Poll::Ready(Ok(None)),
        }
    }
}

/// The lines of `text` with `end` in place of LF.
fn with_line_ends(text: &[u8], end: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(text.len() + end.len());
    for byte in text {
        match byte {
            b'\n' => lines.extend_from_slice(end),
            byte => lines.push(*byte),
        }
    }
    lines
}

/// Bytes that were read.
#[derive(Debug)]
struct Chunk {
    bytes: Box<[u8]>,
    length: usize,
}

/// A thread that reads, with a few chunks that go round.
///
/// A thread and not async, for a read of a file or a terminal can't be. Nobody joins it: where it
/// waits for input that never comes, it ends with the process.
#[derive(Debug)]
struct Pump {
    filled: mpsc::Receiver<io::Result<Chunk>>,
    emptied: blocking::Sender<Box<[u8]>>,
}

impl Pump {
    fn start(mut source: File) -> Self {
        let (filled_by, filled) = mpsc::channel(CHUNKS);
        let (emptied, emptied_by) = blocking::channel::<Box<[u8]>>();
        thread::spawn(move || {
            let mut made = 0;
            loop {
                let mut bytes = match emptied_by.try_recv() {
                    Ok(bytes) => bytes,
                    Err(_) if made < CHUNKS => {
                        made += 1;
                        vec![0; CHUNK].into()
                    }
                    Err(_) => match emptied_by.recv() {
                        Ok(bytes) => bytes,
                        Err(_) => return,
                    },
                };
                match read(&mut source, &mut bytes) {
                    Ok(0) => return,
                    Ok(length) => {
                        if filled_by
                            .blocking_send(Ok(Chunk { bytes, length }))
                            .is_err()
                        {
                            return;
                        }
                    }
                    Err(error) => {
                        let _ = filled_by.blocking_send(Err(error));
                        return;
                    }
                }
            }
        });
        Self { filled, emptied }
    }
}

fn read(source: &mut File, bytes: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                sys::wait_until_ready(source, Readiness::Readable);
            }
            // A terminal whose other end is gone: there is no more input.
            #[cfg(unix)]
            Err(error)
                if error.raw_os_error() == Some(libc::EIO)
                    && io::IsTerminal::is_terminal(source) =>
            {
                return Ok(0);
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_s_line_ends_are_replaced() {
        assert_eq!(with_line_ends(b"a\nb\n", b"\r\n"), b"a\r\nb\r\n");
    }
}
