//! `tcpctl send`: one exchange with a server, repeated exchanges, fleets.
//!
//! `plan` turns arguments into what is to be done; `attempt` connects and retries;
//! `exchange` moves the bytes over a `wire` until a `rule` ends it; `repeat` and `fleet`
//! do that more than once; `report` is what is told of it.

mod attempt;
mod exchange;
mod expect;
mod fleet;
mod input;
mod plan;
mod repeat;
mod report;
mod rule;
mod wire;

use crate::cli::SendArgs;
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::interrupt::Interrupt;
use crate::output::Output;

use attempt::{Attempt, endpoint};
use plan::{Plan, Scope};

/// Runs `tcpctl send`.
///
/// # Errors
/// What ended it before it could tell of each try itself.
pub fn run(args: &SendArgs, output: &Output) -> anyhow::Result<Exit> {
    let plan = Plan::new(args, output)?;
    crate::runtime::block_on(async {
        let interrupt = Interrupt::install()
            .map_err(|error| Failure::new(Kind::Internal, format!("signal handlers: {error}")))?;
        match &plan.scope {
            Scope::Once(target) => {
                let endpoint = endpoint(&target.place, &target.text)?;
                Attempt::new(&plan, &target.text, &endpoint, output, &interrupt)
                    .once()
                    .await
            }
            Scope::Repeated {
                target,
                count,
                interval,
            } => {
                let endpoint = endpoint(&target.place, &target.text)?;
                let attempt = Attempt::new(&plan, &target.text, &endpoint, output, &interrupt);
                repeat::run(&attempt, *count, *interval).await
            }
            Scope::Fleet { targets, parallel } => {
                fleet::run(&plan, targets, *parallel, output, &interrupt).await
            }
        }
    })?
}
