//! Text of `flash`.

use std::fmt::Write as _;
use std::time::Duration;

use crate::flash::event::{FlashEvent, FlashPlan, FlashReport};
use crate::output::{Render, View, columns, human};
use crate::sanitize;

impl Render for FlashReport {
    /// With `-q` only results are shown.
    fn render(&self, view: &View) -> Option<String> {
        if view.is_quiet && !self.event.is_result() {
            return None;
        }
        lines(&self.event, view.fold)
    }
}

/// Text of an event; `None` if a progress bar shows it.
fn lines(event: &FlashEvent, fold: Option<usize>) -> Option<String> {
    Some(match event {
        FlashEvent::Plan(plan) => self::plan(plan, fold),
        FlashEvent::Settings { stored, settings } => {
            let mut text = format!("stored     {stored}\n");
            for (name, value) in &settings.0 {
                let _ = writeln!(text, "  {name:15}  {}", sanitize::one_line(value));
            }
            text
        }
        FlashEvent::Progress { .. } => return None,
        FlashEvent::Erased { elapsed_us } => {
            format!("erased     the whole flash in {}\n", elapsed(*elapsed_us))
        }
        FlashEvent::Written {
            part,
            bytes,
            elapsed_us,
            ..
        } => {
            let seconds = Duration::from_micros(*elapsed_us).as_secs_f64();
            format!(
                "written    {part}, {} in {}, {}\n",
                size(*bytes),
                elapsed(*elapsed_us),
                human::bytes_per_second(f64::from(*bytes) / seconds.max(1e-6)),
            )
        }
        FlashEvent::Skipped { part, .. } => format!("unchanged  {part}\n"),
        FlashEvent::Verified { part, md5 } => format!("verified   {part}, MD5 {md5}\n"),
        FlashEvent::Saved { file, bytes, .. } => {
            let file = sanitize::one_line(file);
            format!("saved      {file}, {}\n", human::count(*bytes, "byte"))
        }
        FlashEvent::Reset { how } => match *how {
            "no-reset" | "no-reset-stub" => {
                "reset      none, the board stays in its loader\n".to_owned()
            }
            how => format!("reset      {how}\n"),
        },
        FlashEvent::Booted { banner } => {
            sanitize::one_line(&format!(
                "booted     version {}, mode {}, settings from {}",
                banner.version, banner.mode, banner.settings
            )) + "\n"
        }
        FlashEvent::Ready { addr } => format!("ready      {addr}\n"),
        FlashEvent::Answered {
            addr,
            greeting,
            total_us,
        } => format!(
            "answered   {addr}: {} in {}\n",
            sanitize::one_line(greeting),
            elapsed(*total_us)
        ),
    })
}

fn plan(plan: &FlashPlan, fold: Option<usize>) -> String {
    let mut text = String::new();
    match &plan.board {
        Some(board) => {
            let mut facts = plan.chip.clone();
            if let Some(revision) = &board.revision {
                let _ = write!(facts, " revision {revision}");
            }
            if let Some(mac) = &board.mac {
                let _ = write!(facts, ", MAC {mac}");
            }
            let _ = write!(
                facts,
                ", {} flash, on {} ({} loader, {} baud)",
                mebibytes(board.flash_bytes),
                sanitize::one_line(&board.port),
                board.loader,
                board.baud
            );
            let words: Vec<String> = facts.split(' ').map(str::to_owned).collect();
            text += &columns::hanging("board      ", &words, fold);
            text.push('\n');
        }
        None => {
            let _ = writeln!(text, "board      none, image for the {}", plan.chip);
        }
    }
    if let Some(firmware) = &plan.firmware {
        let version = firmware
            .version
            .as_ref()
            .map_or_else(String::new, |version| format!(", version {version}"));
        // Enough digits to distinguish two builds.
        let sha256 = firmware.sha256.get(..16).unwrap_or_default();
        let _ = writeln!(
            text,
            "firmware   {}{version}, SHA-256 {sha256}...",
            firmware.name
        );
    }
    if plan.erase {
        text.push_str("erase      the whole flash first\n");
    }
    for step in &plan.parts {
        let what = if step.unchanged { "unchanged" } else { "write" };
        let _ = writeln!(
            text,
            "  {:#010x}  {:15}  {:>15}  {what}",
            step.offset,
            step.part,
            size(step.bytes)
        );
    }
    let settings = plan.settings.0.iter().map(|(name, value)| {
        let value = sanitize::one_line(value);
        let quote = if value.contains(' ') { "\"" } else { "" };
        format!("{name}={quote}{value}{quote}")
    });
    let settings: Vec<String> = settings.collect();
    text += &columns::hanging("settings   ", &settings, fold);
    text.push('\n');
    if let Some(file) = &plan.key_file {
        let new = if file.exists { "" } else { " (new)" };
        let _ = writeln!(text, "key file   {}{new}", file.path);
    }
    if plan.dry_run {
        text.push_str("dry run    nothing is written\n");
    }
    text
}

fn elapsed(microseconds: u64) -> String {
    human::time(Duration::from_micros(microseconds))
}

fn size(bytes: u32) -> String {
    human::count(bytes.into(), "byte")
}

fn mebibytes(bytes: u32) -> String {
    match bytes >> 20 {
        0 => format!("{} KiB", bytes >> 10),
        whole => format!("{whole} MiB"),
    }
}
