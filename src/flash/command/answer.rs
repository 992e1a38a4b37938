//! Waits for the banner, the address and the greeting after the reset.

use espflash::target::Chip;
use tcpctl_settings::{Mode, Security, Settings};
use tokio::sync::mpsc;

use super::{Flash, blocking};
use crate::esp::chip;
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::flash::boot::{self, BootEvent, End, Reached};
use crate::flash::event::FlashEvent;
use crate::flash::settings::{self, NewSettings};
use crate::sanitize;
use crate::serial::port;
use crate::units;

/// A board after its reset.
pub(super) struct RunningBoard {
    pub(super) port: port::SelectedPort,
    pub(super) chip: Chip,
    pub(super) mac: Option<String>,
}

impl Flash<'_> {
    /// Waits for the banner, the address and the greeting.
    pub(super) async fn wait(
        &self,
        console: espflash::connection::Port,
        board: RunningBoard,
        wanted: &NewSettings,
    ) -> anyhow::Result<Exit> {
        let (sender, mut events) = mpsc::unbounded_channel();
        let name = board.port.name();
        let port = board.port.clone();
        let listening = blocking(move || boot::listen(console, &port, &sender));
        let mut ready = None;
        let end = loop {
            let event = events.recv().await;
            if !matches!(event, Some(BootEvent::Line(_))) {
                self.output.end_status();
            }
            match event {
                Some(BootEvent::Banner(banner)) => self.emit(FlashEvent::Booted { banner }),
                Some(BootEvent::Ready(addr)) => {
                    self.emit(FlashEvent::Ready { addr });
                    ready = Some(addr);
                }
                Some(BootEvent::Panic(why)) => {
                    return Err(Failure::new(
                        Kind::Device,
                        format!("{name}: the firmware panicked: {why}"),
                    )
                    .hint("everything is written and verified; see tcpctl monitor")
                    .into());
                }
                // Messages of the bootloader and the firmware explain a slow start.
                Some(BootEvent::Line(line)) => self.output.status(&line),
                Some(BootEvent::End(end)) => break end,
                None => break End::Gone("the console thread ended".to_owned()),
            }
        };
        listening.await?;
        let Some(address) = ready else {
            return Err(not_ready(&name, board.chip, &end, wanted).into());
        };
        let station = wanted.settings.network.mode() == Mode::Station;
        match boot::greet(address).await {
            Reached::Answer { greeting, took } => {
                if greeting != wanted.settings.server.greeting().as_bytes() {
                    self.output.note(&format!(
                        "warning: {address} answers with another greeting: this computer's network may \
                         have another host with that address"
                    ));
                }
                self.emit(FlashEvent::Answered {
                    addr: address,
                    greeting: String::from_utf8_lossy(&greeting).into_owned(),
                    total_us: units::microseconds(took),
                });
                Ok(Exit::Done)
            }
            Reached::Unreachable(_) if !station => {
                self.output.note(&format!(
                    "to reach the board, join the network {}, then: tcpctl send {address} hi",
                    network(&wanted.settings, board.mac.as_deref())
                ));
                Ok(Exit::Done)
            }
            Reached::Unreachable(why) => {
                self.output.note(&format!(
                    "warning: cannot connect to {address} from here ({}). From a computer in its \
                     network: tcpctl send {address} hi",
                    sanitize::one_line(&why)
                ));
                Ok(Exit::Done)
            }
            Reached::NoGreeting(why) => Err(Failure::new(
                Kind::Negative,
                format!(
                    "{address}: connected, but got no greeting: {}",
                    sanitize::one_line(&why)
                ),
            )
            .hint("see its console with tcpctl monitor")
            .into()),
        }
    }
}

/// The failure of a board that never became reachable.
fn not_ready(name: &str, chip: Chip, end: &End, wanted: &NewSettings) -> Failure {
    let failure = |what: String| Failure::new(Kind::Device, format!("{name}: {what}"));
    match end {
        End::Silence => failure("written and verified, but the board prints nothing".to_owned())
            .hint(format!(
                "press RESET and see tcpctl monitor; BOOT ({}) must not be held low",
                chip::boot_pin(chip)
            )),
        End::NoBanner(line) => failure(format!(
            "written and verified, but the firmware does not start. Last line: {line}"
        ))
        .hint("see tcpctl monitor"),
        End::NoAddress if wanted.settings.network.mode() == Mode::Station => failure(
            "the firmware runs, but got no address".to_owned(),
        )
        .hint(
            "check that the network is in range, and set SSID and passphrase again: tcpctl flash \
                 --settings-only --mode sta --ssid NAME",
        ),
        End::NoAddress => {
            failure("the firmware runs, but its access point does not start".to_owned())
                .hint("see tcpctl monitor")
        }
        End::Gone(why) => failure(format!("the port disappeared: {why}"))
            .hint("everything is written and verified; plug the board in again"),
        End::Finished => failure("the console ended early".to_owned()),
    }
}

/// The name of an access point's network.
fn network(settings: &Settings, mac: Option<&str>) -> String {
    let described = settings::described(settings, mac).0;
    let ssid = described.into_iter().find(|(name, _)| *name == "ssid");
    let name = ssid.map(|(_, ssid)| ssid).unwrap_or_default();
    match settings.network.security() {
        Security::Open => format!("{name} (open)"),
        Security::Wpa2(_) => name,
    }
}

#[cfg(test)]
mod tests {
    use tcpctl_settings::{Changes, NoStoredSettings};

    use super::*;

    fn wanted(mode: &str) -> NewSettings {
        let changes = Changes {
            mode: Some(mode.parse().unwrap()),
            ssid: Some("home".parse().unwrap()),
            security: Some(Security::Open),
            ..Changes::default()
        };
        NewSettings {
            settings: changes.to_settings(NoStoredSettings::Blank).unwrap(),
            generated: None,
            key: None,
        }
    }

    #[test]
    fn unreachable_board_is_explained_by_its_console() {
        let gone = End::Gone("No such device".to_owned());
        let panic = End::NoBanner("ets Jul 29".to_owned());
        for (chip, end, mode, advice) in [
            (Chip::Esp32c3, End::Silence, "ap", "BOOT (GPIO9)"),
            (Chip::Esp32s3, End::Silence, "ap", "BOOT (GPIO0)"),
            (Chip::Esp32c5, End::Silence, "ap", "BOOT (GPIO28)"),
            (Chip::Esp32c3, panic, "ap", "Last line: ets Jul 29"),
            (
                Chip::Esp32c3,
                End::NoAddress,
                "sta",
                "--mode sta --ssid NAME",
            ),
            (Chip::Esp32c3, End::NoAddress, "ap", "does not start"),
            (Chip::Esp32c3, gone, "ap", "plug the board in again"),
        ] {
            let failure = not_ready("/dev/ttyUSB0", chip, &end, &wanted(mode));
            assert_eq!(failure.kind, Kind::Device);
            let text = format!("{failure} {}", failure.hint.clone().unwrap_or_default());
            assert!(text.contains(advice), "{end:?}: {text}");
            assert!(text.starts_with("/dev/ttyUSB0: "), "{text}");
        }
    }
}
