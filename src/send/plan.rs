//! From arguments to what is to be done, with everything checked that can be before a connection
//! is made.

use std::io::IsTerminal;
use std::num::NonZeroU16;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use super::expect::Pattern;
use super::fleet;
use super::input::{self, Message, Source};
use super::rule::Rule;
use crate::cli::SendArgs;
use crate::config;
use crate::failure::Failure;
use crate::net::{Dialer, Family};
use crate::output::Output;
use crate::output::ReplyForm;
use crate::sanitize;
use crate::sys;
use crate::target::{self, Place, Target};

/// The silence after a reply's last byte that ends it, where no rule is given.
const DEFAULT_IDLE: Duration = Duration::from_secs(2);
/// From one try to the next, as ping does.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);
/// Targets at a time, where nothing is said.
const DEFAULT_PARALLEL: NonZeroU16 = NonZeroU16::new(8).unwrap();
/// What is sent on a terminal where nothing is given: the tutorial client's message.
const DEFAULT_MESSAGE: &[u8] = b"Hello TCP world!\r\n";

/// What is to be done.
#[derive(Debug)]
pub(super) struct Plan {
    /// What to send.
    pub message: Message,
    /// Whether to send a FIN at the end of input.
    pub half_close: bool,
    /// What ends the reply.
    pub rule: Rule,
    /// How long to wait for the reply.
    pub reply_timeout: Duration,
    /// How to connect.
    pub dialer: Dialer,
    /// How often to try again to connect.
    pub retries: u32,
    /// The pause before the first new try.
    pub retry_delay: Duration,
    /// How to print the reply.
    pub form: ReplyForm,
    /// Whom to send to, and how often.
    pub scope: Scope,
}

/// Whom to send to, and how often.
#[derive(Debug)]
pub(super) enum Scope {
    /// One exchange.
    Once(Target),
    /// One exchange after another.
    Repeated {
        target: Target,
        count: u64,
        interval: Duration,
    },
    /// One exchange with each.
    Fleet {
        targets: Vec<Target>,
        parallel: NonZeroU16,
    },
}

impl Plan {
    pub(super) fn new(args: &SendArgs, output: &Output) -> Result<Self, Failure> {
        // Not clap's `requires`: it lets this pass where TARGET, which excludes --targets, is given.
        if args.parallel.is_some() && args.targets.is_none() {
            return Err(Failure::usage("--parallel needs --targets")
                .hint("one target is tried again and again with --count"));
        }
        let rule = rule(args)?;
        let dialer = dialer(args)?;
        let mut message = message(args)?;
        let no_reply = args.no_reply;
        let scope = scope(args)?;
        match &scope {
            Scope::Once(target) => check_addresses(target, &dialer)?,
            Scope::Repeated { target, .. } => {
                check_addresses(target, &dialer)?;
                message = message.repeatable()?;
            }
            Scope::Fleet { targets, .. } => {
                for target in targets {
                    check_addresses(target, &dialer)?;
                }
                message = message.repeatable()?;
            }
        }
        if matches!(message.source, Source::Conversation) {
            output.note("Ctrl-D ends your input, Ctrl-C the connection");
        }
        Ok(Self {
            message,
            half_close: args.half_close || no_reply,
            rule,
            reply_timeout: args.reply_timeout,
            dialer,
            retries: args.retry,
            retry_delay: args.retry_delay,
            form: args.output.unwrap_or_default(),
            scope,
        })
    }
}

fn scope(args: &SendArgs) -> Result<Scope, Failure> {
    if let Some(list) = &args.targets {
        return Ok(Scope::Fleet {
            targets: fleet::targets(list)?,
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

fn rule(args: &SendArgs) -> Result<Rule, Failure> {
    Ok(if args.until_close {
        Rule::UntilClose
    } else if let Some(lines) = args.lines {
        Rule::Lines(lines)
    } else if let Some(pattern) = &args.expect {
        Rule::Expect(Pattern::new(pattern)?)
    } else if args.no_reply {
        Rule::Acknowledged
    } else {
        Rule::Idle(args.idle.unwrap_or(DEFAULT_IDLE))
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
            "--source {source} is not of the address family that -4 or -6 asks for"
        )));
    }
    if let Some(name) = &args.interface
        && sys::interface_index(name).is_none()
    {
        let name = sanitize::one_line(name);
        return Err(
            Failure::usage(format!("this computer has no network interface '{name}'"))
                .hint("`ip link` names them"),
        );
    }
    Ok(Dialer {
        family,
        source: args.source,
        interface: args.interface.clone(),
        timeout: args.connect_timeout,
    })
}

/// Checks literal addresses against the flags that restrict them.
fn check_addresses(target: &Target, dialer: &Dialer) -> Result<(), Failure> {
    let text = sanitize::one_line(&target.text);
    let addresses = match &target.place {
        Place::Addresses(addresses) => addresses,
        Place::Name { .. } => return Ok(()),
        Place::Virtual(_) => return check_virtual(target, dialer),
    };
    if !addresses.iter().any(|address| dialer.allows(*address)) {
        return Err(Failure::usage(format!(
            "target '{text}' is not of the address family that -4, -6 or --source asks for"
        ))
        .about(&target.text));
    }
    if dialer.interface.is_none() && addresses.iter().all(target::needs_zone) {
        return Err(Failure::usage(format!(
            "target '{text}': a link-local address needs a zone"
        ))
        .hint("write e.g. [fe80::1%eth0]:3000, or give --interface")
        .about(&target.text));
    }
    Ok(())
}

/// Of a virtual board's cable this computer has one end, which is of IPv4.
fn check_virtual(target: &Target, dialer: &Dialer) -> Result<(), Failure> {
    let flag = match dialer {
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
        "{flag} does nothing with '{text}', a virtual board"
    ))
    .hint(format!("leave {flag} out"))
    .about(&target.text))
}

