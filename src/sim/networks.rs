//! The Wi-Fi networks that exist for a virtual board: a TOML file, or the one of its settings.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use tcpctl_greeter::station::Failure as JoinFailure;
use tcpctl_settings::{Network, Passphrase, Security, Ssid};
use toml::Spanned;

use crate::failure::{Failure, reason};
use crate::{sanitize, toml_text};

/// Example of a network in the file, for hints.
const EXAMPLE: &str = "[[network]] with ssid = \"home\" and passphrase = \"...\" or open = true";

/// The networks around a board.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Networks {
    /// The file, read again for every attempt to join, so that networks can appear and disappear.
    file: Option<PathBuf>,
    known: Vec<KnownNetwork>,
}

/// A network that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownNetwork {
    /// Network name.
    pub ssid: Ssid,
    /// Security of the network, with its passphrase.
    pub security: Security,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    #[serde(default)]
    network: Vec<Spanned<Entry>>,
}

/// Values are checked after parsing, because a message of the TOML library would repeat a
/// passphrase of another type.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    ssid: Option<toml::Value>,
    passphrase: Option<toml::Value>,
    open: Option<toml::Value>,
}

impl Networks {
    /// The network in a station's settings; empty for an access point.
    pub fn of(network: &Network) -> Self {
        let known = match network {
            Network::Station { ssid, security } => vec![KnownNetwork {
                ssid: ssid.clone(),
                security: security.clone(),
            }],
            Network::AccessPoint { .. } => Vec::new(),
        };
        Self::fixed(known)
    }

    /// Networks that never change.
    pub fn fixed(known: Vec<KnownNetwork>) -> Self {
        Self { file: None, known }
    }

    /// The networks of a file. Blocks.
    ///
    /// # Errors
    /// A usage error that names the file and the line.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let name = sanitize::one_line(&path.to_string_lossy());
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("--networks {name}: {}", reason(&error))))?;
        let known = parse(&text).map_err(|(line, what)| {
            Failure::usage(format!("--networks {name}:{line}: {what}"))
                .hint(format!("write for each network: {EXAMPLE}"))
        })?;
        Ok(Self {
            file: Some(path.to_owned()),
            known,
        })
    }

    /// The first network of the file.
    pub fn first(&self) -> Option<&KnownNetwork> {
        self.known.first()
    }

    /// Whether networks can appear and disappear.
    pub fn can_change(&self) -> bool {
        self.file.is_some()
    }

    /// Reads the file again. If it is unreadable, e.g. half saved, nothing changes.
    pub fn refresh(&mut self) {
        if let Some(Ok(now)) = self.file.as_deref().map(Self::read) {
            *self = now;
        }
    }

    /// Whether a station with these settings can join.
    ///
    /// # Errors
    /// Why it cannot, as an access point would answer.
    pub fn join(&self, ssid: &Ssid, security: &Security) -> Result<(), JoinFailure> {
        let network = self
            .known
            .iter()
            .find(|known| known.ssid == *ssid)
            .ok_or(JoinFailure::NoSuchNetwork)?;
        match (&network.security, security) {
            (own, given) if own == given => Ok(()),
            (Security::Wpa2(_), Security::Wpa2(_)) => Err(JoinFailure::WrongPassphrase),
            _ => Err(JoinFailure::OtherSecurity),
        }
    }
}

/// Parses the file. An error is a line number, counted from 1, and a message without secrets.
fn parse(text: &str) -> Result<Vec<KnownNetwork>, (usize, String)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let content: Content = toml_text::parse(text)?;
    let mut known: Vec<KnownNetwork> = Vec::new();
    for entry in content.network {
        let line = toml_text::line_of(text, entry.span().start);
        let network = network(entry.into_inner()).map_err(|what| (line, what))?;
        if known.iter().any(|other| other.ssid == network.ssid) {
            return Err((line, format!("duplicate network '{}'", network.ssid)));
        }
        known.push(network);
    }
    if known.is_empty() {
        return Err((1, "no network".to_owned()));
    }
    Ok(known)
}

