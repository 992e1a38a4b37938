//! The settings that are asked for, and what becomes of those that the board has.
//!
//! Stored settings are kept unless others are given; another mode is another network, whose SSID
//! and passphrase are not carried over. A passphrase is never on the command line: it is typed,
//! piped in, or made up here.

use std::io::{self, BufRead, IsTerminal, Read};
use std::str::FromStr;

use serde::{Serialize, Serializer};
use tcpctl_settings::{
    Afresh, BLOCK_SIZE, Changes, DecodeError, Field, HostName, Invalid, MAX_LEN, Mode, Network,
    Passphrase, Reason, RequestTimeout, Security, Settings, Ssid,
};

use crate::cli::FlashArgs;
use crate::esp::image::Part;
use crate::failure::{Failure, Kind};
use crate::sys;
use crate::units;

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    changes: Changes,
}

/// The settings that the board is to have.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The settings.
    pub settings: Settings,
    /// The passphrase, if it was made up here and its owner has to be told.
    pub made_up: Option<Passphrase>,
}

impl Asked {
    /// Reads the options, and a passphrase where one is piped in or has to be typed.
    ///
    /// # Errors
    /// A setting that can't be, or a passphrase that is needed and has nowhere to come from.
    pub fn new(args: &FlashArgs) -> Result<Self, Failure> {
        let mut changes = Changes::default();
        for (name, value) in args.changes() {
            set(&mut changes, name, value)?;
        }
        let station = changes.mode == Some(Mode::Station);
        changes.security = if args.open {
            Some(Security::Open)
        } else if args.password_stdin {
            Some(Security::Wpa2(piped()?))
        } else if let Some(ssid) = changes.ssid.as_ref().filter(|_| station) {
            Some(Security::Wpa2(typed(ssid)?))
        } else {
            None
        };
        Ok(Self { changes })
    }

    /// Whether nothing was asked for.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// What the board is to have, given what it has and keeps.
    ///
    /// # Errors
    /// Something is missing that only the user can say.
    pub fn over(&self, stored: Result<&Settings, Afresh>) -> Result<Wanted, Failure> {
        let mut changes = self.changes.clone();
        let mode = changes.mode.or(stored.ok().map(|s| s.network.mode()));
        let kept = stored
            .ok()
            .filter(|stored| Some(stored.network.mode()) == mode);
        let mut made_up = None;
        if changes.security.is_none() {
            match (mode, kept) {
                // A stored access point keeps its passphrase, whatever it is called now.
                (Some(Mode::AccessPoint), None) => {
                    let passphrase = made_up_passphrase()?;
                    changes.security = Some(Security::Wpa2(passphrase.clone()));
                    made_up = Some(passphrase);
                }
                // Another network of that kind has another passphrase.
                (Some(Mode::Station), kept) => {
                    let other =
                        |ssid: &Ssid| kept.and_then(|kept| kept.network.ssid()) != Some(ssid);
                    if let Some(ssid) = changes.ssid.as_ref().filter(|ssid| other(ssid)) {
                        changes.security = Some(Security::Wpa2(typed(ssid)?));
                    }
                }
                _ => {}
            }
        }
        let settings = match stored {
            Ok(stored) => stored.overridden_by(&changes),
            Err(afresh) => changes.to_settings(afresh),
        };
        Ok(Wanted {
            settings: settings.map_err(|invalid| refused(&invalid))?,
            made_up,
        })
    }
}

/// The settings as they are written.
///
/// # Errors
/// None: the buffer has room for any.
pub fn part(settings: &Settings, offset: u32) -> Result<Part, Failure> {
    let mut buffer = [0; MAX_LEN];
    let block = settings
        .encode(&mut buffer)
        .map_err(|error| Failure::new(Kind::Internal, format!("settings: {error}")))?;
    // The whole sector: so much erased flash compresses to nothing, where a block that does not
    // compress would be filled up to 16 KiB on the wire.
    let mut sector = block.to_vec();
    sector.resize(BLOCK_SIZE, 0xff);
    Ok(Part::new("settings", offset, sector))
}

/// What a board's sector of settings says.
///
/// # Errors
/// They were written by a newer version: nobody here knows what would be lost.
pub fn stored(sector: &[u8]) -> Result<Result<Settings, DecodeError>, Failure> {
    match Settings::decode(sector) {
        Err(error @ DecodeError::Newer { .. }) => {
            Err(Failure::new(Kind::Device, format!("settings: {error}"))
                .hint("or give up what is stored: --erase"))
        }
        other => Ok(other),
    }
}

/// Settings for people and programs, by their options' names and without the passphrase.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Described(pub Vec<(&'static str, String)>);

