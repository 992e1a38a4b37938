//! The plan of `tcpctl configure`, and the settings that it changes.

use std::path::Path;

use tcpctl_management::{Shown, ShownSettings, TrialReport};
use tcpctl_settings::sectors::{ConfirmTimeout, TrialState};
use tcpctl_settings::{Changes, Field, HostName, Mode, Passphrase, Security, Ssid};

use super::report::{BoardFacts, Change, ShownValues, TrialFacts};
use crate::cli::ConfigureArgs;
use crate::config;
use crate::failure::Failure;
use crate::flash::settings::invalid_setting;
use crate::management::key::KeySource;
use crate::passphrase;
use crate::target::{Target, TargetKind};

/// The plan of a change.
#[derive(Debug)]
pub struct ConfigurePlan {
    /// The board.
    pub target: Target,
    /// What to do.
    pub action: Action,
    /// Source of the board's key.
    pub key: KeySource,
    /// Time in which the board must be confirmed.
    pub confirm_timeout: ConfirmTimeout,
    /// Another address at which the board may be afterwards.
    pub address: Option<Target>,
    /// Port of the management channel, if given.
    pub management_port: Option<u16>,
    /// Whether another computer confirms the change.
    pub no_confirm: bool,
    /// Whether to skip the check for a greeting.
    pub no_wait: bool,
    /// Whether to print only the plan.
    pub dry_run: bool,
}

/// What to do.
#[derive(Debug)]
pub enum Action {
    /// Show the settings in force.
    Show,
    /// Change settings.
    Change(Box<Changes>),
    /// Confirm the settings that another computer has sent.
    Confirm,
}

impl ConfigurePlan {
    /// Checks the arguments, and reads standard input if an option requests it.
    ///
    /// # Errors
    /// A usage error.
    pub fn new(args: &ConfigureArgs) -> Result<Self, Failure> {
        let key_file = args.channel.key_file.as_deref();
        if args.security.password_stdin && key_file == Some(Path::new("-")) {
            return Err(Failure::usage(
                "--key-file - and --password-stdin both read standard input",
            )
            .hint("give a file to --key-file"));
        }
        let mut changes = args.settings.changes.clone();
        let is_change = !changes.is_empty() || args.security.open || args.security.password_stdin;
        if !(is_change || args.show || args.confirm) {
            return Err(Failure::usage("no setting given")
                .hint("give e.g. --ssid or --greeting, or --show to print the settings in force"));
        }
        let target = config::target(args.target.clone(), "configure")?;
        let target = Target::parse(&target)?;
        let address = args.address.as_deref().map(Target::parse).transpose()?;
        if let Some(address) = &address
            && matches!(address.kind, TargetKind::Virtual(_))
        {
            return Err(
                Failure::usage("--address: a virtual board has no other address")
                    .hint("write HOST or HOST:PORT"),
            );
        }
        changes.security = passphrase::security(args.security)?;
        Ok(Self {
            target,
            action: match (args.show, args.confirm) {
                (true, _) => Action::Show,
                (_, true) => Action::Confirm,
                _ => Action::Change(Box::new(changes)),
            },
            key: KeySource::new(key_file)?,
            confirm_timeout: args.confirm_timeout,
            address,
            management_port: args.channel.management_port,
            no_confirm: args.no_confirm || args.no_wait,
            no_wait: args.no_wait,
            dry_run: args.dry_run,
        })
    }
}

