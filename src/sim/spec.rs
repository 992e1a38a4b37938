//! What a virtual board is to be: a profile, and what is changed of it.
//!
//! One vocabulary for `tcpctl sim --latency 20ms` and the target `sim:esp32,latency=20ms`: the
//! long options' names.

use std::fmt;
use std::time::Duration;

use tcpctl_settings::{Backlog, Changes, Field, Mode, ServerParts, ServerSettings, Workers};

use super::clock;
use super::fate::{Outage, Quality};
use crate::units;

/// A kind of virtual board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// A perfect cable: what is seen is the server's own doing.
    Ideal,
    /// An ESP32-like board on a good Wi-Fi.
    Esp32,
    /// The tutorial's board: one at a time, two that wait.
    Tutorial,
    /// The ESP32-like board on a bad Wi-Fi.
    Lossy,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ideal, Self::Esp32, Self::Tutorial, Self::Lossy];

    /// Its name on the command line.
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

/// A virtual board and its cable, validated.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// Where it started from.
    pub profile: Profile,
    /// Access point or station.
    pub mode: Mode,
    /// The server's settings, as they would be in a board's flash.
    pub server: ServerSettings,
    /// How long a worker is busy with a request.
    pub service_time: Duration,
    /// The cable.
    pub quality: Quality,
}

/// The options of the link, in the order of the help.
const LINK_KEYS: [&str; 10] = [
    "service-time",
    "latency",
    "jitter",
    "loss",
    "duplicate",
    "reorder",
    "corrupt",
    "outage",
    "bandwidth",
    "seed",
];

/// The keys that change a profile: the settings of a virtual board, then the options of the link.
pub fn keys() -> impl Iterator<Item = &'static str> {
    let settings = Field::VIRTUAL.iter().map(|field| field.name());
    settings.chain(LINK_KEYS)
}

impl Spec {
    /// A profile as it is.
    pub fn of(profile: Profile) -> Self {
        Draft::of(profile)
            .spec()
            .unwrap_or_else(|error| unreachable!("{error}"))
    }

