//! The settings, out of the partition that is labelled `settings`.

use core::fmt;

use esp_bootloader_esp_idf::partitions::{PARTITION_TABLE_MAX_LEN, read_partition_table};
use esp_hal::peripherals::FLASH;
use esp_hal::rng::Rng;
use esp_storage::FlashStorage;
use tcpctl_greeter::boot_loop::Blamed;
use tcpctl_settings::{BLOCK_SIZE, DecodeError, Network, Passphrase, Security, Settings};

/// The partition's label in `partitions.csv`.
const LABEL: &str = "settings";

/// Why there are no settings.
pub(crate) enum Missing {
    /// The flash or its partition table could not be read.
    Unreadable,
    /// No partition has the label.
    NoPartition,
    /// What is in the partition is of no use.
    Unusable(DecodeError),
    /// There may be settings; the board has failed with them.
    Blamed(Blamed),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable => f.write_str("the flash or its partition table can't be read"),
            Self::NoPartition => write!(
                f,
                "there is no partition `{LABEL}`; flash the firmware with its own partition table"
            ),
            Self::Unusable(error) => error.fmt(f),
            Self::Blamed(blamed) => blamed.fmt(f),
        }
    }
}

/// Reads the settings. For the sector it takes 4 kB of stack, and gives them back.
#[inline(never)]
pub(crate) fn load(flash: FLASH<'static>) -> Result<Settings, Missing> {
    let mut flash = FlashStorage::new(flash);
    let mut buffer = [0; PARTITION_TABLE_MAX_LEN];
    let table = read_partition_table(&mut flash, &mut buffer).map_err(|_| Missing::Unreadable)?;
    let partition = table
        .iter()
        .find(|partition| partition.label_as_str() == LABEL)
        .ok_or(Missing::NoPartition)?;
    let mut sector = [0; BLOCK_SIZE];
    flash
        .read(partition.offset(), &mut sector)
        .map_err(|_| Missing::Unreadable)?;
    Settings::decode(&sector).map_err(Missing::Unusable)
}

/// What a board does that was told nothing: a network of its own, under a passphrase that nobody
/// else has.
pub(crate) fn defaults(random: Rng) -> Settings {
    Settings::new(Network::AccessPoint {
        ssid: None,
        security: Security::Wpa2(Passphrase::random(|| random.random())),
    })
}