/// The settings to request of a board with the settings `shown`: only those that differ. `ask`
/// reads the passphrase if another network needs one.
///
/// # Errors
/// A setting does not fit the others, or `ask` fails.
pub fn needed(
    changes: &Changes,
    shown: &Shown,
    ask: impl FnOnce(&Ssid) -> Result<Passphrase, Failure>,
) -> Result<Changes, Failure> {
    let old = &shown.settings;
    let old_mode = mode(old);
    let new_mode = changes.mode.unwrap_or(old_mode);
    let is_another = |ssid: &Ssid| self::ssid(old).as_ref() != Some(ssid);
    let mut needed = Changes {
        security: changes.security.clone(),
        ..Changes::default()
    };
    for &field in Field::OPTIONS {
        // Another mode discards the name of the network.
        let is_kept = field == Field::Ssid && new_mode != old_mode;
        let differs = |value: &_| is_kept || old.value(field).as_ref() != Some(value);
        if let Some(value) = changes.value(field).filter(differs) {
            needed.set(value);
        }
    }
    // A network that stays open needs no change.
    if needed.security == Some(Security::Open)
        && !old.is_protected()
        && new_mode == old_mode
        && needed.ssid.is_none()
    {
        needed.security = None;
    }
    let needs_passphrase = match (new_mode, &needed.ssid) {
        _ if needed.security.is_some() => None,
        (Mode::AccessPoint, ssid) if old_mode == Mode::Station => {
            // The default name depends on the MAC address, which the prompt does not need.
            Some(
                ssid.clone()
                    .unwrap_or_else(|| HostName::of_board([0; 6]).into()),
            )
        }
        (Mode::Station, Some(ssid)) if is_another(ssid) || old_mode != new_mode => {
            Some(ssid.clone())
        }
        _ => None,
    };
    // First check the settings that need no prompt.
    let check = Changes {
        security: needed.security.clone().or(Some(Security::Open)),
        ..needed.clone()
    };
    old.with_changes(&check)
        .map_err(|invalid| invalid_setting(&invalid))?;
    if let Some(ssid) = needs_passphrase {
        needed.security = Some(Security::Wpa2(ask(&ssid)?));
    }
    Ok(needed)
}

/// Old and new values of the settings that `needed` changes.
///
/// # Errors
/// A setting does not fit the others.
pub fn differences(needed: &Changes, shown: &Shown, mac: [u8; 6]) -> Result<Vec<Change>, Failure> {
    let old = &shown.settings;
    let new = old
        .with_changes(needed)
        .map_err(|invalid| invalid_setting(&invalid))?;
    let (old, new) = (values(old, mac), values(&new, mac));
    let mut changes: Vec<_> = old
        .0
        .iter()
        .filter_map(|(setting, old)| {
            let (_, new) = new.0.iter().find(|(name, _)| name == setting)?;
            (old != new).then(|| Change {
                setting,
                old: old.clone(),
                new: new.clone(),
            })
        })
        .collect();
    if let Some(Security::Wpa2(_)) = needed.security {
        changes.retain(|change| change.setting != PASSPHRASE);
        let old = old.0.iter().find(|(name, _)| *name == PASSPHRASE);
        changes.push(Change {
            setting: PASSPHRASE,
            old: old.map(|(_, value)| value.clone()).unwrap_or_default(),
            new: "set (new)".to_owned(),
        });
    }
    Ok(changes)
}

const PASSPHRASE: &str = "passphrase";

/// Whether the board changes its network with these settings.
pub fn changes_network(needed: &Changes) -> bool {
    needed.mode.is_some() || needed.ssid.is_some() || needed.security.is_some()
}

/// Settings by option name, and whether there is a passphrase.
pub fn values(settings: &ShownSettings, mac: [u8; 6]) -> ShownValues {
    let mut values = Vec::new();
    let own_name = || HostName::of_board(mac).to_string();
    for &field in Field::OPTIONS {
        let value = settings.value(field).map(|value| value.to_string());
        values.push((field.name(), value.unwrap_or_else(own_name)));
        if field == Field::Ssid {
            let passphrase = if settings.is_protected() {
                "set"
            } else {
                "open"
            };
            values.push((PASSPHRASE, passphrase.to_owned()));
        }
    }
    ShownValues(values)
}

/// Name of the network that a board with these settings opens or joins.
pub fn network_name(settings: &ShownSettings, mac: [u8; 6]) -> String {
    let name = ssid(settings);
    name.map_or_else(|| HostName::of_board(mac).to_string(), |it| it.to_string())
}

/// The mode of settings.
pub fn mode(settings: &ShownSettings) -> Mode {
    match settings.value(Field::Mode) {
        Some(tcpctl_settings::Value::Mode(mode)) => mode,
        _ => Mode::AccessPoint,
    }
}

fn ssid(settings: &ShownSettings) -> Option<Ssid> {
    match settings.value(Field::Ssid) {
        Some(tcpctl_settings::Value::Ssid(ssid)) => Some(ssid),
        _ => None,
    }
}

/// The port of the greeting server.
pub fn greeting_port(settings: &ShownSettings) -> u16 {
    match settings.value(Field::TcpPort) {
        Some(tcpctl_settings::Value::TcpPort(port)) => port.get(),
        _ => crate::target::DEFAULT_PORT,
    }
}

/// Facts about a board for the report.
pub fn facts(shown: &Shown, mac: [u8; 6]) -> BoardFacts {
    BoardFacts {
        mac: tcpctl_greeter::console::Mac(mac).to_string(),
        chip: shown.chip.clone(),
        firmware: shown.firmware.clone(),
    }
}