fn network(entry: Entry) -> Result<KnownNetwork, String> {
    let text = |key: &str, value: toml::Value| match value {
        toml::Value::String(text) => Ok(text),
        _ => Err(format!("{key} must be text in quotes")),
    };
    let ssid = entry.ssid.ok_or("a network has no ssid")?;
    let ssid = Ssid::new(text("ssid", ssid)?).map_err(|invalid| invalid.to_string())?;
    let open = match entry.open {
        None => false,
        Some(toml::Value::Boolean(open)) => open,
        Some(_) => return Err(format!("network '{ssid}': open must be true or false")),
    };
    let security = match (entry.passphrase, open) {
        (Some(secret), false) => {
            let secret = text("passphrase", secret)?;
            let secret = Passphrase::new(&secret);
            Security::Wpa2(secret.map_err(|invalid| format!("network '{ssid}': {invalid}"))?)
        }
        (None, true) => Security::Open,
        (Some(_), true) => {
            return Err(format!("network '{ssid}' has a passphrase and is open"));
        }
        (None, false) => {
            return Err(format!(
                "network '{ssid}' has neither passphrase nor open = true"
            ));
        }
    };
    Ok(KnownNetwork { ssid, security })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\u{feff}# mine\n[[network]]\nssid = \"home\"\npassphrase = \"correct horse\"\n\n\
                        [[network]]\nssid = \"guest\"\nopen = true\n";

    fn wpa2(text: &str) -> Security {
        Security::Wpa2(Passphrase::new(text).unwrap())
    }

    #[test]
    fn stations_join_only_networks_that_exist() {
        let networks = Networks {
            file: None,
            known: parse(FILE).unwrap(),
        };
        let join = |name: &str, security| networks.join(&Ssid::new(name).unwrap(), &security);
        assert_eq!(join("home", wpa2("correct horse")), Ok(()));
        assert_eq!(join("guest", Security::Open), Ok(()));
        for (name, security, failure) in [
            ("home", wpa2("battery staple"), JoinFailure::WrongPassphrase),
            ("home", Security::Open, JoinFailure::OtherSecurity),
            ("guest", wpa2("correct horse"), JoinFailure::OtherSecurity),
            ("office", Security::Open, JoinFailure::NoSuchNetwork),
        ] {
            assert_eq!(join(name, security), Err(failure));
        }
    }

    #[test]
    fn errors_name_the_line_and_no_passphrase() {
        for (text, line, words) in [
            ("", 1, "no network"),
            (
                "\n[[network]]\nssid = \"a\"\n",
                2,
                "neither passphrase nor open",
            ),
            ("[[network]]\npassphrase = \"12345678\"\n", 1, "has no ssid"),
            (
                "[[network]]\nssid = \"a\"\npassphrase = 12345678\n",
                1,
                "must be text",
            ),
            (
                "[[network]]\nssid = \"a\"\npassphrase = \"hunter2\"\n",
                1,
                "length is 7",
            ),
            (
                "[[network]]\nssid = \"a\"\npsk = \"hunter2hunter2\"\n",
                3,
                "unknown field",
            ),
            ("[[network]]\nssid = \"a\"\nopen = 1\n", 1, "true or false"),
            ("[[network]]\nssid = \"\"\nopen = true\n", 1, "length is 0"),
            ("\n\npassphrase hunter2\n", 3, ""),
            (
                "[[network]]\nssid = \"a\"\nopen = true\n[[network]]\nssid = \"a\"\nopen = true\n",
                4,
                "duplicate network 'a'",
            ),
            (
                "[[network]]\nssid = \"a\"\nopen = true\npassphrase = \"12345678\"\n",
                1,
                "and is open",
            ),
        ] {
            let (at, what) = parse(text).unwrap_err();
            assert_eq!(at, line, "{text:?}: {what}");
            assert!(what.contains(words), "{text:?}: {what}");
            assert!(!what.contains('\n') && !what.contains("hunter2"), "{what}");
            assert!(!what.contains("12345678"), "{what}");
        }
    }

    #[test]
    fn networks_vanish_and_a_broken_file_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("networks.toml");
        std::fs::write(&path, FILE).unwrap();
        let mut networks = Networks::read(&path).unwrap();
        let guest = Ssid::new("guest").unwrap();
        for (text, expected) in [
            ("[[network", Ok(())),
            (
                FILE.split("\n\n").next().unwrap(),
                Err(JoinFailure::NoSuchNetwork),
            ),
            (FILE, Ok(())),
        ] {
            std::fs::write(&path, text).unwrap();
            networks.refresh();
            assert_eq!(networks.join(&guest, &Security::Open), expected, "{text}");
        }
    }
}
