//! Flashing a board: inspect, plan, write what is missing, wait until it answers.

use tcpctl_settings::NoStoredSettings;

use super::answer::RunningBoard;
use super::plan::{Facts, facts, fits, full, step};
use super::stored::{Stored, stored_settings};
use super::{Flash, blocking};
use crate::cli::After;
use crate::esp::image::{Firmware, Part};
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::flash::event::FlashEvent;
use crate::flash::loader::{ConnectOptions, Device};
use crate::flash::repair::Stage;
use crate::flash::settings::{self, NewSettings};

impl Flash<'_> {
    /// Flashes the board on the selected port.
    pub(super) async fn with_a_board(&self, given: Option<Firmware>) -> anyhow::Result<Exit> {
        let options = ConnectOptions {
            port: self.port().await?,
            before: self.args.before,
            baud: self.args.baud,
            chip: match (&given, self.chip) {
                (Some(given), _) => {
                    Some((given.chip, format!("firmware {} is for the", given.name)))
                }
                (None, Some(chip)) => Some((chip, "--chip is".to_owned())),
                (None, None) => None,
            },
        };
        self.output
            .detail(|| format!("connecting to the board on {}", options.port.name()));
        let port = options.port.name();
        let mut device =
            blocking(move || Device::connect(&options))
                .await
                .map_err(|failure| Failure {
                    message: format!("{port}: {}", failure.message),
                    ..failure
                })??;
        for note in &device.notes {
            self.output.note(&format!("note: {note}"));
        }
        if self.args.show_settings || self.args.settings_only {
            return self.settings_alone(device).await;
        }

        let firmware = self.firmware(given, device.chip).await?;
        let image = firmware.image(device.flash, device.crystal)?;
        fits(&firmware, &image, &device)?;
        // If the settings will be erased, they need not be readable.
        let keeps = !self.args.erase;
        let stored;
        (device, stored) = blocking(move || {
            let stored = keeps.then(|| stored_settings(&mut device));
            (device, stored.transpose())
        })
        .await?;
        let stored = stored?;
        if let Some(stored) = &stored {
            self.note_unusable(stored);
        }
        let settings = stored.as_ref().and_then(Stored::settings);
        let why = if keeps {
            NoStoredSettings::Blank
        } else {
            NoStoredSettings::Erased
        };
        let wanted = self.new_settings(settings.ok_or(why), device.mac.as_deref())?;
        let parts = full(&image, &wanted.settings, stored.as_ref())?;
        self.write_missing(device, Some(&firmware), parts, &wanted)
            .await
    }

    /// Prints or writes only the settings.
    async fn settings_alone(&self, mut device: Device) -> anyhow::Result<Exit> {
        let stored;
        (device, stored) = blocking(move || {
            let stored = stored_settings(&mut device);
            (device, stored)
        })
        .await?;
        let stored = stored?;
        if self.args.show_settings {
            let mac = device.mac.as_deref();
            let describe = |stored| settings::described(stored, mac);
            self.print(FlashEvent::Settings {
                stored: stored.source(),
                settings: stored.settings().map(describe).unwrap_or_default(),
            })?;
            let name = device.port().name();
            self.reset(device).await?;
            if stored.settings().is_some() {
                return Ok(Exit::Done);
            }
            return Err(
                Failure::new(Kind::Negative, format!("{name}: the board has no settings"))
                    .hint("write some: tcpctl flash --mode ap")
                    .into(),
            );
        }
        let Some(partition) = &stored.partition else {
            return Err(Failure::new(
                Kind::Device,
                format!("{}: the board has no tcpctl firmware", device.port().name()),
            )
            .hint("omit --settings-only to write the firmware as well")
            .into());
        };
        self.note_unusable(&stored);
        let settings = stored.settings().ok_or(NoStoredSettings::Blank);
        let wanted = self.new_settings(settings, device.mac.as_deref())?;
        let parts = vec![stored.next_part(&wanted.settings, partition)?];
        self.write_missing(device, None, parts, &wanted).await
    }

    /// Prints the plan, writes the parts that differ, and waits until the board answers.
    async fn write_missing(
        &self,
        mut device: Device,
        firmware: Option<&Firmware>,
        parts: Vec<Part>,
        wanted: &NewSettings,
    ) -> anyhow::Result<Exit> {
        let erase = self.args.erase;
        if erase {
            device.can_erase()?;
        }
        let checked;
        (device, checked) = blocking(move || {
            let mut unchanged = Vec::new();
            for part in &parts {
                match device.has(part) {
                    Ok(has) => unchanged.push((has && !erase, part.clone())),
                    Err(failure) => return (device, Err(failure)),
                }
            }
            (device, Ok(unchanged))
        })
        .await?;
        let checked = checked?;
        let steps = checked.iter().map(|(has, part)| step(part, *has)).collect();
        let facts = Facts {
            board: Some(facts(&device)),
            chip: device.chip,
            firmware,
        };
        self.print_plan(facts, steps, wanted)?;
        if self.args.dry_run {
            let reset = self.reset(device).await;
            return reset.map(|_| Exit::Done);
        }
        if erase {
            self.confirm_erase().await?;
        }
        // Store the key file first: a board whose key is lost could only be flashed again.
        if let Some(key) = &wanted.key {
            key.store()?;
        }
        if erase {
            device = self.erase(device).await?;
        }
        let mut missing = Vec::new();
        for (has, part) in checked {
            if has {
                self.emit(FlashEvent::Skipped {
                    part: part.name,
                    offset: part.offset,
                    bytes: part.len(),
                });
            } else {
                missing.push(part);
            }
        }
        device = self.write(device, missing).await?;
        self.stage.set(Stage::Complete);
        let board = RunningBoard {
            port: device.port().clone(),
            chip: device.chip,
            mac: device.mac.clone(),
        };
        let Some(console) = self.reset(device).await? else {
            return Ok(Exit::Done);
        };
        if self.args.no_wait {
            return Ok(Exit::Done);
        }
        self.wait(console, board, wanted).await
    }

    /// Resets the board. Returns its console if the application runs now.
    async fn reset(
        &self,
        mut device: Device,
    ) -> anyhow::Result<Option<espflash::connection::Port>> {
        let after = self.args.after;
        let (reset, console) = blocking(move || {
            let reset = device.reset(after);
            (reset, device.into_console())
        })
        .await?;
        let how = reset.map_err(|failure| match self.stage.get() {
            Stage::Complete => self.with_state(failure),
            _ => failure,
        })?;
        self.emit(FlashEvent::Reset { how });
        if matches!(after, After::NoReset | After::NoResetStub) {
            return Ok(None);
        }
        Ok(Some(console?))
    }
}
