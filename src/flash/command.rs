//! `tcpctl flash`: what is done in which order.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use espflash::target::{Chip, ProgressCallbacks};
use md5::{Digest, Md5};
use sha2::Sha256;
use tcpctl_settings::{BLOCK_SIZE, DecodeError, Mode, Security, Settings};
use tokio::sync::mpsc;

use super::boot::{self, End, Heard, Reached};
use super::chip;
use super::event::{BoardFacts, FirmwareFacts, FlashEvent, Plan, Step};
use super::firmware;
use super::image::{self, Firmware, Image, Part, USUAL_FLASH};
use super::loader::{Device, Wish};
use super::port;
use super::repair::{self, Job, Stage};
use super::settings::{self, Asked, Wanted};
use super::table::{SETTINGS, TABLE_LEN, TABLE_OFFSET, Table};
use crate::cli::{After, Before, FlashArgs};
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::interrupt::Interrupt;
use crate::monitor::command::Watch;
use crate::output::{Halt, Output, Progress};
use crate::sanitize;

/// The chip that is built for where neither a board nor the user says otherwise.
const USUAL_CHIP: Chip = Chip::Esp32c3;

/// Carries out `tcpctl flash`.
///
/// # Errors
/// What can't be done, and what to do about it; the exit code says of which kind.
pub fn run(args: &FlashArgs, output: &Output) -> Result<Exit, Halt> {
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
    crate::block_on(async {
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
            let chosen = port::choose(args.port.as_deref())?;
            let watch = Watch::after_flashing(elf)?;
            return watch.console(&chosen, &interrupt, output).await;
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
    unheard: RefCell<Option<Failure>>,
    bar: RefCell<Option<Progress>>,
    build: firmware::Build,
}

/// A board that runs its program now, as its loader told of it.
struct Told {
    port: port::Chosen,
    chip: Chip,
    mac: Option<String>,
}

/// What was found in the place of the settings.
struct Stored {
    settings: Option<Settings>,
    /// For people: `flash`, or why there are none.
    words: String,
    /// Where they are, if the board has a place for them.
    offset: Option<u32>,
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

    async fn carry_out(&self, given: Option<Firmware>, no_board: bool) -> Result<Exit, Halt> {
        let exit = if no_board {
            self.without_a_board(given).await?
        } else {
            self.with_a_board(given).await?
        };
        match self.unheard.take() {
            // The board is done all the same, and whoever asked does not know.
            Some(failure) => Err(failure.hint(self.state()).into()),
            None => Ok(exit),
        }
    }

    /// The firmware: the user's, or what there is for this chip.
    async fn firmware(&self, given: Option<Firmware>, chip: Chip) -> Result<Firmware, Halt> {
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
    async fn without_a_board(&self, given: Option<Firmware>) -> Result<Exit, Halt> {
        let firmware = self
            .firmware(given, self.chip.unwrap_or(USUAL_CHIP))
            .await?;
        let image = firmware.image(USUAL_FLASH, firmware.chip.default_xtal_frequency())?;
        let wanted = self.wanted(None)?;
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
            save(file, &merged).map_err(|error| {
                let hint = match error.kind() {
                    io::ErrorKind::NotFound => "make its folder first",
                    io::ErrorKind::IsADirectory => "give a file's name in it",
                    io::ErrorKind::StorageFull => "make room, or save it elsewhere",
                    _ => "may you write there?",
                };
                Failure::new(Kind::Internal, format!("{name}: {error}")).hint(hint)
            })?;
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

    /// The whole way, on a board.
    async fn with_a_board(&self, given: Option<Firmware>) -> Result<Exit, Halt> {
        let wish = Wish {
            port: port::choose(self.args.port.as_deref())?,
            before: self.args.before,
            baud: self.args.baud,
            chip: match (&given, self.chip) {
                (Some(given), _) => {
                    Some((given.chip, format!("firmware {} is for the", given.name)))
                }
                (None, Some(chip)) => Some((chip, "--chip says".to_owned())),
                (None, None) => None,
            },
        };
        self.output
            .detail(|| format!("connecting to the board on {}", wish.port.name()));
        let mut device = blocking(move || Device::connect(&wish)).await??;
        for note in &device.notes {
            self.output.note(&format!("note: {note}"));
        }
        if self.args.show_settings || self.args.settings_only {
            return self.settings_alone(device).await;
        }

        let firmware = self.firmware(given, device.chip).await?;
        let image = firmware.image(device.flash, device.crystal)?;
        fits(&firmware, &image, &device)?;
        let stored;
        (device, stored) = blocking(move || {
            let stored = stored_settings(&mut device);
            (device, stored)
        })
        .await?;
        let stored = self.kept(stored?);
        let wanted = self.wanted(stored.settings.as_ref())?;
        let parts = full(&image, &wanted.settings)?;
        self.bring_up_to(device, Some(&firmware), parts, &wanted)
            .await
    }

    /// The settings, without the firmware.
    async fn settings_alone(&self, mut device: Device) -> Result<Exit, Halt> {
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
            self.tell(FlashEvent::Settings {
                stored: stored.words,
                settings: stored.settings.as_ref().map(describe).unwrap_or_default(),
            })?;
            let name = device.port().name();
            self.reset(device).await?;
            if stored.settings.is_some() {
                return Ok(Exit::Done);
            }
            return Err(
                Failure::new(Kind::Negative, format!("{name}: the board has no settings"))
                    .hint("give it some: tcpctl flash --mode ap")
                    .into(),
            );
        }
        let Some(offset) = stored.offset else {
            return Err(Failure::new(
                Kind::Device,
                format!(
                    "{}: there is no firmware of ours on the board",
                    device.port().name()
                ),
            )
            .hint("leave --settings-only out, and it is written, too")
            .into());
        };
        let stored = self.kept(stored);
        let wanted = self.wanted(stored.settings.as_ref())?;
        let parts = vec![settings::part(&wanted.settings, offset)?];
        self.bring_up_to(device, None, parts, &wanted).await
    }

    /// Shows the plan, writes what is not there yet, and waits until the board answers.
    async fn bring_up_to(
        &self,
        mut device: Device,
        firmware: Option<&Firmware>,
        parts: Vec<Part>,
        wanted: &Wanted,
    ) -> Result<Exit, Halt> {
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
        self.tell_plan(facts, steps, wanted)?;
        if self.args.dry_run {
            let reset = self.reset(device).await;
            return reset.map(|_| Exit::Done);
        }
        if erase {
            self.agree_to_erase().await?;
            device = self.erase(device).await?;
        }
        let mut missing = Vec::new();
        for (has, part) in checked {
            if has {
                self.tell_later(FlashEvent::Skipped {
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
        let told = Told {
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
        self.wait(console, told, wanted).await
    }

    async fn erase(&self, mut device: Device) -> Result<Device, Halt> {
        let start = Instant::now();
        self.stage.set(Stage::Erasing);
        self.output
            .note("erasing the whole flash: this takes up to a minute");
        let erased;
        (device, erased) = blocking(move || {
            let erased = device.erase();
            (device, erased)
        })
        .await?;
        erased.map_err(|failure| self.half_way(failure))?;
        self.tell_later(FlashEvent::Erased {
            elapsed_us: micros(start.elapsed()),
        });
        Ok(device)
    }

    /// Writes and verifies, and tells how far it is.
    async fn write(&self, mut device: Device, parts: Vec<Part>) -> Result<Device, Halt> {
        if parts.is_empty() {
            return Ok(device);
        }
        let (sender, mut steps) = mpsc::unbounded_channel();
        let told: Vec<_> = parts
            .iter()
            .map(|part| {
                (
                    part.name,
                    part.offset,
                    part.len(),
                    hex(&Md5::digest(&part.data)),
                )
            })
            .collect();
        let writing = blocking(move || {
            let written = device.write(&parts, &mut Steps { sender, total: 0 });
            (device, written)
        });
        let mut at = 0;
        let mut begun = Instant::now();
        let finished = loop {
            // Without a sender the thread is done with the board.
            let Some(step) = steps.recv().await else {
                break writing.await;
            };
            let Some((name, offset, bytes, md5)) = told.get(at) else {
                continue;
            };
            match step {
                Written::Begun(when) => {
                    self.stage.set(Stage::Writing(name));
                    begun = when;
                    let bar = self.output.progress(name, (*bytes).into());
                    if !bar.is_shown() && !self.output.is_json() {
                        self.output
                            .note(&format!("writing    {name}, {bytes} bytes"));
                    }
                    *self.bar.borrow_mut() = Some(bar);
                }
                Written::So { blocks, total } => {
                    let done = u64::from(*bytes) * blocks as u64 / total.max(1) as u64;
                    if let Some(bar) = &*self.bar.borrow() {
                        bar.set(done);
                    }
                    self.tell_later(FlashEvent::Progress {
                        part: name,
                        done,
                        total: (*bytes).into(),
                    });
                }
                Written::Verifying(when) => {
                    self.bar.take();
                    self.tell_later(FlashEvent::Written {
                        part: name,
                        offset: *offset,
                        bytes: *bytes,
                        elapsed_us: micros(when.duration_since(begun)),
                    });
                }
                Written::Verified => {
                    self.tell_later(FlashEvent::Verified {
                        part: name,
                        md5: md5.clone(),
                    });
                    at += 1;
                }
            }
        };
        let (device, written) = finished?;
        self.bar.take();
        written.map_err(|failure| self.half_way(failure))?;
        Ok(device)
    }

    /// Resets the board; its console, if it runs its program now.
    async fn reset(&self, mut device: Device) -> Result<Option<espflash::connection::Port>, Halt> {
        let after = self.args.after;
        let (reset, console) = blocking(move || {
            let reset = device.reset(after);
            (reset, device.into_console())
        })
        .await?;
        let how = reset.map_err(|failure| match self.stage.get() {
            Stage::Complete => self.half_way(failure),
            _ => failure,
        })?;
        self.tell_later(FlashEvent::Reset { how });
        if matches!(after, After::NoReset | After::NoResetStub) {
            return Ok(None);
        }
        Ok(Some(console?))
    }

    /// Waits for the banner, the address and the greeting.
    async fn wait(
        &self,
        console: espflash::connection::Port,
        told: Told,
        wanted: &Wanted,
    ) -> Result<Exit, Halt> {
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

    /// What the board is to have.
    fn wanted(&self, stored: Option<&Settings>) -> Result<Wanted, Halt> {
        let nothing = Failure::new(Kind::Internal, "no settings were asked for");
        let wanted = self.asked.as_ref().ok_or(nothing)?.over(stored)?;
        let nobody_sees =
            self.output.is_json() && !self.args.tell_passphrase && !io::stderr().is_terminal();
        if wanted.made_up.is_some() && nobody_sees && !self.args.dry_run {
            return Err(Failure::usage(
                "passphrase: none was given, and nobody would see one that is made up",
            )
            .hint("give --password-stdin or --open, or --tell-passphrase to have it in the plan")
            .into());
        }
        Ok(wanted)
    }

    /// The stored settings that are to be kept; says where some are lost.
    fn kept(&self, stored: Stored) -> Stored {
        if self.args.erase {
            return Stored {
                settings: None,
                ..stored
            };
        }
        if stored.settings.is_none() && stored.words != NONE {
            self.output.note(&format!("note: {}", stored.words));
        }
        stored
    }

    fn tell_plan(&self, facts: Facts<'_>, parts: Vec<Step>, wanted: &Wanted) -> Result<(), Halt> {
        let mac = facts.board.as_ref().and_then(|board| board.mac.clone());
        let told = wanted.made_up.as_ref().filter(|_| !self.args.dry_run);
        self.tell_later(FlashEvent::Plan(Plan {
            board: facts.board,
            chip: facts.chip.to_string(),
            firmware: facts.firmware.map(|firmware| FirmwareFacts {
                name: firmware.name.clone(),
                version: firmware.version.clone(),
            }),
            erase: self.args.erase,
            parts,
            settings: settings::described(&wanted.settings, mac.as_deref()),
            passphrase: told
                .filter(|_| self.args.tell_passphrase)
                .map(|passphrase| passphrase.reveal().to_owned()),
            dry_run: self.args.dry_run,
        }));
        if let Some(passphrase) = told {
            if self.deaf.get() {
                return Err(Failure::usage(
                    "passphrase: none was given, and nobody reads standard output, where one that \
                     is made up would be shown",
                )
                .hint("nothing was written; give --password-stdin or --open")
                .into());
            }
            let line = format!(
                "passphrase {}  (made up for this board, shown this once)",
                passphrase.reveal()
            );
            if !self.output.is_json() {
                self.output.write(format!("{line}\n").as_bytes())?;
            } else if !self.args.tell_passphrase {
                // There is a terminal, or it would have been refused; not with -q either.
                let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
            }
        }
        Ok(())
    }

    async fn agree_to_erase(&self) -> Result<(), Failure> {
        if self.args.yes {
            return Ok(());
        }
        let refused = |what: &str| {
            Failure::usage(format!("--erase: {what}")).hint("nothing was erased; --yes agrees")
        };
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            return Err(refused("there is no terminal to ask at"));
        }
        let _ = io::stderr().write_all(b"erase the whole flash, settings included? [y/N] ");
        let answer = blocking(|| {
            let mut answer = String::new();
            let _ = io::stdin().read_line(&mut answer);
            answer
        });
        match answer.await?.trim() {
            "y" | "Y" | "yes" => Ok(()),
            _ => Err(refused("not agreed")),
        }
    }

    /// Tells before anything was written: where nobody listens, nothing is begun.
    fn tell(&self, event: FlashEvent) -> Result<(), Halt> {
        self.output.flash(event)
    }

    /// Tells in the middle: a board is not left half written because nobody reads on, or because
    /// a disk is full.
    fn tell_later(&self, event: FlashEvent) {
        if self.deaf.get() {
            return;
        }
        match self.output.flash(event) {
            Ok(()) => {}
            Err(Halt::NobodyListens) => self.deaf.set(true),
            Err(Halt::Failed(failure)) => {
                self.deaf.set(true);
                self.unheard.replace(Some(failure));
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

/// What the plan says of board and firmware.
struct Facts<'a> {
    board: Option<BoardFacts>,
    chip: Chip,
    firmware: Option<&'a Firmware>,
}

/// The parts in the order in which they are written.
fn full(image: &Image, wanted: &Settings) -> Result<Vec<Part>, Failure> {
    let place = image
        .partitions
        .find(SETTINGS)
        .ok_or_else(|| Failure::new(Kind::Internal, "an image without settings"))?;
    Ok(vec![
        image.bootloader.clone(),
        image.app.clone(),
        settings::part(wanted, place.offset)?,
        // Last: until then the old one says where the old settings are.
        image.table.clone(),
    ])
}

/// Whether the board can take the image.
fn fits(firmware: &Firmware, image: &Image, device: &Device) -> Result<(), Failure> {
    let name = device.port().name();
    let size = device.flash.size();
    if image.end() > u64::from(size) {
        return Err(Failure::new(
            Kind::Device,
            format!(
                "{name}: the board's flash has {} KiB, and {} needs {}",
                size >> 10,
                firmware.name,
                image.end().div_ceil(1024)
            ),
        )
        .hint("nothing was written; use a board with more flash"));
    }
    let needed = image.minimum_revision();
    if let Some((major, minor)) = device.revision
        && major * 100 + minor < u32::from(needed)
    {
        return Err(Failure::new(
            Kind::Device,
            format!(
                "{name}: the chip is of revision {major}.{minor}, and {} needs {}.{} or later",
                firmware.name,
                needed / 100,
                needed % 100
            ),
        )
        .hint("nothing was written; use a newer board"));
    }
    Ok(())
}

/// How a blank sector is described, and one with settings.
const NONE: &str = "none";
const FOUND: &str = "flash";

/// Reads back what settings the board has.
fn stored_settings(device: &mut Device) -> Result<Stored, Failure> {
    let table = device.read(TABLE_OFFSET, TABLE_LEN)?;
    let flash = u64::from(device.flash.size());
    let table = Table::parse(&table);
    let place = table
        .as_ref()
        .and_then(|table| table.find(SETTINGS))
        .filter(|place| !place.is_app && place.size as usize >= BLOCK_SIZE && place.end() <= flash);
    let sector = |device: &mut Device, offset| {
        let sector = device.read(offset, u32::try_from(BLOCK_SIZE).unwrap_or(u32::MAX))?;
        settings::stored(&sector)
    };
    let Some(place) = place else {
        // A write that broke off in the table has left the settings where ours has them: their
        // check sum says whether it is they.
        let usual = Table::usual_settings();
        let found = usual.map(|offset| sector(device, offset)).transpose()?;
        let settings = found.and_then(Result::ok);
        return Ok(Stored {
            words: if settings.is_some() { FOUND } else { NONE }.to_owned(),
            settings,
            offset: None,
        });
    };
    let (settings, words) = match sector(device, place.offset)? {
        Ok(settings) => (Some(settings), FOUND.to_owned()),
        Err(DecodeError::Blank) => (None, NONE.to_owned()),
        Err(error) => (None, error.to_string()),
    };
    Ok(Stored {
        settings,
        words,
        offset: Some(place.offset),
    })
}

fn facts(device: &Device) -> BoardFacts {
    BoardFacts {
        port: device.port().path.clone(),
        revision: device
            .revision
            .map(|(major, minor)| format!("{major}.{minor}")),
        mac: device.mac.clone(),
        flash_bytes: device.flash.size(),
        loader: if device.stub { "stub" } else { "rom" },
        baud: device.baud,
    }
}

fn step(part: &Part, unchanged: bool) -> Step {
    Step {
        part: part.name,
        offset: part.offset,
        bytes: part.len(),
        unchanged,
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

/// Writes a file so that it is there whole, or not at all.
fn save(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let draft = file.with_file_name(name);
    if !file.exists() || file.is_file() {
        let written = write_privately(&draft, bytes).and_then(|()| fs::rename(&draft, file));
        return written.inspect_err(|_| {
            let _ = fs::remove_file(&draft);
        });
    }
    // A device or a pipe.
    fs::write(file, bytes)
}

/// Writes a new file that nobody else may read: the network's passphrase is in it.
fn write_privately(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)?.write_all(bytes)
}

/// A step of a write, from the thread that writes: when it was there, not when it is heard of.
enum Written {
    Begun(Instant),
    So { blocks: usize, total: usize },
    Verifying(Instant),
    Verified,
}

/// The library's progress as messages.
struct Steps {
    sender: mpsc::UnboundedSender<Written>,
    total: usize,
}

impl ProgressCallbacks for Steps {
    fn init(&mut self, _addr: u32, total: usize) {
        self.total = total;
        let _ = self.sender.send(Written::Begun(Instant::now()));
    }

    fn update(&mut self, current: usize) {
        let _ = self.sender.send(Written::So {
            blocks: current,
            total: self.total,
        });
    }

    fn verifying(&mut self) {
        let _ = self.sender.send(Written::Verifying(Instant::now()));
    }

    fn finish(&mut self, _skipped: bool) {
        let _ = self.sender.send(Written::Verified);
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

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
