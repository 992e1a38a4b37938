//! The table of settings: name, type, values, help. `flash`, `configure`, `sim` and shell
//! completion derive their options from it.

use core::fmt;

use crate::{
    Backlog, Channel, Commands, Field, Greeting, HostName, Invalid, Management, MaxStations, Mode,
    RequestTimeout, Security, Services, Settings, Ssid, Status, TcpPort, Workers,
};

/// The values that a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// One of these words.
    Words(&'static [&'static str]),
    /// A whole number within these bounds.
    Number {
        /// Smallest allowed value.
        min: u32,
        /// Largest allowed value.
        max: u32,
    },
    /// Text of 1 to this many bytes.
    Text {
        /// Maximum number of bytes.
        max_len: usize,
    },
    /// A duration of 0 to this many milliseconds.
    Duration {
        /// Maximum duration, in milliseconds.
        max_ms: u32,
    },
}

/// Defines the methods of [`Field`], [`Value`] and [`Changes`] from one row per setting.
macro_rules! settings_table {
    ($(
        $(#[$doc:meta])*
        $field:ident($type:ty): $name:literal, $member:ident, $values:expr, $get:expr,
        $help:literal, $details:literal;
    )*) => {
        impl Field {
            /// Every setting that an option sets, in the order of the help.
            pub const OPTIONS: &[Self] = &[$(Self::$field),*];

            /// The name of the setting and of its option.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$field => $name,)*
                    Self::Passphrase => "passphrase",
                }
            }

            /// The values that it takes.
            pub const fn values(self) -> Values {
                match self {
                    $(Self::$field => $values,)*
                    Self::Passphrase => Values::Text { max_len: crate::Passphrase::MAX_LEN },
                }
            }

            /// Parses a value of this setting.
            ///
            /// # Errors
            /// The text is not a valid value, or the setting is the passphrase.
            pub fn parse(self, text: &str) -> Result<Value, Invalid> {
                match self {
                    $(Self::$field => Ok(Value::$field(text.parse()?)),)*
                    Self::Passphrase => Err(Invalid::new(self, crate::Reason::NoSecurity)),
                }
            }

            /// Help in one line.
            #[cfg(feature = "help")]
            pub const fn help(self) -> &'static str {
                match self {
                    $(Self::$field => $help,)*
                    Self::Passphrase => "WPA2 passphrase",
                }
            }

            /// More help, or an empty text.
            #[cfg(feature = "help")]
            pub const fn details(self) -> &'static str {
                match self {
                    $(Self::$field => $details,)*
                    Self::Passphrase => "",
                }
            }
        }

        /// A valid value of one setting.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[expect(clippy::large_enum_variant, reason = "short-lived, and without an allocator")]
        #[expect(missing_docs, reason = "the variants of `Field`")]
        pub enum Value {
            $($field($type),)*
        }

        impl fmt::Display for Value {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$field(value) => value.fmt(f),)*
                }
            }
        }

        /// Requested settings. `None` keeps the stored value, or uses the default where none is
        /// stored.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Changes {
            /// Passphrase, or an open network.
            pub security: Option<Security>,
            $($(#[$doc])* pub $member: Option<$type>,)*
        }

        impl Changes {
            /// Requests a value.
            pub fn set(&mut self, value: Value) {
                match value {
                    $(Value::$field(value) => self.$member = Some(value),)*
                }
            }

            /// The requested value of a setting. `None` for the passphrase, which is in
            /// `security`, and where none is requested.
            pub fn value(&self, field: Field) -> Option<Value> {
                match field {
                    $(Field::$field => self.$member.clone().map(Value::$field),)*
                    Field::Passphrase => None,
                }
            }

            /// Whether they take effect at a restart; see [`Field::needs_restart`].
            pub const fn needs_restart(&self) -> bool {
                self.security.is_some()
                    $(|| (self.$member.is_some() && Field::$field.needs_restart()))*
            }
        }

        impl Settings {
            /// All values but the passphrase. `None` for names that the board derives from its MAC
            /// address.
            pub fn values(&self) -> Changes {
                Changes {
                    security: None,
                    $($member: {
                        let get: fn(&Self) -> Option<$type> = $get;
                        get(self)
                    },)*
                }
            }
        }
    };
}

const SWITCH: Values = Values::Words(&["on", "off"]);

