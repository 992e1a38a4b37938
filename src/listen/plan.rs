//! The plan of `listen`.

use std::io::Read;
use std::net::SocketAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::rc::Rc;
use std::time::Duration;

use crate::cli::ListenArgs;
use crate::failure::{Failure, reason};
use crate::target::list;

/// Maximum size of the file of `--reply-file`.
const MAX_REPLY_BYTES: u64 = 64 * 1024 * 1024;

/// The plan of `listen`.
#[derive(Debug)]
pub(super) struct ListenPlan {
    /// Address to listen on. Port 0 picks a free one.
    pub address: SocketAddr,
    /// What to send to clients.
    pub answer: Answer,
    /// Number of connections after which `listen` ends.
    pub count: Option<NonZeroU64>,
    /// Time after which `listen` ends.
    pub timeout: Option<Duration>,
    /// Maximum simultaneous connections. Others wait in the kernel's backlog.
    pub max_connections: NonZeroUsize,
}

/// What to send to clients.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// Nothing.
    None,
    /// These bytes after the first received ones, then a FIN.
    Reply(Rc<[u8]>),
    /// The bytes that they send.
    Echo,
    /// The output of a shell command with the request as its input, then a FIN.
    Exec(Rc<str>),
}

impl ListenPlan {
    /// Reads the file of `--reply-file`, which may block.
    pub(super) fn new(args: &ListenArgs) -> Result<Self, Failure> {
        let answer = if let Some(text) = &args.reply {
            Answer::Reply(text.as_encoded_bytes().into())
        } else if let Some(path) = &args.reply_file {
            let mut bytes = Vec::new();
            list::open("--reply-file", path)?
                .take(MAX_REPLY_BYTES + 1)
                .read_to_end(&mut bytes)
                .map_err(|error| Failure::usage(format!("--reply-file: {}", reason(&error))))?;
            if bytes.len() as u64 > MAX_REPLY_BYTES {
                return Err(Failure::usage(
                    "--reply-file: the file is larger than 64 MiB",
                ));
            }
            Answer::Reply(bytes.into())
        } else if args.echo {
            Answer::Echo
        } else if let Some(command) = &args.exec {
            Answer::Exec(command.as_str().into())
        } else {
            Answer::None
        };
        Ok(Self {
            address: args.address,
            answer,
            count: if args.once {
                Some(NonZeroU64::MIN)
            } else {
                args.count
            },
            timeout: args.timeout,
            max_connections: args.max_connections,
        })
    }
}
