//! The steps of `tcpctl flash`, in order.

mod answer;
mod board;
mod plan;
mod stored;
mod writing;

use std::cell::{Cell, RefCell};
use std::io::{self, IsTerminal};

use espflash::target::Chip;
use sha2::{Digest, Sha256};
use tcpctl_settings::{NoStoredSettings, Settings};

use self::plan::{Facts, full, step};
use super::event::{FlashEvent, FlashReport};
use super::firmware;
use super::key::{self, BoardKey};
use super::repair::{self, Job, Stage};
use super::settings::{NewSettings, RequestedSettings};
use crate::atomic_file::{Destination, Purpose};
use crate::cli::{Before, FlashArgs};
use crate::connect;
use crate::esp::image::{self, DEFAULT_FLASH, Firmware, hex};
use crate::esp::{self, chip};
use crate::exit::Exit;
use crate::failure::{Failure, Kind, reason};
use crate::interrupt::Interrupt;
use crate::monitor::command::MonitorPlan;
use crate::output::{EventPrinter, Output, Progress};
use crate::serial::{self, port};
use crate::{passphrase, sanitize, shell};

/// The chip to build for without a board and without `--chip`.
const DEFAULT_CHIP: Chip = Chip::Esp32c3;

/// Runs `tcpctl flash`.
///
/// # Errors
/// Invalid options or firmware, before anything is erased; or a failing board.
pub fn run(args: &FlashArgs, output: &Output) -> anyhow::Result<Exit> {
    let chip = args
        .chip
        .as_deref()
        .map(|name| {
            chip::parse(name).ok_or_else(|| {
                Failure::usage(format!(
                    "--chip: unknown chip '{}'",
                    sanitize::one_line(name)
                ))
                .hint("use e.g. esp32, esp32c3, esp32s3")
            })
        })
        .transpose()?;
    if args.before == Before::NoResetNoSync && chip.is_none() {
        return Err(
            Failure::usage("--before no-reset-no-sync cannot detect the chip")
                .hint("give --chip")
                .into(),
        );
    }
    let asked = if args.show_settings {
        None
    } else {
        Some(RequestedSettings::new(args)?)
    };
    if args.settings_only && asked.as_ref().is_some_and(RequestedSettings::is_empty) {
        return Err(Failure::usage("--settings-only: no setting given")
            .hint("give e.g. --mode, --ssid or --greeting; --show-settings prints the stored settings")
            .into());
    }
    if args.security.open {
        output.note(passphrase::OPEN_NETWORK);
    }
    if let Some(file) = &args.save_image {
        // Fail before the firmware is built, which takes minutes.
        Destination::check("--save-image", file, Purpose::Secret)?;
    }
    let key_file = args.key_file.as_deref().map(key::Found::given);
    let key_file = key_file.transpose()?;
    let given = args.firmware.as_deref().map(Firmware::read).transpose()?;
    if let (Some(chip), Some(given)) = (chip, &given)
        && chip != given.chip
    {
        return Err(Failure::usage(format!(
            "firmware {} is for the {}, but --chip is {chip}",
            given.name, given.chip
        ))
        .hint("omit --chip, or give a firmware for that chip")
        .into());
    }
    let flash = Flash {
        args,
        output,
        chip,
        asked,
        key_file,
        stage: Cell::new(Stage::Untouched),
        events: EventPrinter::new(output),
        bar: RefCell::new(None),
        build: firmware::Build::new(output.is_quiet()),
    };
    let no_board =
        args.save_image.is_some() || (args.dry_run && args.port.is_none() && !args.settings_only);
    crate::runtime::block_on(async {
        let interrupt = Interrupt::install().map_err(|error| {
            Failure::new(
                Kind::Internal,
                format!("cannot handle signals: {}", reason(&error)),
            )
        })?;
        let ended = tokio::select! {
            biased;
            exit = interrupt.requested() => return Ok(flash.interrupted(exit, no_board)),
            ended = flash.execute(given, no_board) => ended,
        };
        if ended.is_err() {
            // Ctrl-C also ends a prompt or cargo, whose failure can arrive before the signal.
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
    asked: Option<RequestedSettings>,
    /// The file of `--key-file`.
    key_file: Option<key::Found>,
    stage: Cell<Stage>,
    /// The write continues if standard output fails, so that the board is complete.
    events: EventPrinter<'a>,
    bar: RefCell<Option<Progress>>,
    build: firmware::Build,
}

impl Flash<'_> {
    /// Prints the board's state after a signal.
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

    async fn execute(&self, given: Option<Firmware>, no_board: bool) -> anyhow::Result<Exit> {
        let exit = if no_board {
            self.without_a_board(given).await?
        } else {
            self.with_a_board(given).await?
        };
        self.events
            .finish(Ok(exit))
            .map_err(|error| match self.stage.get() {
                // The board is complete, but the report could not be printed.
                Stage::Complete => Failure::from_error(&error).hint(self.state()).into(),
                _ => error,
            })
    }

    /// The serial port. Blocks for a moment if a board's name must be resolved.
    async fn port(&self) -> Result<port::SelectedPort, Failure> {
        let given = self.args.port.clone();
        blocking(move || connect::serial_port(given.as_deref())).await?
    }

    /// The given firmware, or the one for this chip.
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

    /// Prints a plan or saves an image without a board.
    async fn without_a_board(&self, given: Option<Firmware>) -> anyhow::Result<Exit> {
        let firmware = self
            .firmware(given, self.chip.unwrap_or(DEFAULT_CHIP))
            .await?;
        let image = firmware.image(DEFAULT_FLASH, firmware.chip.default_xtal_frequency())?;
        let wanted = self.new_settings(Err(NoStoredSettings::Unread), None)?;
        let parts = full(&image, &wanted.settings, None)?;
        let steps = parts.iter().map(|part| step(part, false)).collect();
        let facts = Facts {
            board: None,
            chip: firmware.chip,
            firmware: Some(&firmware),
        };
        self.print_plan(facts, steps, &wanted)?;
        if let Some(file) = &self.args.save_image {
            if self.args.dry_run {
                return Ok(Exit::Done);
            }
            if let Some(key) = &wanted.key {
                key.store()?;
            }
            let merged = image::merge(parts.iter());
            let name = file.to_string_lossy();
            Destination::check("--save-image", file, Purpose::Secret)?.write(&merged)?;
            self.print(FlashEvent::Saved {
                file: name.clone().into_owned(),
                bytes: merged.len() as u64,
                sha256: hex(&Sha256::digest(&merged)),
            })?;
            self.output.hint(&format!(
                "write it with: esptool --chip {} write-flash 0 {} (the image contains the passphrase and the \
                 management key)",
                firmware.chip,
                sanitize::one_line(&shell::quote(&name))
            ));
        }
        Ok(Exit::Done)
    }

    /// The settings to write, based on the stored ones.
    fn new_settings(
        &self,
        stored: Result<&Settings, NoStoredSettings>,
        mac: Option<&str>,
    ) -> anyhow::Result<NewSettings> {
        let nothing = Failure::new(Kind::Internal, "no settings requested");
        let asked = self.asked.as_ref().ok_or(nothing)?;
        let mut wanted = asked.over(stored, passphrase::typed)?;
        let is_invisible = !self.args.show_passphrase
            && !io::stderr().is_terminal()
            && (self.output.is_json() || !self.output.is_terminal());
        if wanted.generated.is_some() && is_invisible && !self.args.dry_run {
            return Err(Failure::usage(
                "no passphrase given, and a generated one would not be shown",
            )
            .hint("give --password-stdin or --open, or --show-passphrase to print it")
            .into());
        }
        if wanted.settings.server.management().is_on() {
            wanted.key = self.key(asked, &mut wanted.settings, mac)?;
        }
        Ok(wanted)
    }

    /// Sets a management key, or switches management off if there is no place for a key file.
    fn key(
        &self,
        asked: &RequestedSettings,
        settings: &mut Settings,
        mac: Option<&str>,
    ) -> Result<Option<BoardKey>, Failure> {
        let found = match (&self.key_file, mac.and_then(serial::mac_bytes)) {
            (Some(found), _) => found.clone(),
            (None, Some(mac)) => key::Found::of_board(mac)?,
            // Without a board the plan has no key. The board that is flashed later determines it.
            (None, None) if self.args.dry_run && self.args.save_image.is_none() => return Ok(None),
            (None, None) if asked.wants_management() => {
                return Err(Failure::usage(
                    "--management on needs a key, and no board's MAC is known",
                )
                .hint("give --key-file FILE; it is created if it does not exist"));
            }
            (None, None) => {
                self.output
                    .note("note: management is off, because no board's MAC is known; --key-file FILE gives it a key");
                key::without_management(settings)?;
                return Ok(None);
            }
        };
        let key = BoardKey::apply(found, settings)?;
        let path = key.file_name();
        match key.conflict {
            None => {}
            Some(key::Conflict::FileReplaced) => self.output.note(&format!(
                "note: the key in {path} is not the board's: the board's key replaces it, and the old file \
                 is kept as {path}.old"
            )),
            Some(key::Conflict::BoardReplaced) => self.output.note(&format!(
                "note: the board gets the key of {path}; other computers with its old key cannot \
                 configure it anymore"
            )),
        }
        Ok(Some(key))
    }

    /// Prints an event before anything is written; a failure ends the command.
    fn print(&self, event: FlashEvent) -> anyhow::Result<()> {
        self.output.print(&FlashReport::from(event))
    }

    /// Prints an event while the board is written. A closed pipe or full disk does not stop the
    /// write.
    fn emit(&self, event: FlashEvent) {
        self.events.emit(&FlashReport::from(event));
    }

    /// Adds the board's state to the hint of a failure during a write.
    fn with_state(&self, failure: Failure) -> Failure {
        let state = self.state();
        let hint = match &failure.hint {
            Some(hint) => format!("{hint}. {state}"),
            None => state,
        };
        failure.hint(hint)
    }

    /// The board's state, and the command that repairs it.
    fn state(&self) -> String {
        let job = match self.args {
            FlashArgs {
                settings_only: true,
                ..
            } => Job::Settings,
            FlashArgs { erase: true, .. } => Job::EraseAndWrite,
            _ => Job::Full,
        };
        repair::state(self.stage.get(), job, std::env::args_os())
    }
}

/// Runs blocking work on its own thread, so that signals are handled meanwhile. espflash panics on
/// some damaged responses; a panic counts as a failure of the connection.
fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = Result<T, Failure>> {
    let thread = tokio::task::spawn_blocking(|| esp::catch_panic(work));
    async {
        let result = thread.await.ok().flatten();
        result.ok_or_else(|| {
            Failure::new(Kind::Device, "the board sent a damaged response").hint(
                "check the cable for noise, try --baud 115200, and close other programs that use \
                 the port",
            )
        })
    }
}
