//! Settings without their secrets.

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tcpctl_settings::{Changes, Field, Invalid, Passphrase, Security, Settings, Value};

use crate::wire::{WireValue, WireValues, to_wire};

/// The settings of a board as it shows them: every value, but of the passphrase only whether there
/// is one. The key is not included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownSettings {
    /// All values except the security.
    values: Changes,
    is_protected: bool,
}

impl ShownSettings {
    /// These settings without their secrets.
    pub fn of(settings: &Settings) -> Self {
        Self {
            values: settings.values(),
            is_protected: matches!(settings.network.security(), Security::Wpa2(_)),
        }
    }

    /// The value of a setting. `None` for the passphrase, and for names that the board derives from
    /// its MAC address.
    pub fn value(&self, field: Field) -> Option<Value> {
        self.values.value(field)
    }

    /// Whether the network has a passphrase.
    pub const fn is_protected(&self) -> bool {
        self.is_protected
    }

    /// The settings that the board will show after these changes, checked as the board checks them.
    ///
    /// # Errors
    /// As [`Settings::with_changes`].
    pub fn with_changes(&self, changes: &Changes) -> Result<Self, Invalid> {
        let security = if self.is_protected {
            // Any passphrase: it is checked that there is one, and never leaves this function.
            Security::Wpa2(Passphrase::new("placeholder")?)
        } else {
            Security::Open
        };
        Ok(Self::of(
            &self.with_security(security)?.with_changes(changes)?,
        ))
    }

    /// The settings with this security and no key.
    fn with_security(&self, security: Security) -> Result<Settings, Invalid> {
        let mut values = self.values.clone();
        values.security = Some(security);
        // A station keeps the settings of an access point, but they cannot be requested for a
        // station.
        let (channel, max_stations) = (values.channel.take(), values.max_stations.take());
        let mut settings = values.to_settings(tcpctl_settings::NoStoredSettings::Unread)?;
        settings.channel = channel.unwrap_or(settings.channel);
        settings.max_stations = max_stations.unwrap_or(settings.max_stations);
        Ok(settings)
    }
}

impl Serialize for ShownSettings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let security = if self.is_protected {
            WireValue::IsProtected
        } else {
            WireValue::Open
        };
        let values = to_wire(&self.values).and_then(|mut values| {
            values.push(security).ok()?;
            Some(values)
        });
        values
            .ok_or_else(|| S::Error::custom("too many settings"))?
            .serialize(serializer)
    }
}

/// Checks the values.
impl<'de> Deserialize<'de> for ShownSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut shown = Self {
            values: Changes::default(),
            is_protected: false,
        };
        for wire in WireValues::deserialize(deserializer)? {
            match wire {
                WireValue::IsProtected => shown.is_protected = true,
                WireValue::Open | WireValue::Passphrase(_) => shown.is_protected = false,
                value => value.request(&mut shown.values).map_err(D::Error::custom)?,
            }
        }
        Ok(shown)
    }
}
