//! What the board does once it was reset: banner, address, greeting.

use espflash::target::Chip;
use tcpctl_settings::{Mode, Security, Settings};
use tokio::sync::mpsc;

use super::{Flash, blocking, micros};
use crate::esp::chip;
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::flash::boot::{self, End, Heard, Reached};
use crate::flash::event::FlashEvent;
use crate::flash::settings::{self, Wanted};
use crate::sanitize;
use crate::serial::port;

/// A board that runs its program now, as its loader told of it.
pub(super) struct Told {
    pub(super) port: port::SelectedPort,
    pub(super) chip: Chip,
    pub(super) mac: Option<String>,
}

impl Flash<'_> {
    /// Waits for the banner, the address and the greeting.
    pub(super) async fn wait(
        &self,
        console: espflash::connection::Port,
        told: Told,
        wanted: &Wanted,
    ) -> anyhow::Result<Exit> {
        let (sender, mut heard) = mpsc::unbounded_channel();
        let name = told.port.name();
        let port = told.port.clone();
        let listening = blocking(move || boot::listen(console, &port, &sender));
        let mut ready = None;
        let end = loop {
            match heard.recv().await {
                Some(Heard::Banner(banner)) => self.tell_later(FlashEvent::Booted { banner }),
                Some(Heard::Ready(addr)) => {
                    self.tell_later(FlashEvent::Ready { addr });
                    ready = Some(addr);
                }
                Some(Heard::Panic(why)) => {
                    return Err(Failure::new(
                        Kind::Device,
                        format!("{name}: the firmware has panicked: {why}"),
                    )
                    .hint("see tcpctl monitor; all is written and verified")
                    .into());
                }
                Some(Heard::End(end)) => break end,
                None => break End::Gone("the console's thread has ended".to_owned()),
            }
        };
        listening.await?;
        let Some(address) = ready else {
            return Err(never_ready(&name, told.chip, &end, wanted).into());
        };
        let station = wanted.settings.network.mode() == Mode::Station;
        match boot::greet(address).await {
            Reached::Answer { greeting, took } => {
                if greeting != wanted.settings.server.greeting().as_bytes() {
                    self.output.note(&format!(
                        "warning: what answers at {address} does not say what was set: is it the \
                         board, or does this computer's own network have that address, too?"
                    ));
                }
                self.tell_later(FlashEvent::Answered {
                    addr: address,
                    greeting: String::from_utf8_lossy(&greeting).into_owned(),
                    total_us: micros(took),
                });
                Ok(Exit::Done)
            }
            Reached::Unreachable(_) if !station => {
                self.output.note(&format!(
                    "to reach it, join the network {}, then: tcpctl send {address} hi",
                    network(&wanted.settings, told.mac.as_deref())
                ));
                Ok(Exit::Done)
            }
            Reached::Unreachable(why) => {
                self.output.note(&format!(
                    "warning: {address} can't be reached from here ({}); from a computer in its \
                     network: tcpctl send {address} hi",
                    sanitize::one_line(&why)
                ));
                Ok(Exit::Done)
            }
            Reached::NoGreeting(why) => Err(Failure::new(
                Kind::Negative,
                format!(
                    "{address}: connected, but the board gave no greeting: {}",
                    sanitize::one_line(&why)
                ),
            )
            .hint("see what it says with tcpctl monitor")
            .into()),
        }
    }
}

/// Why a board never said where it can be reached.
fn never_ready(name: &str, chip: Chip, end: &End, wanted: &Wanted) -> Failure {
    let failure = |what: String| Failure::new(Kind::Device, format!("{name}: {what}"));
    match end {
        End::Silence => {
            failure("written and verified, but the board is silent".to_owned()).hint(format!(
                "press RESET, then see tcpctl monitor; is BOOT ({}) held low?",
                chip::boot_pin(chip)
            ))
        }
        End::NoBanner(line) => failure(format!(
            "written and verified, but the firmware does not start; the last it said: {line}"
        ))
        .hint("see tcpctl monitor"),
        End::NoAddress if wanted.settings.network.mode() == Mode::Station => {
            failure("the board runs, but has got no address".to_owned()).hint(
                "is the network near, and are SSID and passphrase right? set them again with \
                 tcpctl flash --settings-only --mode sta --ssid NAME",
            )
        }
        End::NoAddress => failure("the board runs, but its network does not come up".to_owned())
            .hint("see tcpctl monitor"),
        End::Gone(why) => failure(format!("the port is gone: {why}"))
            .hint("all is written and verified; plug the board in again"),
        End::Told => failure("the console ended early".to_owned()),
    }
}

/// What an access point's network is called.
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

    fn wanted(mode: &str) -> Wanted {
        let changes = Changes {
            mode: Some(mode.parse().unwrap()),
            ssid: Some("home".parse().unwrap()),
            security: Some(Security::Open),
            ..Changes::default()
        };
        Wanted {
            settings: changes.to_settings(NoStoredSettings::Blank).unwrap(),
            generated: None,
        }
    }

    #[test]
    fn a_board_that_never_gets_ready_is_told_why_as_far_as_its_console_knows() {
        let gone = End::Gone("No such device".to_owned());
        let panic = End::NoBanner("ets Jul 29".to_owned());
        for (chip, end, mode, advice) in [
            (Chip::Esp32c3, End::Silence, "ap", "BOOT (GPIO9) held low"),
            (Chip::Esp32s3, End::Silence, "ap", "BOOT (GPIO0) held low"),
            (Chip::Esp32c5, End::Silence, "ap", "BOOT (GPIO28) held low"),
            (Chip::Esp32c3, panic, "ap", "the last it said: ets Jul 29"),
            (
                Chip::Esp32c3,
                End::NoAddress,
                "sta",
                "--mode sta --ssid NAME",
            ),
            (Chip::Esp32c3, End::NoAddress, "ap", "does not come up"),
            (Chip::Esp32c3, gone, "ap", "plug the board in again"),
        ] {
            let failure = never_ready("/dev/ttyUSB0", chip, &end, &wanted(mode));
            assert_eq!(failure.kind, Kind::Device);
            let text = format!("{failure} {}", failure.hint.clone().unwrap_or_default());
            assert!(text.contains(advice), "{end:?}: {text}");
            assert!(text.starts_with("/dev/ttyUSB0: "), "{text}");
        }
    }
}
