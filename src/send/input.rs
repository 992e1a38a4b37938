//! The message: bytes from the command line, a file, or a stream that a thread reads.

use std::fs::File;
use std::io::{self, Read};
use std::mem;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc as blocking;
use std::task::{Context, Poll, ready};
use std::thread;

use tokio::sync::mpsc;

use crate::failure::{Failure, Kind, reason};
use crate::sys::{self, Readiness};
use crate::target::list;

/// Bytes per read. A pipe returns at most 64 KiB. Larger reads of files cost fewer wake-ups; beyond
/// this size nothing is gained.
const CHUNK_BYTES: usize = 128 * 1024;
/// One chunk is being filled, one is being sent, and one is in between.
const CHUNKS: usize = 3;
/// Maximum bytes that are read without a thread while they are ready. A short message is sent
/// before a thread could start; a long one is read while it is sent.
const DIRECT_BYTES: u64 = 64 * 1024;
/// Maximum bytes of a stream that is kept to be sent more than once.
const MAX_REPEATABLE_BYTES: u64 = 1024 * 1024;

/// The message to send.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// Source of the bytes.
    pub source: Source,
    /// Appended to the message. In a conversation, replaces the end of each line.
    pub line_end: &'static [u8],
}

/// Source of a message.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// The command line.
    Bytes(Arc<[u8]>),
    /// A regular file, opened for each exchange.
    File(PathBuf),
    /// A FIFO or device, opened once.
    Device(PathBuf),
    /// Standard input, streamed once.
    Stdin,
    /// Lines typed at a terminal.
    Conversation,
}

impl Message {
    pub(super) fn is_conversation(&self) -> bool {
        matches!(self.source, Source::Conversation)
    }

    /// Converts to a message that can be sent more than once: reads a stream to its end. Blocks.
    ///
    /// # Errors
    /// The stream is too long, unreadable, or a conversation.
    pub(super) fn repeatable(self) -> Result<Self, Failure> {
        let (file, name) = match &self.source {
            Source::Conversation => {
                return Err(Failure::usage("a conversation needs a single connection")
                    .hint("give the message with -m or --file"));
            }
            Source::Stdin => (
                sys::stdin().map_err(|error| read_failure(&error))?,
                "standard input",
            ),
            Source::Device(path) => (list::open("--file", path)?, "--file"),
            Source::Bytes(_) | Source::File(_) => return Ok(self),
        };
        let mut bytes = Vec::new();
        file.take(MAX_REPEATABLE_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| read_failure(&error))?;
        if bytes.len() as u64 > MAX_REPEATABLE_BYTES {
            return Err(Failure::usage(format!(
                "{name} has more than 1 MiB, too much to send more than once"
            ))
            .hint("give a regular file with --file"));
        }
        Ok(Self {
            source: Source::Bytes(bytes.into()),
            ..self
        })
    }

    /// Starts to read the message.
    pub(super) fn open(&self) -> Result<MessageReader, Failure> {
        let (bytes, rest) = match &self.source {
            Source::Bytes(bytes) => (bytes.to_vec(), Rest::None),
            Source::File(path) => (
                Vec::new(),
                Rest::File {
                    file: list::open("--file", path)?,
                    read_bytes: 0,
                },
            ),
            // Opening a FIFO blocks until there is a writer.
            Source::Device(path) => {
                let path = path.clone();
                (
                    Vec::new(),
                    Rest::Thread(ReaderThread::start(|| File::open(path), read)),
                )
            }
            #[cfg(windows)]
            Source::Conversation => {
                let lines = || Ok(sys::typed_lines());
                (
                    Vec::new(),
                    Rest::Thread(ReaderThread::start(lines, Read::read)),
                )
            }
            // On other systems, reading a terminal returns the typed bytes.
            #[cfg(unix)]
            Source::Conversation => (Vec::new(), standard_input()?),
            Source::Stdin => (Vec::new(), standard_input()?),
        };
        let line_end = (!self.line_end.is_empty()).then_some(self.line_end);
        Ok(MessageReader {
            length: bytes.len(),
            bytes: bytes.into(),
            sent: 0,
            rest,
            line_end: line_end.filter(|_| self.is_conversation()),
            suffix: line_end.filter(|_| !self.is_conversation()),
        })
    }
}

fn standard_input() -> Result<Rest, Failure> {
    Ok(Rest::File {
        file: sys::stdin().map_err(|error| read_failure(&error))?,
        read_bytes: 0,
    })
}

/// The failure to read a message.
pub(super) fn read_failure(error: &io::Error) -> Failure {
    let kind = match error.kind() {
        io::ErrorKind::IsADirectory => Kind::Usage,
        _ => Kind::Internal,
    };
    Failure::new(kind, format!("cannot read the message: {}", reason(error)))
}

/// A message that is being sent: the bytes in memory, and the source of the rest.
#[derive(Debug)]
pub(super) struct MessageReader {
    bytes: Box<[u8]>,
    length: usize,
    sent: usize,
    rest: Rest,
    /// Replacement for the LF of each line.
    line_end: Option<&'static [u8]>,
    /// Suffix of the message.
    suffix: Option<&'static [u8]>,
}