    /// Parses what follows `sim:` in a target: nothing, a profile, `key=value` pairs or both,
    /// separated by commas.
    ///
    /// # Errors
    /// One line that names the part and what could stand there.
    pub fn parse(text: &str) -> Result<Self, String> {
        // `sim,workers=2` leaves the profile out, with the comma before the pair.
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

    /// A profile with some options changed, each by its long name.
    ///
    /// # Errors
    /// One line that names the option and what it takes.
    pub fn with<'k, 'v>(
        profile: Profile,
        options: impl IntoIterator<Item = (&'k str, &'v str)>,
    ) -> Result<Self, String> {
        Self::with_settings(profile, &Changes::default(), options)
    }

    /// A profile with settings and other options changed, the latter by their long names.
    ///
    /// # Errors
    /// One line that names the option and what it takes.
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

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn unknown_profile(name: &str) -> String {
    let names = Profile::ALL.map(Profile::name).join(", ");
    format!(
        "there is no sim profile '{}': choose one of {names}",
        name.escape_default()
    )
}

/// A board while options are applied. The settings are checked together at the end.
struct Draft {
    profile: Profile,
    base: ServerParts,
    changes: Changes,
    service_time: Duration,
    quality: Quality,
}

impl Draft {
    fn of(profile: Profile) -> Self {
        // One-way: a round trip of about 6 to 7 ms, as an ESP32 in the same room answers, and the
        // 20 Mbit/s of TCP that Espressif's own throughput figures promise.
        let wifi = Quality {
            latency: embassy_time::Duration::from_millis(3),
            jitter: embassy_time::Duration::from_micros(400),
            bandwidth: Some(20_000_000),
            seed: 1,
            ..Quality::IDEAL
        };
        let (quality, workers, backlog) = match profile {
            Profile::Ideal => (
                Quality {
                    seed: 1,
                    ..Quality::IDEAL
                },
                None,
                None,
            ),
            Profile::Esp32 => (wifi, None, None),
            Profile::Tutorial => (wifi, Workers::new(1).ok(), Backlog::new(2).ok()),
            Profile::Lossy => {
                let quality = Quality {
                    latency: embassy_time::Duration::from_millis(10),
                    jitter: embassy_time::Duration::from_millis(5),
                    loss: 0.02,
                    bandwidth: Some(2_000_000),
                    ..wifi
                };
                (quality, None, None)
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
            quality,
        }
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        if let Some(field) = Field::find(key).filter(|field| Field::VIRTUAL.contains(field)) {
            let value = units::setting(field, value).map_err(|why| format!("{key}: {why}"))?;
            self.changes.set(value);
            return Ok(());
        }
        let result = match key {
            "service-time" => bounded(value).map(|time| self.service_time = time),
            "latency" => bounded(value).map(|time| self.quality.latency = clock::duration(time)),
            "jitter" => bounded(value).map(|time| self.quality.jitter = clock::duration(time)),
            "loss" => units::share(value).map(|share| self.quality.loss = share),
            "duplicate" => units::share(value).map(|share| self.quality.duplicate = share),
            "reorder" => units::share(value).map(|share| self.quality.reorder = share),
            "corrupt" => units::share(value).map(|share| self.quality.corrupt = share),
            "outage" => outage(value).map(|outage| self.quality.outage = Some(outage)),
            "bandwidth" => units::bandwidth(value).map(|bits| self.quality.bandwidth = Some(bits)),
            "seed" => value
                .parse()
                .map(|seed| self.quality.seed = seed)
                .map_err(|_| format!("'{value}' is not a whole number from 0 on")),
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
            quality: self.quality,
        })
    }
}

/// A delay that a person would wait for, too.
fn bounded(value: &str) -> Result<Duration, String> {
    const LONGEST: Duration = Duration::from_mins(1);
    let duration = units::duration(value)?;
    if duration > LONGEST {
        return Err(format!("'{value}' is more than a minute"));
    }
    Ok(duration)
}

/// `5s@10s`: how long, and how long after the start.
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
    format!(
        "there is no sim option '{}': choose from {}",
        key.escape_default(),
        keys().collect::<Vec<_>>().join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_s_example() {
        let spec = Spec::parse("esp32,workers=2,backlog=0,loss=1%,latency=20ms,seed=7").unwrap();
        assert_eq!(spec.profile, Profile::Esp32);
        assert_eq!(
            (spec.server.workers().get(), spec.server.backlog().get()),
            (2, 0)
        );
        assert!((spec.quality.loss - 0.01).abs() < 1e-9);
        assert_eq!(
            spec.quality.latency,
            embassy_time::Duration::from_millis(20)
        );
        assert_eq!(spec.quality.seed, 7);
    }

    #[test]
    fn nothing_is_the_default_profile_and_a_pair_changes_it() {
        assert_eq!(Spec::parse(""), Ok(Spec::of(Profile::Esp32)));
        for text in ["seed=9", ",seed=9"] {
            let spec = Spec::parse(text).unwrap();
            assert_eq!((spec.profile, spec.quality.seed), (Profile::Esp32, 9));
        }
    }

    #[test]
    fn profiles_are_what_the_help_says() {
        let places = |profile| {
            let spec = Spec::of(profile);
            (spec.server.workers().get(), spec.server.backlog().get())
        };
        assert_eq!(places(Profile::Ideal), (4, 4));
        assert_eq!(places(Profile::Esp32), (4, 4));
        assert_eq!(places(Profile::Tutorial), (1, 2));
        assert_eq!(
            Spec::of(Profile::Ideal).quality,
            Quality {
                seed: 1,
                ..Quality::IDEAL
            }
        );
        assert!(Spec::of(Profile::Lossy).quality.loss > 0.0);
    }

    #[test]
    fn every_key_changes_something() {
        let values = [
            "sta", "7", "7", "70ms", "seven", "on", "off", "on", "7ms", "7ms", "7ms", "7%", "7%",
            "7%", "7%", "7s@7s", "7Mbit", "7",
        ];
        assert_eq!(keys().count(), values.len());
        for (key, value) in keys().zip(values) {
            let spec = Spec::parse(&format!("{key}={value}")).unwrap();
            assert_ne!(spec, Spec::of(Profile::Esp32), "{key}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, named) in [
            ("esp23", "esp23"),
            ("esp32,esp32", "esp32"),
            ("worker=2", "worker"),
            ("workers=0", "workers"),
            ("workers=two", "workers"),
            ("backlog=33", "backlog"),
            ("loss=200%", "loss"),
            ("latency=5", "5s or 5ms"),
            ("latency=2m", "latency"),
            ("request-timeout=1us", "request-timeout"),
            ("corrupt=2", "corrupt"),
            ("outage=5s", "5s@10s"),
            ("outage=5s@2m", "outage"),
            ("bandwidth=0bit", "bandwidth"),
            ("seed=-1", "seed"),
            ("greeting=", "greeting"),
            ("services=maybe", "services"),
            ("status=maybe", "status"),
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
