//! Text of `configure`.

use std::fmt::Write as _;
use std::time::Duration;

use crate::configure::report::{BoardFacts, ConfigureEvent, ConfigureReport, TrialFacts};
use crate::output::{Render, View, human};
use crate::sanitize;

impl Render for ConfigureReport {
    /// With `-q` only results are shown.
    fn render(&self, view: &View) -> Option<String> {
        let is_result = matches!(
            self.event,
            ConfigureEvent::Settings { .. } | ConfigureEvent::Plan { dry_run: true, .. }
        );
        (is_result || !view.is_quiet).then(|| lines(&self.event))
    }
}

/// The lines of an event. Values may come from the board.
fn lines(event: &ConfigureEvent) -> String {
    match event {
        ConfigureEvent::Settings {
            board,
            settings,
            trial,
        } => {
            let mut text = self::board(board);
            for (name, value) in &settings.0 {
                let _ = writeln!(text, "  {name:15}  {}", sanitize::one_line(value));
            }
            if let Some(trial) = trial {
                let _ = writeln!(text, "trial      {}", self::trial(trial));
            }
            text
        }
        ConfigureEvent::Plan {
            board,
            changes,
            restart,
            confirm_timeout_s,
            dry_run,
        } => {
            let mut text = self::board(board);
            for change in changes {
                let _ = writeln!(
                    text,
                    "change     {:15}  {} -> {}",
                    change.setting,
                    sanitize::one_line(&change.old),
                    sanitize::one_line(&change.new)
                );
            }
            match (changes.is_empty(), restart) {
                (true, _) => text.push_str("change     nothing\n"),
                (false, true) => {
                    let _ = writeln!(
                        text,
                        "restart    yes, returns to the old settings unless confirmed within \
                         {confirm_timeout_s} s"
                    );
                }
                (false, false) => text.push_str("restart    no\n"),
            }
            if *dry_run {
                text.push_str("dry run    nothing is sent\n");
            }
            text
        }
        ConfigureEvent::Sent => "sent       stored\n".to_owned(),
        ConfigureEvent::Restarting { confirm_timeout_s } => {
            format!("restarting with the new settings, {confirm_timeout_s} s to confirm them\n")
        }
        ConfigureEvent::Back {
            address,
            elapsed_us,
        } => format!("back       {address} after {}\n", elapsed(*elapsed_us)),
        ConfigureEvent::Confirmed { check: None } => "confirmed\n".to_owned(),
        ConfigureEvent::Confirmed { check: Some(check) } => format!(
            "confirmed  {}: {} in {}\n",
            check.address,
            sanitize::one_line(&check.greeting),
            elapsed(check.total_us)
        ),
        ConfigureEvent::RolledBack { reason } => {
            format!("rolled back  {}\n", sanitize::one_line(reason))
        }
    }
}

fn board(board: &BoardFacts) -> String {
    format!(
        "board      {}, MAC {}, version {}\n",
        sanitize::one_line(&board.chip),
        board.mac,
        sanitize::one_line(&board.firmware)
    )
}

fn trial(trial: &TrialFacts) -> String {
    let mut text = trial.state.replace('_', " ");
    if let Some(reason) = &trial.reason {
        let _ = write!(text, ": {}", sanitize::one_line(reason));
    }
    if let Some(seconds) = trial.remaining_s {
        let _ = write!(text, ", {seconds} s left to confirm it");
    }
    text
}

fn elapsed(microseconds: u64) -> String {
    human::time(Duration::from_micros(microseconds))
}
