//! The configuration of a virtual board: a profile and changes to it.
//!
//! `tcpctl sim --delay 20ms` and the target `sim:esp32,delay=20ms` use the same names.

use std::fmt;
use std::time::Duration;

use tcpctl_settings::{
    Backlog, Changes, Field, HostName, ManagementKey, Mode, Network, Security, ServerParts,
    ServerSettings, Settings, Workers,
};

use tcpctl_greeter::update::image::known_chip;

use super::clock;
use super::impairment::{LinkConfig, Outage};
use super::networks::KnownNetwork;
use super::reply::Reply;
use crate::units;

/// A preset of board and link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// A perfect link: only the server's own behavior is visible.
    Ideal,
    /// An ESP32-like board on good Wi-Fi.
    Esp32,
    /// The tutorial's board: one worker, backlog 2.
    Tutorial,
    /// The ESP32-like board on bad Wi-Fi.
    Lossy,
}

impl Profile {
    /// All profiles.
    pub const ALL: [Self; 4] = [Self::Ideal, Self::Esp32, Self::Tutorial, Self::Lossy];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ideal => "ideal",
            Self::Esp32 => "esp32",
            Self::Tutorial => "tutorial",
            Self::Lossy => "lossy",
        }
    }

    fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }
}

/// A validated virtual board with its link.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// Profile that it is based on.
    pub profile: Profile,
    /// Access point or station.
    pub mode: Mode,
    /// Settings of the server, as in a board's flash.
    pub server: ServerSettings,
    /// Time that a worker needs per request.
    pub service_time: Duration,
    /// Configuration of the link.
    pub link: LinkConfig,
    /// MAC address; `None` to derive it from the seed.
    pub mac: Option<MacAddress>,
    /// Host name; `None` to derive it from the MAC address.
    pub host_name: Option<HostName>,
    /// Network that a station starts on; `None` for a network of its own.
    pub station_network: Option<KnownNetwork>,
    /// Key of the management channel, if there is one.
    pub management_key: Option<ManagementKey>,
    /// Chip whose images the board accepts, if any.
    pub chip: Option<&'static str>,
    /// Reply to requests.
    pub reply: Reply,
}

/// Other options of board and link, in the order of the help.
const LINK_KEYS: [&str; 14] = [
    "mac",
    "hostname",
    "chip",
    "echo",
    "service-time",
    "delay",
    "jitter",
    "loss",
    "duplicate",
    "reorder",
    "corrupt",
    "outage",
    "rate",
    "seed",
];

/// Options of `tcpctl sim` that a target refuses, so that no list of targets runs a program or opens a file
/// or a port.
const REFUSED_KEYS: [&str; 7] = [
    "exec",
    "reply-file",
    "listen",
    "tap",
    "announce",
    "state",
    "networks",
];

/// The keys that change a profile: the settings of a virtual board, then the options of the link.
pub fn keys() -> impl Iterator<Item = &'static str> {
    let settings = Field::VIRTUAL.iter().map(|field| field.name());
    settings.chain(LINK_KEYS)
}

impl Spec {
    /// An unchanged profile.
    pub fn of(profile: Profile) -> Self {
        Draft::of(profile)
            .spec()
            .unwrap_or_else(|error| unreachable!("{error}"))
    }

    /// Parses the part of a target after `sim:`: a profile and `key=value` pairs, separated by commas;
    /// all optional.
    ///
    /// # Errors
    /// One line that names the invalid part and what to write.
    pub fn parse(text: &str) -> Result<Self, String> {
        // `sim,workers=2` has no profile.
        let text = text
            .strip_prefix(',')
            .filter(|rest| !rest.is_empty())
            .unwrap_or(text);
        let mut parts = text.split(',').filter(|_| !text.is_empty()).peekable();
        let profile = match parts.peek() {
            Some(first) if !first.contains('=') => {
                let profile = Profile::find(first).ok_or_else(|| unknown_profile(first))?;
                parts.next();
                profile
            }
            _ => Profile::Esp32,
        };
        let mut draft = Draft::of(profile);
        for part in parts {
            let (key, value) = part.split_once('=').ok_or_else(|| {
                format!("'{part}' in a sim target is not key=value, e.g. workers=2")
            })?;
            draft.set(key, value)?;
        }
        draft.spec()
    }