settings_table! {
    /// Access point or station.
    Mode(Mode): "mode", mode, Values::Words(&["ap", "sta"]), |s| Some(s.network.mode()),
        "Wi-Fi mode: access point (ap) or station (sta)", "";
    /// Name of the Wi-Fi network.
    Ssid(Ssid): "ssid", ssid, Values::Text { max_len: Ssid::MAX_LEN }, |s| s.network.ssid().cloned(),
        "Name of the Wi-Fi network",
        "An access point without a name uses tcpctl- and the last 4 digits of its MAC.";
    /// Radio channel of the access point.
    Channel(Channel): "channel", channel,
        Values::Number { min: Channel::MIN.get() as u32, max: Channel::MAX.get() as u32 },
        |s| Some(s.channel),
        "Channel of the access point", "";
    /// Stations that the access point accepts.
    MaxStations(MaxStations): "max-stations", max_stations,
        Values::Number { min: MaxStations::MIN.get() as u32, max: MaxStations::MAX.get() as u32 },
        |s| Some(s.max_stations),
        "Stations that the access point accepts", "";
    /// Host name in DHCP and mDNS.
    HostName(HostName): "hostname", host_name, Values::Text { max_len: HostName::MAX_LEN },
        |s| s.host_name.clone(),
        "Host name in DHCP and, with .local, in mDNS",
        "The default is tcpctl- and the last 4 digits of the MAC.";
    /// Reply of the greeting server.
    Greeting(Greeting): "greeting", greeting, Values::Text { max_len: Greeting::MAX_LEN },
        |s| Some(s.server.greeting().clone()),
        "Reply to every request", "";
    /// Port of the greeting server.
    TcpPort(TcpPort): "tcp-port", port,
        Values::Number { min: TcpPort::MIN.get() as u32, max: TcpPort::MAX.get() as u32 },
        |s| Some(s.server.port()),
        "TCP port of the server", "";
    /// Connections served at once.
    Workers(Workers): "workers", workers,
        Values::Number { min: Workers::MIN.get() as u32, max: Workers::MAX.get() as u32 },
        |s| Some(s.server.workers()),
        "Connections served at once", "";
    /// Connections that wait for a worker.
    Backlog(Backlog): "backlog", backlog,
        Values::Number { min: Backlog::MIN.get() as u32, max: Backlog::MAX.get() as u32 },
        |s| Some(s.server.backlog()),
        "Connections that wait for a worker",
        "Further connections are refused.";
    /// Time that a silent connection keeps its worker.
    RequestTimeout(RequestTimeout): "request-timeout", request_timeout,
        Values::Duration { max_ms: RequestTimeout::MAX.as_millis() },
        |s| Some(s.server.request_timeout()),
        "Time that a silent connection keeps its worker",
        "After that it gets the greeting. With 0 the server reads what has arrived and replies.";
    /// Throughput services.
    Services(Services): "services", services, SWITCH, |s| Some(s.server.services()),
        "Echo (port 7), discard (9) and chargen (19) services", "";
    /// Reply to `status` and `readings`.
    Status(Status): "status", status, SWITCH, |s| Some(s.server.status()),
        "Answer the requests `status` and `readings`", "";
    /// Commands that change something.
    Commands(Commands): "commands", commands, SWITCH, |s| Some(s.server.commands()),
        "Accept commands that change something, from anyone on the network", "";
    /// Settings and updates over the network.
    Management(Management): "management", management, SWITCH, |s| Some(s.server.management()),
        "Accept settings and updates over the network, on TCP port 3001",
        "They are authenticated and encrypted with the board's management key.";
}

impl Settings {
    /// The value of a setting. `None` for the passphrase, and for names that the board derives from
    /// its MAC address.
    pub fn value(&self, field: Field) -> Option<Value> {
        self.values().value(field)
    }
}

impl Field {
    /// Whether a change takes effect at a restart.
    pub const fn needs_restart(self) -> bool {
        !matches!(self, Self::Greeting | Self::RequestTimeout)
    }

    /// The settings of a virtual board: those of the servers, and the mode.
    #[cfg(feature = "help")]
    pub const VIRTUAL: &[Self] = &[
        Self::Mode,
        Self::Workers,
        Self::Backlog,
        Self::RequestTimeout,
        Self::Greeting,
        Self::Services,
        Self::Status,
        Self::Commands,
        Self::Management,
    ];

    /// The setting with this name.
    pub fn find(name: &str) -> Option<Self> {
        let mut options = Self::OPTIONS.iter().copied();
        options.find(|field| field.name() == name)
    }

    /// The default value. `None` where there is none, or where it comes from the MAC address.
    #[cfg(feature = "help")]
    pub fn default_value(self) -> Option<Value> {
        let settings = Settings::new(crate::Network::AccessPoint {
            ssid: None,
            security: Security::Open,
        });
        settings.value(self).filter(|_| self != Self::Mode)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_field_is_found_by_its_name() {
        for &field in Field::OPTIONS {
            assert_eq!(Field::find(field.name()), Some(field));
        }
        assert_eq!(Field::find("passphrase"), None);
    }

    #[test]
    fn a_displayed_value_parses_to_the_same_value() {
        let settings = Settings::new(crate::Network::Station {
            ssid: Ssid::new("home").unwrap(),
            security: Security::Open,
        });
        for &field in Field::OPTIONS {
            let Some(value) = settings.value(field) else {
                assert_eq!(field, Field::HostName);
                continue;
            };
            assert_eq!(
                field.parse(&value.to_string()),
                Ok(value.clone()),
                "{field}"
            );
            let mut changes = Changes::default();
            changes.set(value);
            assert!(!changes.is_empty(), "{field}");
        }
    }

    #[test]
    fn number_bounds_of_the_table_are_enforced() {
        for &field in Field::OPTIONS {
            if let Values::Number { min, max } = field.values() {
                assert!(field.parse(&min.to_string()).is_ok(), "{field}");
                assert!(field.parse(&max.to_string()).is_ok(), "{field}");
                assert!(field.parse(&(max + 1).to_string()).is_err(), "{field}");
            }
        }
    }
}