impl Serialize for Described {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// Describes settings; a board that was given no name has one after its MAC address.
pub fn described(settings: &Settings, mac: Option<&str>) -> Described {
    let own_name = || match mac.and_then(mac_bytes) {
        Some(mac) => HostName::of_board(mac).to_string(),
        None => "tcpctl-XXXX, after its MAC".to_owned(),
    };
    let network = &settings.network;
    let server = &settings.server;
    let mut lines = vec![
        ("mode", network.mode().to_string()),
        (
            "ssid",
            network.ssid().map_or_else(own_name, ToString::to_string),
        ),
        (
            "security",
            match network.security() {
                Security::Open => "open".to_owned(),
                Security::Wpa2(_) => "wpa2".to_owned(),
            },
        ),
    ];
    if matches!(network, Network::AccessPoint { .. }) {
        lines.push(("channel", settings.channel.to_string()));
        lines.push(("max-stations", settings.max_stations.to_string()));
    }
    let host_name = settings.host_name.as_ref();
    lines.extend([
        (
            "hostname",
            host_name.map_or_else(own_name, ToString::to_string),
        ),
        ("greeting", server.greeting().to_string()),
        ("tcp-port", server.port().to_string()),
        ("workers", server.workers().to_string()),
        ("backlog", server.backlog().to_string()),
        ("request-timeout", server.request_timeout().to_string()),
        ("services", server.services().to_string()),
        ("status", server.status().to_string()),
    ]);
    Described(lines)
}

/// The bytes of a MAC address as the loaders tell it.
fn mac_bytes(mac: &str) -> Option<[u8; 6]> {
    let bytes: Result<Vec<_>, _> = mac
        .split(':')
        .map(|digits| u8::from_str_radix(digits, 16))
        .collect();
    bytes.ok()?.try_into().ok()
}

fn set(changes: &mut Changes, name: &str, value: &str) -> Result<(), Failure> {
    match name {
        "mode" => read(&mut changes.mode, value),
        "ssid" => read(&mut changes.ssid, value),
        "channel" => read(&mut changes.channel, value),
        "max-stations" => read(&mut changes.max_stations, value),
        "hostname" => read(&mut changes.host_name, value),
        "greeting" => read(&mut changes.greeting, value),
        "tcp-port" => read(&mut changes.port, value),
        "workers" => read(&mut changes.workers, value),
        "backlog" => read(&mut changes.backlog, value),
        "services" => read(&mut changes.services, value),
        "status" => read(&mut changes.status, value),
        "request-timeout" => {
            let time = units::duration(value)
                .map_err(|error| Failure::usage(format!("--request-timeout: {error}")))?;
            let time = RequestTimeout::try_from(time).map_err(|invalid| refused(&invalid))?;
            changes.request_timeout = Some(time);
            Ok(())
        }
        other => Err(Failure::new(
            Kind::Internal,
            format!("there is no setting {other}"),
        )),
    }
}

fn read<T: FromStr<Err = Invalid>>(setting: &mut Option<T>, value: &str) -> Result<(), Failure> {
    *setting = Some(value.parse().map_err(|invalid| refused(&invalid))?);
    Ok(())
}

/// A refusal in the words of the command line.
fn refused(invalid: &Invalid) -> Failure {
    let failure = Failure::usage(invalid.to_string());
    match invalid {
        Invalid {
            field: Field::Mode,
            reason: Reason::NoMode(_),
        } => failure.hint("give --mode ap or --mode sta --ssid NAME"),
        Invalid {
            field: Field::Ssid,
            reason: Reason::NoSsid,
        } => failure.hint("give --ssid NAME"),
        Invalid {
            field: Field::Passphrase,
            reason: Reason::NoSecurity,
        } => failure.hint("give --password-stdin or --open"),
        _ => failure,
    }
}

/// The most bytes that are read of a piped passphrase's line: more is no passphrase.
const LINE_LIMIT: u64 = 1024;

/// The first line of standard input.
fn piped() -> Result<Passphrase, Failure> {
    let mut line = Vec::new();
    io::stdin()
        .lock()
        .take(LINE_LIMIT)
        .read_until(b'\n', &mut line)
        .map_err(|error| Failure::usage(format!("--password-stdin: {error}")))?;
    if line.is_empty() {
        return Err(Failure::usage("--password-stdin: standard input is empty")
            .hint("pipe the passphrase in, e.g. pass wifi/home | tcpctl flash ..."));
    }
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    passphrase(&String::from_utf8_lossy(line))
}

/// A passphrase that is typed at the terminal, without being shown.
fn typed(ssid: &Ssid) -> Result<Passphrase, Failure> {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(Failure::usage(format!(
            "passphrase: '{ssid}' needs one, and there is no terminal to ask at"
        ))
        .hint("pipe it in with --password-stdin, or say --open"));
    }
    let line = sys::terminal::read_hidden(&format!("passphrase of {ssid}: "))
        .map_err(|error| Failure::usage(format!("passphrase: {error}")))?;
    passphrase(&line)
}

fn passphrase(text: &str) -> Result<Passphrase, Failure> {
    Passphrase::new(text).map_err(|invalid| refused(&invalid))
}

/// A passphrase for an access point that was given none: 16 characters of 31, 79 bits, without
/// those that are taken for others when they are copied by hand.
fn made_up_passphrase() -> Result<Passphrase, Failure> {
    const ALPHABET: &[u8; 31] = b"abcdefghijkmnpqrstuvwxyz2345678";
    let no_chance = |error| {
        Failure::new(
            Kind::Internal,
            format!("the system has no random numbers: {error}"),
        )
    };
    let mut text = String::new();
    while text.len() < 19 {
        if text.len() % 5 == 4 {
            text.push('-');
        }
        let mut byte = [0];
        getrandom::fill(&mut byte).map_err(no_chance)?;
        // 248 is the greatest multiple of 31 in a byte: beyond it some would come more often.
        if byte[0] < 248 {
            text.push(char::from(ALPHABET[usize::from(byte[0]) % ALPHABET.len()]));
        }
    }
    passphrase(&text)
}

#[cfg(test)]
mod tests;
