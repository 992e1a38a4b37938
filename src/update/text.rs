//! Text of `update`.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::report::{Change, InstallPlan, UpdateEvent, UpdateReport};
use crate::output::{Render, View, human};
use crate::sanitize;

/// A report that is printed as JSON or as text.
#[derive(Serialize)]
#[serde(transparent)]
pub struct Rendered {
    /// The report.
    pub report: UpdateReport,
    /// Whether text names the board in each line, because several are updated at a time.
    #[serde(skip)]
    pub is_labeled: bool,
}

impl Render for Rendered {
    /// With `-q` only the plan of a dry run is shown.
    fn render(&self, view: &View) -> Option<String> {
        let is_result = matches!(&self.report.event, UpdateEvent::Plan(plan) if plan.dry_run);
        if view.is_quiet && !is_result {
            return None;
        }
        let lines = lines(&self.report.target, &self.report.event)?;
        if !self.is_labeled {
            return Some(lines);
        }
        let label = sanitize::one_line(&self.report.target);
        let labeled = lines.lines().map(|line| format!("{label}: {line}\n"));
        Some(labeled.collect())
    }
}

/// Text of an event; `None` if a progress bar shows it.
fn lines(target: &str, event: &UpdateEvent) -> Option<String> {
    Some(match event {
        UpdateEvent::Plan(plan) => self::plan(target, plan),
        UpdateEvent::Progress { .. } => return None,
        UpdateEvent::Written {
            bytes,
            resumed_bytes,
            elapsed_us,
        } => {
            let sent = bytes - resumed_bytes;
            let seconds = Duration::from_micros(*elapsed_us).as_secs_f64();
            let resumed = if *resumed_bytes > 0 {
                format!(" ({} were there)", human::grouped((*resumed_bytes).into()))
            } else {
                String::new()
            };
            format!(
                "written    {} in {}, {}{resumed}\n",
                human::count(sent.into(), "byte"),
                elapsed(*elapsed_us),
                human::bytes_per_second(f64::from(sent) / seconds.max(1e-6)),
            )
        }
        UpdateEvent::Verified { sha256 } => format!("verified   SHA-256 {}...\n", short(sha256)),
        UpdateEvent::Restarting { .. } => "restarting on trial\n".to_owned(),
        UpdateEvent::Back {
            address,
            version,
            elapsed_us,
        } => format!(
            "back       {address}, version {} after {}\n",
            sanitize::one_line(version),
            elapsed(*elapsed_us)
        ),
        UpdateEvent::Confirmed { version } => {
            format!(
                "confirmed  version {} is permanent\n",
                sanitize::one_line(version)
            )
        }
        UpdateEvent::RolledBack { version, reason } => format!(
            "rolled back to version {}: {reason}\n",
            sanitize::one_line(version)
        ),
        UpdateEvent::Skipped => format!("skipped    {}\n", sanitize::one_line(target)),
    })
}

fn plan(target: &str, plan: &InstallPlan) -> String {
    let mut text = format!(
        "board      {}, {}, MAC {}, at {}\n",
        sanitize::one_line(target),
        sanitize::one_line(&plan.chip),
        plan.mac,
        plan.address
    );
    let version = plan.firmware.version.as_deref().unwrap_or("unknown");
    let change = match plan.change {
        Change::Upgrade => "",
        Change::Same => " (same version)",
        Change::Downgrade => " (older)",
        Change::Unknown => " (not comparable)",
    };
    let _ = writeln!(
        text,
        "firmware   {} -> {version}{change}, {}, SHA-256 {}...",
        sanitize::one_line(&plan.running),
        plan.firmware.name,
        short(&plan.firmware.sha256)
    );
    let _ = writeln!(
        text,
        "slot       ota_{}, {} of {}",
        plan.slot,
        human::grouped(plan.bytes.into()),
        human::count(plan.capacity_bytes.into(), "byte"),
    );
    if plan.dry_run {
        text.push_str("dry run    nothing is changed\n");
    }
    text
}

/// The first digits of a hash, enough to distinguish two builds.
fn short(sha256: &str) -> &str {
    sha256.get(..16).unwrap_or_default()
}

fn elapsed(microseconds: u64) -> String {
    human::time(Duration::from_micros(microseconds))
}
