//! The plan of `send`: its arguments, checked as far as possible before connecting.

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::expect::Pattern;
use super::input::{Message, Source};
use super::rule::EndRule;
use crate::cli::SendArgs;
use crate::config::{self, Key};
use crate::exchange::MESSAGE;
use crate::failure::Failure;
use crate::net::{Dialer, Family};
use crate::output::ReplyForm;
use crate::sanitize;
use crate::sys;
use crate::target::{self, DEFAULT_PORT, Target, TargetKind, list};
use crate::units;

/// Default of `--idle`.
const DEFAULT_IDLE: Duration = Duration::from_secs(2);
/// Default of `--interval`, as with ping.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);
/// Default of `--parallel`.
const DEFAULT_PARALLEL: NonZeroU16 = NonZeroU16::new(8).unwrap();

/// What `send` does.
#[derive(Debug)]
pub(super) struct SendPlan {
    /// Message to send.
    pub message: Message,
    /// Whether to send a FIN at the end of input.
    pub half_close: bool,
    /// Rule that ends the reply.
    pub rule: EndRule,
    /// Reply timeout.
    pub reply_timeout: Duration,
    /// How to connect.
    pub dialer: Dialer,
    /// Maximum number of retries of a connection.
    pub retries: u32,
    /// Pause before the first retry.
    pub retry_delay: Duration,
    /// How to print the reply.
    pub form: ReplyForm,
    /// The targets and the number of exchanges.
    pub scope: Scope,
    /// The configured target, if the only positional argument replaced it.
    pub configured_target: Option<String>,
}

/// The targets and the number of exchanges.
#[derive(Debug)]
pub(super) enum Scope {
    /// One exchange.
    Once(Target),
    /// One exchange after another.
    Repeated {
        target: Target,
        /// Number of exchanges; 0 for no limit.
        count: u64,
        interval: Duration,
    },
    /// One exchange with each target of a list.
    Fleet { list: PathBuf, parallel: NonZeroU16 },
}

impl SendPlan {
    pub(super) fn new(args: &SendArgs) -> Result<Self, Failure> {
        // clap's `requires` would pass if TARGET is given, because TARGET excludes --targets.
        if args.parallel.is_some() && args.targets.is_none() {
            return Err(Failure::usage("--parallel needs --targets")
                .hint("to repeat one target use --count"));
        }
        check_list(args)?;
        let plan = Self {
            rule: rule(args)?,
            dialer: dialer(args)?,
            message: message(args)?,
            half_close: args.half_close || args.no_reply,
            reply_timeout: args.reply_timeout,
            retries: args.retry,
            retry_delay: args.retry_delay,
            form: args.output.unwrap_or_default(),
            scope: scope(args)?,
            configured_target: configured_target(args),
        };
        match &plan.scope {
            Scope::Once(target) | Scope::Repeated { target, .. } => plan.check(target)?,
            Scope::Fleet { .. } => {}
        }
        Ok(plan)
    }

    /// Whether there is more than one exchange.
    pub(super) fn repeats(&self) -> bool {
        !matches!(self.scope, Scope::Once(_))
    }

    /// A note for the user before the exchange.
    pub(super) fn note(&self) -> Option<String> {
        let (Scope::Once(target) | Scope::Repeated { target, .. }) = &self.scope else {
            return None;
        };
        match &self.message.source {
            Source::Conversation => {
                Some("Ctrl-D ends the input, Ctrl-C ends the connection".to_owned())
            }
            Source::Bytes(bytes) => {
                let port = std::str::from_utf8(bytes).ok()?.parse::<u16>().ok()?;
                let with_port = match &target.kind {
                    TargetKind::Name { port: None, host } => {
                        format!("{}:{port}", sanitize::one_line(host))
                    }
                    TargetKind::Addresses(_) => {
                        SocketAddr::new(target.text.parse().ok()?, port).to_string()
                    }
                    _ => return None,
                };
                (port > 0).then(|| {
                    format!(
                        "note: '{port}' is sent as the message to port {DEFAULT_PORT}; \
                         for port {port} write {with_port}"
                    )
                })
            }
            _ => None,
        }
    }

    /// Checks a target against the options that restrict addresses.
    pub(super) fn check(&self, target: &Target) -> Result<(), Failure> {
        let text = sanitize::one_line(&target.text);
        let addresses = match &target.kind {
            TargetKind::Addresses(addresses) => addresses,
            TargetKind::Name { .. } => return Ok(()),
            TargetKind::Virtual(_) => return self.check_virtual(target),
        };
        if !addresses.iter().any(|address| self.dialer.allows(*address)) {
            return Err(Failure::usage(format!(
                "target '{text}' is not of the address family of -4, -6 or --source"
            ))
            .about(&target.text));
        }
        if self.dialer.interface.is_none() && addresses.iter().all(target::needs_zone) {
            return Err(Failure::usage(format!(
                "target '{text}': a link-local address needs a zone"
            ))
            .hint("write e.g. [fe80::1%eth0]:3000, or give --interface")
            .about(&target.text));
        }
        Ok(())
    }

