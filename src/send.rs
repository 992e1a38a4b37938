//! `tcpctl send`: one exchange with a server, repeated exchanges, or many targets.
//!
//! `plan` turns arguments into data. `exchange` moves the bytes over a `duplex` connection until
//! an end `rule` is met; `attempt` connects before it and reports after it. `repeat` and `fleet`
//! run several attempts.

mod attempt;
mod duplex;
mod exchange;
mod expect;
mod fleet;
mod input;
mod plan;
mod repeat;
mod report;
mod rule;

use anyhow::Context;

use crate::cli::SendArgs;
use crate::connect::Endpoint;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::target::list;

use attempt::Attempt;
use plan::{Scope, SendPlan};

/// Runs `tcpctl send`.
///
/// # Errors
/// The first failure, or with several exchanges an error that ends them all.
pub fn run(args: &SendArgs, output: &Output) -> anyhow::Result<Exit> {
    let mut plan = SendPlan::new(args)?;
    if let Some(note) = plan.note() {
        output.note(&note);
    }
    crate::runtime::block_on(async {
        let interrupt = Interrupt::install().context("cannot install signal handlers")?;
        if plan.repeats() {
            let message = plan.message.clone();
            plan.message = match interrupt.or_blocking(move || message.repeatable()).await {
                Ok(message) => message?,
                Err(exit) => return Ok(exit),
            };
        }
        match &plan.scope {
            Scope::Once(target) => {
                let endpoint = Endpoint::open(target)?;
                Attempt::new(&plan, target, &endpoint, output, &interrupt)
                    .once()
                    .await
            }
            Scope::Repeated {
                target,
                count,
                interval,
            } => {
                let endpoint = Endpoint::open(target)?;
                let attempt = Attempt::new(&plan, target, &endpoint, output, &interrupt);
                repeat::run(&attempt, *count, *interval).await
            }
            Scope::Fleet {
                list: path,
                parallel,
            } => {
                let path = path.clone();
                let list = match interrupt.or_blocking(move || list::read(&path)).await {
                    Ok(list) => list?,
                    Err(exit) => return Ok(exit),
                };
                for target in &list.targets {
                    plan.check(target)?;
                }
                fleet::run(&plan, &list, *parallel, output, &interrupt).await
            }
        }
    })?
}
