//! `tcpctl flash`: what is done in which order.

mod answer;
mod board;
mod plan;
mod stored;
mod writing;

use std::cell::{Cell, RefCell};
use std::io::{self, IsTerminal};
use std::time::Duration;

use espflash::target::Chip;
use sha2::{Digest, Sha256};
use tcpctl_settings::{NoStoredSettings, Settings};

use self::plan::{Facts, full, step};
use super::event::{FlashEvent, FlashReport};
use super::firmware;
use super::repair::{self, Job, Stage};
use super::settings::{Asked, Wanted};
use crate::atomic_file::{Destination, Purpose};
use crate::cli::{Before, FlashArgs};
use crate::connect;
use crate::esp::chip;
use crate::esp::image;
use crate::esp::image::{Firmware, USUAL_FLASH, hex};
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::interrupt::Interrupt;
use crate::monitor::command::MonitorPlan;
use crate::output::{BrokenPipe, Output, Progress};
use crate::sanitize;
use crate::serial::port;

/// The chip that is built for where neither a board nor the user says otherwise.
const USUAL_CHIP: Chip = Chip::Esp32c3;

/// Carries out `tcpctl flash`.
///
/// # Errors
/// What can't be done, and what to do about it; the exit code says of which kind.
pub fn run(args: &FlashArgs, output: &Output) -> anyhow::Result<Exit> {
    let chip = args
        .chip
        .as_deref()
        .map(|name| {
            chip::parse(name).ok_or_else(|| {
                Failure::usage(format!("--chip: '{}' is unknown", sanitize::one_line(name)))
                    .hint("write e.g. esp32c3, esp32c6, esp32s3")
            })
        })
        .transpose()?;
    if args.before == Before::NoResetNoSync && chip.is_none() {
        return Err(
            Failure::usage("--before no-reset-no-sync can't ask the board for its chip")
                .hint("say it with --chip")
                .into(),
        );
    }
    let asked = if args.show_settings {
        None
    } else {
        Some(Asked::new(args)?)
    };
    if args.settings_only && asked.as_ref().is_some_and(Asked::is_empty) {
        return Err(Failure::usage("--settings-only: no setting was given")
            .hint("give e.g. --mode, --ssid or --greeting; --show-settings shows what is stored")
            .into());
    }
    if args.open {
        output.note("warning: an open network: anyone may join it, and anyone near may listen");
    }
    if let Some(file) = &args.save_image {
        // Before a firmware is built for it, which takes minutes.
        Destination::check("--save-image", file, Purpose::Secret)?;
    }
    let given = args.firmware.as_deref().map(Firmware::read).transpose()?;
    if let (Some(chip), Some(given)) = (chip, &given)
        && chip != given.chip
    {
        return Err(Failure::usage(format!(
            "firmware {}: it is for the {}, and --chip says {chip}",
            given.name, given.chip
        ))
        .hint("leave --chip out, or give a firmware for that chip")
        .into());
    }
    let flash = Flash {
        args,
        output,
        chip,
        asked,
        stage: Cell::new(Stage::Untouched),
        deaf: Cell::new(false),
        unheard: RefCell::new(None),
        bar: RefCell::new(None),
        build: firmware::Build::new(output.is_quiet()),
    };
    let no_board =
        args.save_image.is_some() || (args.dry_run && args.port.is_none() && !args.settings_only);
    crate::runtime::block_on(async {
        let interrupt = Interrupt::install().map_err(|error| {
            Failure::new(
                Kind::Internal,
                format!("signals can't be taken over: {error}"),
            )
        })?;
        let ended = tokio::select! {
            biased;
            exit = interrupt.requested() => return Ok(flash.interrupted(exit, no_board)),
            ended = flash.carry_out(given, no_board) => ended,
        };
        if ended.is_err() {
            // Ctrl-C at a prompt, or while cargo builds, ends those first: that is no failure.
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            if let Some(exit) = interrupt.already() {
                return Ok(flash.interrupted(exit, no_board));
            }
        }
        flash.bar.take();
        if args.monitor && matches!(ended, Ok(Exit::Done)) {
            let elf = args.firmware.as_deref().filter(|path| image::is_elf(path));
            let selected = flash.port().await?;
            let monitor = MonitorPlan::after_flashing(elf)?;
            return monitor.run(&selected, &interrupt, output).await;
        }
        ended
    })?
}

struct Flash<'a> {
    args: &'a FlashArgs,
    output: &'a Output,
    chip: Option<Chip>,
    asked: Option<Asked>,
    stage: Cell<Stage>,
    /// Nobody reads standard output any more. A board is not left half written for that.
    deaf: Cell<bool>,
    /// Why, where it is a failure.
    unheard: RefCell<Option<anyhow::Error>>,
    bar: RefCell<Option<Progress>>,
    build: firmware::Build,
}

