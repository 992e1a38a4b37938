//! Reads Wi-Fi passphrases: typed at the terminal or piped in. They are never arguments.

use std::io::{self, BufRead, IsTerminal, Read};

use tcpctl_settings::{Passphrase, Security, Ssid};

use crate::cli::SecurityOptions;
use crate::failure::{Failure, reason};
use crate::sys;

/// Maximum bytes to read of a piped line. A longer line is not a passphrase.
const LINE_LIMIT: u64 = 1024;

/// Note about a network without a passphrase.
pub const OPEN_NETWORK: &str =
    "warning: the network is open: anyone nearby can join it and read its traffic";

/// The requested security, with a passphrase from the first line of standard input; `None` without these
/// options. On a terminal the passphrase is prompted for and not shown. Blocks.
///
/// # Errors
/// There is no passphrase, or it is invalid. The error does not repeat it.
pub fn security(options: SecurityOptions) -> Result<Option<Security>, Failure> {
    if options.open {
        return Ok(Some(Security::Open));
    }
    let piped = options.password_stdin.then(piped).transpose()?;
    Ok(piped.map(Security::Wpa2))
}

fn piped() -> Result<Passphrase, Failure> {
    if is_on_terminal() {
        return prompt("passphrase: ");
    }
    let mut line = Vec::new();
    io::stdin()
        .lock()
        .take(LINE_LIMIT)
        .read_until(b'\n', &mut line)
        .map_err(|error| Failure::usage(format!("--password-stdin: {}", reason(&error))))?;
    if line.is_empty() {
        return Err(Failure::usage("--password-stdin: standard input is empty")
            .hint("pipe the passphrase in, e.g. pass wifi/home | tcpctl ..."));
    }
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    parse(&String::from_utf8_lossy(line))
}

/// Reads a passphrase from the terminal without showing it. Blocks.
///
/// # Errors
/// There is no terminal, or it is invalid.
pub fn typed(ssid: &Ssid) -> Result<Passphrase, Failure> {
    if !is_on_terminal() {
        return Err(Failure::usage(format!(
            "passphrase: '{ssid}' needs one, and there is no terminal to prompt on"
        ))
        .hint("pipe it in with --password-stdin, or give --open"));
    }
    prompt(&format!("passphrase of {ssid}: "))
}

fn is_on_terminal() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

fn prompt(question: &str) -> Result<Passphrase, Failure> {
    let line = sys::terminal::read_hidden(question)
        .map_err(|error| Failure::usage(format!("passphrase: {}", reason(&error))))?;
    parse(&line)
}

fn parse(text: &str) -> Result<Passphrase, Failure> {
    Passphrase::new(text).map_err(|invalid| Failure::usage(invalid.to_string()))
}
