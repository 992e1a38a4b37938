//! `--count`: one exchange after another, with statistics as ping prints them.

use std::fmt::Write as _;
use std::time::Duration;

use tokio::time::Instant;

use super::attempt::{Attempt, AttemptResult, Failures};
use super::report::{Statistics, Summary};
use crate::exit::Exit;
use crate::output::human;
use crate::sanitize;

/// Runs `count` attempts, or attempts until a signal if it is 0. Each starts `interval` after the
/// start of the previous one, or when that has ended.
///
/// # Errors
/// Errors that make further attempts pointless.
pub(super) async fn run(
    attempt: &Attempt<'_>,
    count: u64,
    interval: Duration,
) -> anyhow::Result<Exit> {
    let output = attempt.output;
    let mut statistics = Statistics::new();
    let mut failures = Failures::default();
    for seq in 1.. {
        let next = Instant::now() + interval;
        let mut printer = output.reply(attempt.plan.form);
        let result = attempt.run(Some(seq), &mut printer).await?;
        if attempt.interrupt.already().is_some() {
            // An exchange that the user interrupted does not count as lost.
            break;
        }
        let first_byte = match &result {
            AttemptResult::Exchanged(outcome) => outcome.first_byte,
            _ => None,
        };
        statistics.record(result.failure().is_none(), first_byte);
        if let Some(failure) = result.failure() {
            // A failed exchange has already printed its object.
            if matches!(result, AttemptResult::NotConnected(_)) || !output.is_json() {
                output.failed_try(failure, Some(seq))?;
            }
            failures.record(failure);
        }
        if seq == count {
            break;
        }
        tokio::select! {
            biased;
            _ = attempt.interrupt.requested() => {
                output.interrupted();
                break;
            }
            () = tokio::time::sleep_until(next) => {}
        }
    }
    let summary = statistics.summary(attempt.target);
    if output.is_json() {
        output.object(&summary)?;
    } else {
        output.note(&describe(&summary));
    }
    if let Some(exit) = attempt.interrupt.already() {
        return Ok(exit);
    }
    Ok(failures.conclude(summary.sent, "tries", output))
}

/// The statistics as text.
fn describe(summary: &Summary<'_>) -> String {
    let lost_percent = 100.0 * summary.lost as f64 / summary.sent.max(1) as f64;
    let mut text = format!(
        "{}: {} sent, {} received, {} lost ({lost_percent:.0}%)",
        sanitize::one_line(summary.target),
        summary.sent,
        summary.received,
        summary.lost
    );
    if let Some(times) = &summary.first_byte_us {
        let time = |microseconds| human::time(Duration::from_micros(microseconds));
        let _ = write!(
            text,
            "\nfirst byte: min {}, mean {}, p50 {}, p99 {}, max {}",
            time(times.min),
            time(times.mean),
            time(times.p50),
            time(times.p99),
            time(times.max)
        );
    }
    text
}