impl Flash<'_> {
    /// Says in which state everything is.
    fn interrupted(&self, exit: Exit, no_board: bool) -> Exit {
        self.bar.take();
        self.build.stop();
        self.output.interrupted();
        self.output.note(&if no_board {
            "interrupted: nothing was written".to_owned()
        } else {
            format!("interrupted: {}", self.state())
        });
        exit
    }

    async fn carry_out(&self, given: Option<Firmware>, no_board: bool) -> anyhow::Result<Exit> {
        let exit = if no_board {
            self.without_a_board(given).await?
        } else {
            self.with_a_board(given).await?
        };
        match self.unheard.take() {
            // The board is done all the same, and whoever asked does not know.
            Some(error) => Err(Failure::from_error(&error).hint(self.state()).into()),
            None => Ok(exit),
        }
    }

    /// Which port is meant: a name may have to be asked for on the network.
    async fn port(&self) -> Result<port::SelectedPort, Failure> {
        let given = self.args.port.clone();
        blocking(move || connect::serial_port(given.as_deref())).await?
    }

    /// The firmware: the user's, or what there is for this chip.
    async fn firmware(&self, given: Option<Firmware>, chip: Chip) -> anyhow::Result<Firmware> {
        if let Some(given) = given {
            return Ok(given);
        }
        if let Some(text) = firmware::will_build(chip) {
            self.output.note(&text);
        }
        let build = self.build.clone();
        Ok(blocking(move || firmware::find(chip, &build)).await??)
    }

    /// A plan or an image, for a board that is somewhere else.
    async fn without_a_board(&self, given: Option<Firmware>) -> anyhow::Result<Exit> {
        let firmware = self
            .firmware(given, self.chip.unwrap_or(USUAL_CHIP))
            .await?;
        let image = firmware.image(USUAL_FLASH, firmware.chip.default_xtal_frequency())?;
        let wanted = self.wanted(Err(NoStoredSettings::Unread))?;
        let parts = full(&image, &wanted.settings)?;
        let steps = parts.iter().map(|part| step(part, false)).collect();
        let facts = Facts {
            board: None,
            chip: firmware.chip,
            firmware: Some(&firmware),
        };
        self.tell_plan(facts, steps, &wanted)?;
        if let Some(file) = &self.args.save_image {
            if self.args.dry_run {
                return Ok(Exit::Done);
            }
            let merged = image::merge(parts.iter());
            let name = sanitize::one_line(&file.to_string_lossy());
            Destination::check("--save-image", file, Purpose::Secret)?.write(&merged)?;
            self.tell(FlashEvent::Saved {
                file: name,
                bytes: merged.len() as u64,
                sha256: hex(&Sha256::digest(&merged)),
            })?;
            self.output.hint(&format!(
                "write it with: esptool --chip {} write-flash 0 {}; the passphrase is in it",
                firmware.chip,
                sanitize::one_line(&file.to_string_lossy())
            ));
        }
        Ok(Exit::Done)
    }

    /// What the board is to have, given what it has and keeps.
    fn wanted(&self, stored: Result<&Settings, NoStoredSettings>) -> anyhow::Result<Wanted> {
        let nothing = Failure::new(Kind::Internal, "no settings were asked for");
        let wanted = self.asked.as_ref().ok_or(nothing)?.over(stored)?;
        let nobody_sees =
            self.output.is_json() && !self.args.tell_passphrase && !io::stderr().is_terminal();
        if wanted.generated.is_some() && nobody_sees && !self.args.dry_run {
            return Err(Failure::usage(
                "passphrase: none was given, and nobody would see one that is made up",
            )
            .hint("give --password-stdin or --open, or --tell-passphrase to have it in the plan")
            .into());
        }
        Ok(wanted)
    }

    /// Tells before anything was written: where nobody listens, nothing is begun.
    fn tell(&self, event: FlashEvent) -> anyhow::Result<()> {
        self.output.print(&FlashReport::from(event))
    }

    /// Tells in the middle: a board is not left half written because nobody reads on, or because
    /// a disk is full.
    fn tell_later(&self, event: FlashEvent) {
        if self.deaf.get() {
            return;
        }
        match self.output.print(&FlashReport::from(event)) {
            Ok(()) => {}
            Err(error) => {
                self.deaf.set(true);
                if !error.is::<BrokenPipe>() {
                    self.unheard.replace(Some(error));
                }
            }
        }
    }

    /// A failure that leaves the board between two states.
    fn half_way(&self, failure: Failure) -> Failure {
        let state = self.state();
        let hint = match &failure.hint {
            Some(hint) => format!("{hint}; {state}"),
            None => state,
        };
        failure.hint(hint)
    }

    /// What state the board is in now, and what repairs it.
    fn state(&self) -> String {
        let job = match self.args {
            FlashArgs {
                settings_only: true,
                ..
            } => Job::Settings,
            FlashArgs { erase: true, .. } => Job::Afresh,
            _ => Job::Everything,
        };
        repair::state(self.stage.get(), job, std::env::args_os())
    }
}

/// Runs what blocks on a thread of its own, from now on, so that Ctrl-C is heard meanwhile.
fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = Result<T, Failure>> {
    let thread = tokio::task::spawn_blocking(work);
    async {
        thread.await.map_err(|_| {
            Failure::new(
                Kind::Internal,
                "the thread that speaks to the board has died",
            )
        })
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