fn message(args: &SendArgs) -> Result<Message, Failure> {
    let line_end: &[u8] = match (args.crlf, args.lf) {
        (true, _) => b"\r\n",
        (_, true) => b"\n",
        _ => b"",
    };
    let list_is_stdin = args.targets.as_deref().is_some_and(input::is_stdin);
    let stdin = || {
        if list_is_stdin {
            Err(
                Failure::usage("standard input can't be both the targets and the message")
                    .hint("give the message with -m or --file"),
            )
        } else if std::io::stdin().is_terminal() {
            Ok(Source::Conversation)
        } else {
            Ok(Source::Stdin)
        }
    };
    let text = args.message.as_ref().or(args.message_option.as_ref());
    let source = if let Some(text) = text {
        match text.as_encoded_bytes() {
            b"-" => stdin()?,
            bytes => Source::Bytes(bytes.into()),
        }
    } else if let Some(path) = &args.file {
        file(path, stdin)?
    } else if let Some(hex) = &args.hex {
        Source::Bytes(bytes_of_hex(hex)?.into())
    } else if list_is_stdin || std::io::stdin().is_terminal() {
        Source::Bytes(Rc::from(DEFAULT_MESSAGE))
    } else {
        Source::Stdin
    };
    Ok(Message { source, line_end })
}

fn file(path: &Path, stdin: impl FnOnce() -> Result<Source, Failure>) -> Result<Source, Failure> {
    if input::is_stdin(path) {
        return stdin();
    }
    input::open("--file", path)?;
    Ok(Source::File(path.to_owned()))
}

/// Parses pairs of hexadecimal digits; spaces and colons may stand between bytes, 0x before them.
fn bytes_of_hex(text: &str) -> Result<Vec<u8>, Failure> {
    let form = "write pairs of digits, e.g. '48 69 0d 0a'";
    let fail = |what: String| Err(Failure::usage(format!("--hex: {what}")).hint(form));
    let mut bytes = Vec::with_capacity(text.len() / 2);
    for group in text.split(|c: char| c.is_ascii_whitespace() || c == ':' || c == ',') {
        let digits = group
            .strip_prefix("0x")
            .or_else(|| group.strip_prefix("0X"))
            .unwrap_or(group);
        if let Some(other) = digits.chars().find(|c| !c.is_ascii_hexdigit()) {
            return fail(format!(
                "'{}' is no hexadecimal digit",
                other.escape_debug()
            ));
        }
        if digits.len() % 2 == 1 {
            return fail(format!("'{digits}' has an odd number of digits"));
        }
        for pair in digits.as_bytes().chunks_exact(2) {
            let digit = |at: usize| char::from(pair[at]).to_digit(16).unwrap_or_default();
            bytes.push(u8::try_from(digit(0) << 4 | digit(1)).unwrap_or_default());
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_as_people_write_it() {
        for text in [
            "48690d0a",
            "48 69 0D 0A",
            "48:69:0d:0a",
            "0x48, 0x69,0x0d 0x0a",
        ] {
            assert_eq!(bytes_of_hex(text).unwrap(), b"Hi\r\n", "{text}");
        }
        assert_eq!(bytes_of_hex("").unwrap(), b"");
    }

    #[test]
    fn bad_hex_is_named() {
        for (text, what) in [("4g", "'g'"), ("486", "odd"), ("48 6", "'6'"), ("é", "'é'")] {
            let failure = bytes_of_hex(text).unwrap_err();
            assert!(failure.message.contains(what), "{failure}");
        }
    }
}