impl MessageReader {
    /// Bytes in memory that are not sent yet.
    pub(super) fn pending(&self) -> &[u8] {
        &self.bytes[self.sent..self.length]
    }

    /// Marks the first `count` bytes of [`MessageReader::pending`] as sent.
    pub(super) fn advance(&mut self, count: usize) {
        self.sent += count;
    }

    /// Drops the rest of the message.
    pub(super) fn discard(&mut self) {
        self.sent = self.length;
        self.rest = Rest::None;
        self.suffix = None;
    }

    /// Waits until bytes are pending; false at the end of the message.
    pub(super) fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        while self.pending().is_empty() {
            if let Some(chunk) = ready!(self.rest.poll_chunk(cx))? {
                self.take(chunk);
                continue;
            }
            match self.suffix.take() {
                Some(suffix) => {
                    self.bytes = suffix.into();
                    (self.sent, self.length) = (0, suffix.len());
                }
                None => return Poll::Ready(Ok(false)),
            }
        }
        Poll::Ready(Ok(true))
    }

    fn take(&mut self, chunk: Chunk) {
        let emptied = match self.line_end {
            None => {
                (self.sent, self.length) = (0, chunk.length);
                mem::replace(&mut self.bytes, chunk.bytes)
            }
            Some(end) => {
                let lines = with_line_ends(&chunk.bytes[..chunk.length], end);
                (self.sent, self.length) = (0, lines.len());
                self.bytes = lines.into();
                chunk.bytes
            }
        };
        if let Rest::Thread(thread) = &self.rest
            && !emptied.is_empty()
        {
            // Fails if the thread has ended, which needs no more chunks.
            let _ = thread.emptied.send(emptied);
        }
    }
}

/// Source of the rest of a message.
#[derive(Debug)]
enum Rest {
    /// No rest.
    None,
    /// A file that is read directly while it is ready.
    File { file: File, read_bytes: u64 },
    /// A reader thread.
    Thread(ReaderThread),
}

impl Rest {
    /// The next chunk; `None` at the end.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Chunk>>> {
        if let Self::File { file, read_bytes } = self {
            if *read_bytes < DIRECT_BYTES && sys::is_readable(file) {
                let mut bytes = vec![0; CHUNK_BYTES].into_boxed_slice();
                let length = read(file, &mut bytes)?;
                *read_bytes += length as u64;
                if length > 0 {
                    return Poll::Ready(Ok(Some(Chunk { bytes, length })));
                }
                *self = Self::None;
            } else if let Self::File { file, .. } = mem::replace(self, Self::None) {
                *self = Self::Thread(ReaderThread::start(|| Ok(file), read));
            }
        }
        match self {
            Self::Thread(thread) => thread.filled.poll_recv(cx).map(Option::transpose),
            _ => Poll::Ready(Ok(None)),
        }
    }
}

/// The lines of `text` with `end` instead of LF.
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

/// Bytes read in one piece.
#[derive(Debug)]
struct Chunk {
    bytes: Box<[u8]>,
    length: usize,
}

/// A thread that opens and reads a file, with a few chunks that are reused.
///
/// A thread because reads of files and terminals cannot be async. It is not joined: if it waits for
/// input that never comes, it ends with the process.
#[derive(Debug)]
struct ReaderThread {
    filled: mpsc::Receiver<io::Result<Chunk>>,
    emptied: blocking::Sender<Box<[u8]>>,
}

impl ReaderThread {
    fn start<R: 'static>(
        open: impl FnOnce() -> io::Result<R> + Send + 'static,
        read: fn(&mut R, &mut [u8]) -> io::Result<usize>,
    ) -> Self {
        let (filled_sender, filled) = mpsc::channel(CHUNKS);
        let (emptied, emptied_receiver) = blocking::channel::<Box<[u8]>>();
        thread::spawn(move || {
            let read_all = || -> io::Result<()> {
                let mut source = open()?;
                let mut allocated = 0;
                loop {
                    let mut bytes = match emptied_receiver.try_recv() {
                        Ok(bytes) => bytes,
                        Err(_) if allocated < CHUNKS => {
                            allocated += 1;
                            vec![0; CHUNK_BYTES].into()
                        }
                        Err(_) => match emptied_receiver.recv() {
                            Ok(bytes) => bytes,
                            Err(_) => return Ok(()),
                        },
                    };
                    let length = read(&mut source, &mut bytes)?;
                    let chunk = Chunk { bytes, length };
                    if length == 0 || filled_sender.blocking_send(Ok(chunk)).is_err() {
                        return Ok(());
                    }
                }
            };
            if let Err(error) = read_all() {
                let _ = filled_sender.blocking_send(Err(error));
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
            // A terminal whose other end is closed is at its end.
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
    fn line_ends_of_a_conversation_are_replaced() {
        assert_eq!(with_line_ends(b"a\nb\n", b"\r\n"), b"a\r\nb\r\n");
    }
}
