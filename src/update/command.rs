//! Runs `tcpctl update`: one board, or several until one fails.

use std::cell::{Cell, RefCell};

use anyhow::Context;
use futures_util::future::join_all;

use super::board::{BoardUpdate, Stage};
use super::plan::{Targets, UpdatePlan};
use super::report::{UpdateEvent, UpdateReport};
use super::text::Rendered;
use crate::cli::UpdateArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::output::{BrokenPipe, Output};
use crate::sanitize;
use crate::target::Target;
use crate::target::list::{self, TargetList};

/// Runs `tcpctl update`.
///
/// # Errors
/// Invalid options or firmware, a board that cannot be updated, or that returns to its old firmware.
pub fn run(args: &UpdateArgs, output: &Output) -> anyhow::Result<Exit> {
    let plan = UpdatePlan::new(args, output)?;
    crate::runtime::block_on(async {
        let interrupt = Interrupt::install().context("cannot install signal handlers")?;
        let ended = match &plan.targets {
            Targets::One(target) => update_one(&plan, target, &interrupt, output).await,
            Targets::List(path) => {
                let path = path.clone();
                match interrupt.or_blocking(move || list::read(&path)).await {
                    Ok(list) => update_all(&plan, &list?, &interrupt, output).await,
                    Err(exit) => Ok(exit),
                }
            }
        };
        plan.images.stop();
        output.end_status();
        ended
    })?
}

async fn update_one(
    plan: &UpdatePlan,
    target: &Target,
    interrupt: &Interrupt,
    output: &Output,
) -> anyhow::Result<Exit> {
    let board = BoardUpdate::new(plan, target, output);
    tokio::select! {
        biased;
        exit = interrupt.requested() => {
            output.end_status();
            output.interrupted();
            note_stage(&board);
            Ok(exit)
        }
        ended = board.run() => ended.map(|()| Exit::Done),
    }
}

/// Updates boards in their order, `parallel` at a time, until one fails. Updates that have begun
/// are finished.
async fn update_all(
    plan: &UpdatePlan,
    list: &TargetList,
    interrupt: &Interrupt,
    output: &Output,
) -> anyhow::Result<Exit> {
    let total = list.targets.len() + list.failures.len();
    let failures: RefCell<Vec<Failure>> = RefCell::default();
    for failure in &list.failures {
        output.failed_try(failure, None)?;
        failures.borrow_mut().push(failure.clone());
    }
    let left = RefCell::new(list.targets.iter());
    let done = Cell::new(0);
    let is_stopped = Cell::new(false);
    let worker = || async {
        while failures.borrow().is_empty() && !is_stopped.get() && interrupt.already().is_none() {
            let Some(target) = left.borrow_mut().next() else {
                break;
            };
            match update_one(plan, target, interrupt, output).await {
                Ok(Exit::Done) => done.set(done.get() + 1),
                Ok(_) => break,
                Err(error) if error.is::<BrokenPipe>() => {
                    is_stopped.set(true);
                    return Err(error);
                }
                Err(error) => {
                    let failure = Failure::from_error(&error);
                    output.failed_try(&failure, None)?;
                    failures.borrow_mut().push(failure);
                }
            }
        }
        anyhow::Ok(())
    };
    let workers = usize::from(plan.parallel.get()).min(list.targets.len());
    for ended in join_all((0..workers).map(|_| worker())).await {
        ended?;
    }
    if let Some(exit) = interrupt.already() {
        return Ok(exit);
    }
    let failures = failures.into_inner();
    let worst = failures.iter().max_by_key(|failure| failure.exit());
    let Some(worst) = worst else {
        return Ok(Exit::Done);
    };
    let left = left.into_inner();
    let message = format!(
        "{} of {total} boards {}, {} failed, {} not tried",
        done.get(),
        if plan.dry_run { "checked" } else { "updated" },
        failures.len(),
        left.len()
    );
    for target in left {
        output.print(&Rendered {
            report: UpdateReport::new(&target.text, UpdateEvent::Skipped),
            is_labeled: false,
        })?;
    }
    output.note(&message);
    output.conclude(&Failure::new(worst.kind, message));
    Ok(worst.exit())
}

/// Prints what an interrupted update leaves behind.
fn note_stage(board: &BoardUpdate<'_>) {
    let target = sanitize::one_line(&board.target.text);
    match board.stage.get() {
        Stage::Untouched | Stage::Ended => {}
        Stage::Sending => board.output.note(&format!(
            "note: {target} runs its old firmware. Run the same command again to resume"
        )),
        Stage::OnTrial => board.output.note(&format!(
            "note: {target} tries the new firmware. It confirms it itself after a minute on its \
             network, or returns to the old one"
        )),
    }
}
