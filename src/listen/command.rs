//! Runs `tcpctl listen`: until Ctrl-C, the number of connections, or the timeout.

use std::time::Duration;

use anyhow::Context;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;

use super::connection::serve;
use super::plan::ListenPlan;
use super::printer::Printer;
use super::report::CloseReason;
use crate::cli::ListenArgs;
use crate::exit::Exit;
use crate::failure::{Failure, Kind, reason};
use crate::interrupt::Interrupt;
use crate::net;
use crate::output::{Output, human};

/// Pause after an error of accept(2), e.g. when no file descriptors are left.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Runs `tcpctl listen`.
///
/// # Errors
/// The address is not available, standard output cannot be written, or the timeout expires before
/// the connections of `--count`.
pub fn run(args: &ListenArgs, output: &Output) -> anyhow::Result<Exit> {
    let plan = ListenPlan::new(args)?;
    let listener = net::bind(plan.address)?;
    crate::runtime::block_on(async {
        let interrupt = Interrupt::install().context("cannot install signal handlers")?;
        let listener = TcpListener::from_std(listener)?;
        let printer = Printer::new(output);
        printer.ready(listener.local_addr()?)?;
        let served = accept(&plan, &listener, printer, &interrupt, output).await?;
        let missing = plan
            .count
            .is_some_and(|count| served.connections < count.get());
        if interrupt.already().is_some() {
            output.interrupted();
        } else if missing {
            return Err(timed_out(&plan, &served).into());
        }
        Ok(Exit::Done)
    })?
}

/// Counts of served connections.
#[derive(Debug, Default)]
struct Served {
    /// Connections that ended by themselves.
    connections: u64,
    bytes: u64,
}

/// Accepts and serves connections until the plan's end or a signal.
async fn accept(
    plan: &ListenPlan,
    listener: &TcpListener,
    printer: Printer<'_>,
    interrupt: &Interrupt,
    output: &Output,
) -> anyhow::Result<Served> {
    let (stop, stopped) = watch::channel(());
    let mut stop = Some(stop);
    let mut connections = FuturesUnordered::new();
    let mut served = Served::default();
    let mut accepted = 0;
    let mut has_noted_limit = false;
    let deadline = plan.timeout.map(|timeout| Instant::now() + timeout);
    let end = async {
        tokio::select! {
            _ = interrupt.requested() => {}
            () = sleep_until(deadline) => {}
        }
    };
    tokio::pin!(end);
    loop {
        let wants_more = stop.is_some() && plan.count.is_none_or(|count| accepted < count.get());
        let is_full = connections.len() == plan.max_connections.get();
        let may_accept = wants_more && !is_full;
        if !may_accept && connections.is_empty() {
            return Ok(served);
        }
        if wants_more && is_full && !has_noted_limit {
            has_noted_limit = true;
            output.note(&format!(
                "limit of {} reached, others wait (--max-connections)",
                human::count(connections.len() as u64, "connection")
            ));
        }
        tokio::select! {
            biased;
            // Dropping the sender ends every connection.
            () = &mut end, if stop.is_some() => stop = None,
            Some(ended) = connections.next() => {
                let (reason, bytes) = ended?;
                served.bytes += bytes;
                if reason != CloseReason::Ended {
                    served.connections += 1;
                }
            }
            connection = listener.accept(), if may_accept => match connection {
                Ok((stream, peer)) => {
                    accepted += 1;
                    printer.accepted(peer)?;
                    // Replies are written as a whole, so Nagle's algorithm would only delay them.
                    let _ = stream.set_nodelay(true);
                    let stopped = stopped.clone();
                    connections.push(serve(stream, peer, &plan.answer, printer, stopped));
                }
                Err(error) => {
                    output.detail(|| format!("accept: {}", reason(&error)));
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            },
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn timed_out(plan: &ListenPlan, served: &Served) -> Failure {
    let timeout = plan.timeout.unwrap_or_default();
    let count = plan.count.map_or(0, std::num::NonZero::get);
    if served.bytes == 0 {
        Failure::new(
            Kind::Timeout,
            format!("nothing was received within {timeout:?}"),
        )
        .hint("does the client use this computer's address and this port?")
    } else {
        Failure::new(
            Kind::Negative,
            format!(
                "{} of {count} connections within {timeout:?}",
                served.connections
            ),
        )
    }
}