/// The state of a trial for the report.
pub fn trial(trial: &TrialReport) -> TrialFacts {
    let (state, reason) = match trial.state {
        TrialState::Pending => ("pending", None),
        TrialState::Started => ("started", None),
        TrialState::Confirmed => ("confirmed", None),
        TrialState::RolledBack(reason) => ("rolled_back", Some(reason.to_string())),
    };
    TrialFacts {
        state,
        reason,
        remaining_s: trial.remaining_s,
    }
}

#[cfg(test)]
mod tests {
    use tcpctl_settings::{Network, Settings};

    use super::*;

    const MAC: [u8; 6] = [0x84, 0xf7, 3, 0x1a, 0, 0xff];

    fn shown(network: Network) -> Shown {
        Shown {
            firmware: "0.1.0".to_owned(),
            chip: "esp32c3".to_owned(),
            settings: ShownSettings::of(&Settings::new(network)),
            sequence: 1,
            trial: None,
        }
    }

    fn not_asked(ssid: &Ssid) -> Result<Passphrase, Failure> {
        panic!("asked for the passphrase of {ssid}");
    }

    fn wpa2() -> Security {
        Security::Wpa2(Passphrase::new("correct horse").unwrap())
    }

    fn station() -> Shown {
        shown(Network::Station {
            ssid: Ssid::new("home").unwrap(),
            security: wpa2(),
        })
    }

    fn access_point() -> Shown {
        shown(Network::AccessPoint {
            ssid: None,
            security: wpa2(),
        })
    }

    fn changes(options: &[(&str, &str)]) -> Changes {
        let mut changes = Changes::default();
        for (name, value) in options {
            let field = Field::find(name).unwrap();
            changes.set(field.parse(value).unwrap());
        }
        changes
    }

    #[test]
    fn only_differences_are_sent() {
        let given = changes(&[("ssid", "home"), ("workers", "4"), ("greeting", "moin")]);
        let needed = needed(&given, &station(), not_asked).unwrap();
        assert_eq!(needed, changes(&[("greeting", "moin")]));
        assert!(!needed.needs_restart() && !changes_network(&needed));
        let listed = differences(&needed, &station(), MAC).unwrap();
        let expected = Change {
            setting: "greeting",
            old: "Hello World".to_owned(),
            new: "moin".to_owned(),
        };
        assert_eq!(listed, [expected]);
    }

    #[test]
    fn another_network_needs_a_passphrase() {
        for (board, options) in [
            (station(), &[("ssid", "office")][..]),
            (station(), &[("mode", "ap")]),
            (access_point(), &[("mode", "sta"), ("ssid", "home")]),
        ] {
            let typed = Passphrase::new("battery staple").unwrap();
            let asked = needed(&changes(options), &board, |_| Ok(typed.clone())).unwrap();
            assert_eq!(asked.security, Some(Security::Wpa2(typed)));
            let open = Changes {
                security: Some(Security::Open),
                ..changes(options)
            };
            assert_eq!(needed(&open, &board, not_asked).unwrap(), open);
        }
        // A renamed access point keeps its own.
        let renamed = changes(&[("ssid", "desk")]);
        assert_eq!(
            needed(&renamed, &access_point(), not_asked).unwrap(),
            renamed
        );
    }

    #[test]
    fn name_is_kept_where_the_mode_changes() {
        let board = shown(Network::AccessPoint {
            ssid: Some(Ssid::new("home").unwrap()),
            security: Security::Open,
        });
        let given = Changes {
            security: Some(wpa2()),
            ..changes(&[("mode", "sta"), ("ssid", "home")])
        };
        assert_eq!(needed(&given, &board, not_asked).unwrap(), given);
    }

    #[test]
    fn settings_that_do_not_fit_are_refused_before_a_question() {
        let given = changes(&[("ssid", "office"), ("channel", "6")]);
        let refused = needed(&given, &station(), not_asked).unwrap_err();
        assert!(refused.message.contains("channel"), "{refused}");
    }

    #[test]
    fn new_passphrase_is_listed_and_not_shown() {
        let given = Changes {
            security: Some(wpa2()),
            ..Changes::default()
        };
        let listed = differences(&given, &station(), MAC).unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(
            (listed[0].setting, &*listed[0].new),
            ("passphrase", "set (new)")
        );
        assert!(!format!("{listed:?} {given:?}").contains("horse"));
    }
}