    /// The network of a virtual board has one client address, which is IPv4.
    fn check_virtual(&self, target: &Target) -> Result<(), Failure> {
        let option = match &self.dialer {
            Dialer {
                source: Some(_), ..
            } => "--source",
            Dialer {
                interface: Some(_), ..
            } => "--interface",
            Dialer {
                family: Family::V6, ..
            } => "-6",
            _ => return Ok(()),
        };
        let text = sanitize::one_line(&target.text);
        Err(Failure::usage(format!(
            "{option} has no effect on '{text}', a virtual board"
        ))
        .hint(format!("omit {option}"))
        .about(&target.text))
    }
}

/// With --targets the only positional argument is the message.
fn check_list(args: &SendArgs) -> Result<(), Failure> {
    if args.targets.is_none() || args.target.is_none() {
        return Ok(());
    }
    if args.message.is_some() {
        return Err(Failure::usage("--targets and TARGET exclude each other")
            .hint("write all targets into the file"));
    }
    if args.message_option.is_some() || args.file.is_some() || args.hex.is_some() {
        return Err(
            Failure::usage("with --targets the positional argument is a second message")
                .hint("give one message"),
        );
    }
    Ok(())
}

fn scope(args: &SendArgs) -> Result<Scope, Failure> {
    if let Some(list) = &args.targets {
        return Ok(Scope::Fleet {
            list: list.clone(),
            parallel: args.parallel.unwrap_or(DEFAULT_PARALLEL),
        });
    }
    let target = Target::parse(&config::target(args.target.clone(), "send")?)?;
    Ok(match args.count {
        Some(count) => Scope::Repeated {
            target,
            count,
            interval: args.interval.unwrap_or(DEFAULT_INTERVAL),
        },
        None => Scope::Once(target),
    })
}

/// The configured target, if the command line has a TARGET and no message.
fn configured_target(args: &SendArgs) -> Option<String> {
    let has_message = args.message.is_some()
        || args.message_option.is_some()
        || args.file.is_some()
        || args.hex.is_some();
    if args.target.is_none() || args.targets.is_some() || has_message {
        return None;
    }
    config::find(Key::Target).ok()?.map(|found| found.value)
}

fn rule(args: &SendArgs) -> Result<EndRule, Failure> {
    Ok(if args.until_close {
        EndRule::UntilClose
    } else if let Some(lines) = args.lines {
        EndRule::Lines(lines)
    } else if let Some(pattern) = &args.expect {
        EndRule::Expect(Pattern::new(pattern)?)
    } else if args.no_reply {
        EndRule::Acknowledged
    } else {
        EndRule::Idle(args.idle.unwrap_or(DEFAULT_IDLE))
    })
}

fn dialer(args: &SendArgs) -> Result<Dialer, Failure> {
    let family = match (args.ipv4, args.ipv6) {
        (true, _) => Family::V4,
        (_, true) => Family::V6,
        _ => Family::Any,
    };
    if let Some(source) = args.source.filter(|source| !family.includes(*source)) {
        return Err(Failure::usage(format!(
            "--source {source} is not of the address family of -4 or -6"
        )));
    }
    if let Some(name) = &args.interface
        && sys::interface_index(name).is_none()
    {
        let name = sanitize::one_line(name);
        return Err(Failure::usage(format!("no network interface '{name}'"))
            .hint(format!("`{}` lists them", sys::LIST_INTERFACES)));
    }
    Ok(Dialer {
        family,
        source: args.source,
        interface: args.interface.clone(),
        timeout: args.connect_timeout,
    })
}

fn message(args: &SendArgs) -> Result<Message, Failure> {
    let line_end: &[u8] = match (args.crlf, args.lf) {
        (true, _) => b"\r\n",
        (_, true) => b"\n",
        _ => b"",
    };
    let list_is_stdin = args.targets.as_deref().is_some_and(is_stdin);
    let stdin = || {
        if list_is_stdin {
            Err(
                Failure::usage("standard input cannot be both the targets and the message")
                    .hint("give the message with -m or --file"),
            )
        } else if std::io::stdin().is_terminal() {
            Ok(Source::Conversation)
        } else {
            Ok(Source::Stdin)
        }
    };
    let listed = args.target.as_ref().filter(|_| args.targets.is_some());
    let text = listed.map(OsStr::new);
    let text = text
        .or(args.message.as_deref())
        .or(args.message_option.as_deref());
    let source = if let Some(text) = text {
        match text.as_encoded_bytes() {
            b"-" => stdin()?,
            bytes => Source::Bytes(bytes.into()),
        }
    } else if let Some(path) = &args.file {
        if is_stdin(path) {
            stdin()?
        } else {
            file(path)?
        }
    } else if let Some(hex) = &args.hex {
        Source::Bytes(units::hex(hex)?.into())
    } else if list_is_stdin || std::io::stdin().is_terminal() {
        Source::Bytes(MESSAGE.into())
    } else {
        Source::Stdin
    };
    Ok(Message { source, line_end })
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// A regular file is opened now, to report errors early. A FIFO must be opened only once.
fn file(path: &Path) -> Result<Source, Failure> {
    match std::fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() && !metadata.is_dir() => {
            Ok(Source::Device(path.to_owned()))
        }
        _ => {
            list::open("--file", path)?;
            Ok(Source::File(path.to_owned()))
        }
    }
}