    /// A profile with options changed by their long names.
    ///
    /// # Errors
    /// One line that names the invalid option.
    pub fn with<'k, 'v>(
        profile: Profile,
        options: impl IntoIterator<Item = (&'k str, &'v str)>,
    ) -> Result<Self, String> {
        Self::with_settings(profile, &Changes::default(), options)
    }

    /// A profile with settings changed, and other options by their long names.
    ///
    /// # Errors
    /// One line that names the invalid option.
    pub fn with_settings<'k, 'v>(
        profile: Profile,
        settings: &Changes,
        options: impl IntoIterator<Item = (&'k str, &'v str)>,
    ) -> Result<Self, String> {
        let mut draft = Draft::of(profile);
        draft.changes = settings.clone();
        for (key, value) in options {
            draft.set(key, value)?;
        }
        draft.spec()
    }
}

/// A MAC address.
pub type MacAddress = [u8; 6];

impl Spec {
    /// The board's MAC address; by default locally administered and derived from the seed.
    pub fn mac(&self) -> MacAddress {
        let [.., a, b] = self.link.seed.to_be_bytes();
        self.mac.unwrap_or([0x02, 0x74, 0x63, 0x70, a, b])
    }

    /// The settings in the flash of a new board. Its radio is simulated, so its own networks need no
    /// passphrase.
    pub fn settings(&self) -> Settings {
        let network = match (self.mode, &self.station_network) {
            (Mode::AccessPoint, _) => Network::AccessPoint {
                ssid: None,
                security: Security::Open,
            },
            (Mode::Station, Some(network)) => Network::Station {
                ssid: network.ssid.clone(),
                security: network.security.clone(),
            },
            (Mode::Station, None) => Network::Station {
                ssid: HostName::of_board([0; 6]).into(),
                security: Security::Open,
            },
        };
        Settings {
            host_name: self.host_name.clone(),
            server: self.server.clone(),
            management_key: self.management_key.clone(),
            ..Settings::new(network)
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn unknown_profile(name: &str) -> String {
    let names = Profile::ALL.map(Profile::name).join(", ");
    format!(
        "unknown sim profile '{}': use one of {names}",
        name.escape_default()
    )
}

/// A specification that is being built. Settings are checked together at the end.
struct Draft {
    profile: Profile,
    base: ServerParts,
    changes: Changes,
    service_time: Duration,
    link: LinkConfig,
    mac: Option<MacAddress>,
    host_name: Option<HostName>,
    chip: Option<&'static str>,
    reply: Reply,
}

impl Draft {
    fn of(profile: Profile) -> Self {
        // One-way delay: a round trip of 6 to 7 ms is typical for an ESP32 in the same room.
        // 20 Mbit/s is Espressif's figure for TCP.
        let wifi = LinkConfig {
            delay: embassy_time::Duration::from_millis(3),
            jitter: embassy_time::Duration::from_micros(400),
            rate: Some(20_000_000),
            seed: 1,
            ..LinkConfig::IDEAL
        };
        let (link, workers, backlog) = match profile {
            Profile::Ideal => (
                LinkConfig {
                    seed: 1,
                    ..LinkConfig::IDEAL
                },
                None,
                None,
            ),
            Profile::Esp32 => (wifi, None, None),
            Profile::Tutorial => (wifi, Workers::new(1).ok(), Backlog::new(2).ok()),
            Profile::Lossy => {
                let link = LinkConfig {
                    delay: embassy_time::Duration::from_millis(10),
                    jitter: embassy_time::Duration::from_millis(5),
                    loss: 0.02,
                    rate: Some(2_000_000),
                    ..wifi
                };
                (link, None, None)
            }
        };
        let base = ServerParts {
            workers: workers.unwrap_or_default(),
            backlog: backlog.unwrap_or_default(),
            ..ServerParts::default()
        };
        Self {
            profile,
            base,
            changes: Changes::default(),
            service_time: Duration::ZERO,
            link,
            mac: None,
            host_name: None,
            chip: None,
            reply: Reply::default(),
        }
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        if let Some(field) = Field::find(key).filter(|field| Field::VIRTUAL.contains(field)) {
            let value = units::setting(field, value).map_err(|why| format!("{key}: {why}"))?;
            self.changes.set(value);
            return Ok(());
        }
        let result = match key {
            "mac" => mac_address(value).map(|mac| self.mac = Some(mac)),
            "hostname" => value
                .parse()
                .map(|name| self.host_name = Some(name))
                .map_err(|error: tcpctl_settings::Invalid| error.reason.to_string()),
            "chip" => chip(value).map(|chip| self.chip = Some(chip)),
            "echo" => echo(value).map(|reply| self.reply = reply),
            "service-time" => bounded(value).map(|time| self.service_time = time),
            "delay" => bounded(value).map(|time| self.link.delay = clock::duration(time)),
            "jitter" => bounded(value).map(|time| self.link.jitter = clock::duration(time)),
            "loss" => units::share(value).map(|share| self.link.loss = share),
            "duplicate" => units::share(value).map(|share| self.link.duplicate = share),
            "reorder" => units::share(value).map(|share| self.link.reorder = share),
            "corrupt" => units::share(value).map(|share| self.link.corrupt = share),
            "outage" => outage(value).map(|outage| self.link.outage = Some(outage)),
            "rate" => units::bandwidth(value).map(|bits| self.link.rate = Some(bits)),
            "seed" => value
                .parse()
                .map(|seed| self.link.seed = seed)
                .map_err(|_| format!("'{value}' is not a whole number")),
            _ => return Err(unknown_key(key)),
        };
        result.map_err(|reason| format!("{key}: {reason}"))
    }

    fn spec(self) -> Result<Spec, String> {
        let server = ServerSettings::new(self.base)
            .and_then(|base| self.changes.server(base))
            .map_err(|invalid| invalid.to_string())?;
        Ok(Spec {
            profile: self.profile,
            mode: self.changes.mode.unwrap_or(Mode::AccessPoint),
            server,
            service_time: self.service_time,
            link: self.link,
            mac: self.mac,
            host_name: self.host_name,
            station_network: None,
            management_key: None,
            chip: self.chip,
            reply: self.reply,
        })
    }
}

/// Parses a unicast MAC address, `02:00:00:1a:2b:3c`.
fn mac_address(text: &str) -> Result<MacAddress, String> {
    let bytes: Option<Vec<u8>> = text
        .split(':')
        .map(|part| {
            u8::from_str_radix(part, 16)
                .ok()
                .filter(|_| part.len() == 2)
        })
        .collect();
    bytes
        .and_then(|bytes| MacAddress::try_from(bytes).ok())
        .filter(|mac| mac[0] & 1 == 0 && *mac != [0; 6])
        .ok_or_else(|| {
            format!("'{text}' is not a unicast MAC address: write e.g. 02:00:00:1a:2b:3c")
        })
}

/// Parses the name of a chip whose images a virtual board takes.
fn chip(text: &str) -> Result<&'static str, String> {
    let chip = crate::esp::chip::parse(text).map(|chip| chip.to_string());
    chip.and_then(|name| known_chip(&name))
        .ok_or_else(|| format!("unknown chip '{}': use e.g. esp32c3", text.escape_default()))
}

/// Parses whether the board sends back what arrives.
fn echo(text: &str) -> Result<Reply, String> {
    match text {
        "on" => Ok(Reply::Echo),
        "off" => Ok(Reply::Greeting),
        _ => Err(format!("'{}' is neither on nor off", text.escape_default())),
    }
}

/// Parses a delay of at most one minute.
fn bounded(value: &str) -> Result<Duration, String> {
    const MAX: Duration = Duration::from_mins(1);
    let duration = units::duration(value)?;
    if duration > MAX {
        return Err(format!("'{value}' is longer than one minute"));
    }
    Ok(duration)
}

/// Parses `LENGTH@START`, e.g. `5s@10s`.
fn outage(value: &str) -> Result<Outage, String> {
    let (length, after) = value
        .split_once('@')
        .ok_or_else(|| format!("'{value}' is not LENGTH@START, e.g. 5s@10s"))?;
    Ok(Outage {
        after: clock::duration(bounded(after)?),
        length: clock::duration(bounded(length)?),
    })
}

fn unknown_key(key: &str) -> String {
    if REFUSED_KEYS.contains(&key) {
        return format!("{key} is not allowed in a target: use tcpctl sim --{key}");
    }
    format!(
        "unknown sim option '{}': use one of {}",
        key.escape_default(),
        keys().collect::<Vec<_>>().join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_with_options_parses() {
        let spec = Spec::parse("esp32,workers=2,backlog=0,loss=1%,delay=20ms,seed=7").unwrap();
        assert_eq!(spec.profile, Profile::Esp32);
        assert_eq!(
            (spec.server.workers().get(), spec.server.backlog().get()),
            (2, 0)
        );
        assert!((spec.link.loss - 0.01).abs() < 1e-9);
        assert_eq!(spec.link.delay, embassy_time::Duration::from_millis(20));
        assert_eq!(spec.link.seed, 7);
    }

    #[test]
    fn profile_is_optional() {
        assert_eq!(Spec::parse(""), Ok(Spec::of(Profile::Esp32)));
        for text in ["seed=9", ",seed=9"] {
            let spec = Spec::parse(text).unwrap();
            assert_eq!((spec.profile, spec.link.seed), (Profile::Esp32, 9));
        }
    }

    #[test]
    fn profiles_match_the_help() {
        let capacity = |profile| {
            let spec = Spec::of(profile);
            (spec.server.workers().get(), spec.server.backlog().get())
        };
        assert_eq!(capacity(Profile::Ideal), (4, 4));
        assert_eq!(capacity(Profile::Esp32), (4, 4));
        assert_eq!(capacity(Profile::Tutorial), (1, 2));
        assert_eq!(
            Spec::of(Profile::Ideal).link,
            LinkConfig {
                seed: 1,
                ..LinkConfig::IDEAL
            }
        );
        assert!(Spec::of(Profile::Lossy).link.loss > 0.0);
    }

    #[test]
    fn every_key_changes_something() {
        let values = [
            "sta",
            "7",
            "7",
            "70ms",
            "seven",
            "on",
            "off",
            "on",
            "off",
            "02:00:00:00:00:07",
            "seven",
            "esp32c3",
            "on",
            "7ms",
            "7ms",
            "7ms",
            "7%",
            "7%",
            "7%",
            "7%",
            "7s@7s",
            "7Mbit",
            "7",
        ];
        assert_eq!(keys().count(), values.len());
        for (key, value) in keys().zip(values) {
            let spec = Spec::parse(&format!("{key}={value}")).unwrap();
            assert_ne!(spec, Spec::of(Profile::Esp32), "{key}");
        }
    }

    #[test]
    fn errors_name_the_invalid_part() {
        for (text, named) in [
            ("esp23", "esp23"),
            ("esp32,esp32", "esp32"),
            ("worker=2", "worker"),
            ("workers=0", "workers"),
            ("workers=two", "workers"),
            ("backlog=33", "backlog"),
            ("loss=200%", "loss"),
            ("delay=5", "5s or 5ms"),
            ("delay=2m", "delay"),
            ("request-timeout=1us", "request-timeout"),
            ("corrupt=2", "corrupt"),
            ("outage=5s", "5s@10s"),
            ("outage=5s@2m", "outage"),
            ("rate=0bit", "rate"),
            ("seed=-1", "seed"),
            ("greeting=", "greeting"),
            ("services=maybe", "services"),
            ("status=maybe", "status"),
            ("echo=maybe", "neither on nor off"),
            ("exec=true", "tcpctl sim --exec"),
            ("reply-file=/etc/passwd", "tcpctl sim --reply-file"),
            ("listen=127.0.0.1:0", "tcpctl sim --listen"),
            ("tap=tap0", "tcpctl sim --tap"),
            ("announce=on", "tcpctl sim --announce"),
            ("state=board", "tcpctl sim --state"),
            ("networks=nets.toml", "tcpctl sim --networks"),
            ("mode=mesh", "mode"),
            (",", "''"),
            ("=", "''"),
        ] {
            let error = Spec::parse(text).expect_err(text);
            assert!(error.contains(named), "{text}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
