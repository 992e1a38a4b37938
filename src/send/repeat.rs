//! `--count`: one exchange after another, and statistics as ping gives them.

use std::fmt::Write as _;
use std::time::Duration;

use tokio::time::Instant;

use super::attempt::{Attempt, Tried};
use super::report::{Statistics, Summary};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::human;
use crate::sanitize;

/// Tries `count` times, each `interval` after the one before began, or when that has ended.
///
/// # Errors
/// What makes it pointless to go on.
pub(super) async fn run(
    attempt: &Attempt<'_>,
    count: u64,
    interval: Duration,
) -> anyhow::Result<Exit> {
    let output = attempt.output;
    let mut statistics = Statistics::new();
    let mut worst: Option<Failure> = None;
    let mut interrupted = None;
    for seq in 1..=count {
        let next = Instant::now() + interval;
        let mut printer = output.reply(attempt.plan.form);
        let tried = attempt.run(Some(seq), &mut printer).await?;
        if let Some(exit) = attempt.interrupt.already() {
            // What was cut short by the user is no loss of the server's.
            interrupted = Some(exit);
            break;
        }
        let round_trip = match &tried {
            Tried::Held(outcome) => outcome.first_byte,
            _ => None,
        };
        statistics.record(tried.failure().is_none(), round_trip);
        if let Some(failure) = tried.failure() {
            // An exchange has its object already; what did not connect has only this one.
            if matches!(tried, Tried::Unconnected(_)) || !output.is_json() {
                output.failed_try(failure, Some(seq))?;
            }
            if worst
                .as_ref()
                .is_none_or(|worst| failure.exit() > worst.exit())
            {
                worst = Some(failure.clone());
            }
        }
        if seq < count {
            tokio::select! {
                biased;
                exit = attempt.interrupt.requested() => {
                    output.interrupted();
                    interrupted = Some(exit);
                }
                () = tokio::time::sleep_until(next) => {}
            }
            if interrupted.is_some() {
                break;
            }
        }
    }
    let summary = statistics.summary(attempt.target);
    if output.is_json() {
        output.object(&summary)?;
    } else {
        output.note(&told(&summary));
    }
    let Some(mut worst) = worst else {
        return Ok(interrupted.unwrap_or(Exit::Done));
    };
    if let Some(exit) = interrupted {
        return Ok(exit);
    }
    worst.message = format!(
        "{} of {} tries failed; the worst: {}",
        summary.lost, summary.sent, worst.message
    );
    output.conclude(&worst);
    Ok(worst.exit())
}

/// The statistics, as ping tells them.
fn told(summary: &Summary<'_>) -> String {
    let share = 100.0 * summary.lost as f64 / summary.sent.max(1) as f64;
    let mut text = format!(
        "{}: {} sent, {} received, {} lost ({share:.0}%)",
        sanitize::one_line(summary.target),
        summary.sent,
        summary.received,
        summary.lost
    );
    if let Some(times) = &summary.rtt_us {
        let time = |microseconds| human::time(Duration::from_micros(microseconds));
        let _ = write!(
            text,
            "\nround trip: min {}, mean {}, p50 {}, p99 {}, max {}",
            time(times.min),
            time(times.mean),
            time(times.p50),
            time(times.p99),
            time(times.max)
        );
    }
    text
}
