//! `--targets`: one exchange with each target of a list, several at a time.

use std::cell::{Cell, RefCell};
use std::num::NonZeroU16;

use futures_util::future::try_join_all;

use super::attempt::{Attempt, AttemptResult, Failures};
use super::plan::SendPlan;
use crate::connect::Endpoint;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::target::Target;
use crate::target::list::TargetList;

/// Runs an exchange with each target, `parallel` at a time. A failure does not stop the others.
///
/// # Errors
/// Errors that make further exchanges pointless.
pub(super) async fn run(
    plan: &SendPlan,
    list: &TargetList,
    parallel: NonZeroU16,
    output: &Output,
    interrupt: &Interrupt,
) -> anyhow::Result<Exit> {
    let failures = RefCell::new(Failures::default());
    for failure in &list.failures {
        output.failed_try(failure, None)?;
        failures.borrow_mut().record(failure);
    }
    let next = Cell::new(0);
    let worker = || async {
        while let Some(target) = list.targets.get(next.replace(next.get() + 1)) {
            if interrupt.already().is_some() {
                break;
            }
            let result = exchange_with(plan, target, output, interrupt).await?;
            if let Some(failure) = result.failure() {
                failures.borrow_mut().record(failure);
            }
        }
        anyhow::Ok(())
    };
    let workers = usize::from(parallel.get()).min(list.targets.len());
    try_join_all((0..workers).map(|_| worker())).await?;

    if let Some(exit) = interrupt.already() {
        return Ok(exit);
    }
    let total = list.targets.len() + list.failures.len();
    Ok(failures.into_inner().conclude(total, "targets", output))
}

async fn exchange_with(
    plan: &SendPlan,
    target: &Target,
    output: &Output,
    interrupt: &Interrupt,
) -> anyhow::Result<AttemptResult> {
    let result = match Endpoint::open(target) {
        Ok(endpoint) => {
            let mut printer = output.labeled_reply(plan.form, &target.text);
            Attempt::new(plan, target, &endpoint, output, interrupt)
                .run(None, &mut printer)
                .await?
        }
        Err(failure) => AttemptResult::NotConnected(failure),
    };
    if let Some(failure) = result.failure()
        // A failed exchange has already printed its object.
        && (matches!(result, AttemptResult::NotConnected(_)) || !output.is_json())
    {
        output.failed_try(failure, None)?;
    }
    Ok(result)
}
