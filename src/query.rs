//! Sends boards a request for one line: the part that `status` and `read` share.
//!
//! A round asks every board, some at a time, and returns the answers in the order of the boards. A
//! watch repeats rounds.

mod table;

use std::future::Future;
use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU64};
use std::time::Duration;

use anyhow::Context;
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, timeout};

use crate::cli::QueryArgs;
use crate::config;
use crate::connect::{self, Endpoint};
use crate::exchange;
use crate::exit::Exit;
use crate::failure::{Failure, Kind, reason};
use crate::interrupt::Interrupt;
use crate::net::{ConnectError, Dialer, Family};
use crate::output::Output;
use crate::target::Target;
use crate::target::list::{self, TargetList};

pub use table::{Screen, room, table, table_within};

/// Time between rounds if none is given.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum length of a line from a board.
const MAX_LINE: usize = 64 * 1024;

/// Which boards to ask, and how often.
#[derive(Debug)]
pub struct QueryPlan {
    request: &'static [u8],
    targets: Targets,
    parallel: NonZeroU16,
    timeout: Duration,
    /// Time between rounds; `None` for a single one.
    pub interval: Option<Duration>,
    rounds: Option<NonZeroU64>,
    /// Whether --watch was given. An interrupt is then a normal end.
    is_watch: bool,
}

#[derive(Debug)]
enum Targets {
    Given(Vec<Target>),
    List(std::path::PathBuf),
}

/// The reply of a board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The line, without its end.
    pub line: String,
    /// Address of the board.
    pub address: SocketAddr,
    /// Time from the first connection attempt to the end of the line.
    pub round_trip: Duration,
}

/// The result for one board.
#[derive(Debug)]
pub struct Asked {
    /// The target as the user wrote it.
    pub target: String,
    /// The reply.
    pub answer: Result<Answer, Failure>,
}

impl QueryPlan {
    /// The plan for these targets, or for the configured one. `request` is one line.
    ///
    /// # Errors
    /// A target is invalid or missing.
    pub fn new(
        command: &str,
        request: &'static [u8],
        given: &[String],
        args: &QueryArgs,
    ) -> Result<Self, Failure> {
        let targets = match (&args.targets, given) {
            (Some(_), [_, ..]) => {
                return Err(Failure::usage("--targets and TARGET exclude each other")
                    .hint("write all targets into the file"));
            }
            (Some(path), []) => Targets::List(path.clone()),
            (None, []) => Targets::Given(vec![Target::parse(&config::target(None, command)?)?]),
            (None, given) => {
                let targets = given.iter().map(|text| Target::parse(text));
                Targets::Given(targets.collect::<Result<_, _>>()?)
            }
        };
        Ok(Self {
            request,
            targets,
            parallel: args.parallel,
            timeout: args.timeout,
            interval: args.watch,
            rounds: None,
            is_watch: args.watch.is_some(),
        })
    }

    /// The plan with a number of rounds, which are a second apart unless it is a watch.
    #[must_use]
    pub fn with_rounds(self, rounds: Option<NonZeroU64>) -> Self {
        let default = rounds.map(|_| DEFAULT_INTERVAL);
        Self {
            interval: self.interval.or(default),
            rounds,
            ..self
        }
    }
}

/// Runs the rounds of a plan. `print` prints the replies of a round and returns the failures that
/// it found in them. This function prints all failures.
///
/// # Errors
/// The failure of the only board, or an error that ends all rounds.
pub fn run(
    plan: &QueryPlan,
    output: &Output,
    mut print: impl FnMut(&[Asked], &mut Screen) -> anyhow::Result<Vec<Failure>>,
) -> anyhow::Result<Exit> {
    crate::runtime::block_on(async {
        let interrupt = Interrupt::install().context("cannot install signal handlers")?;
        let list = match &plan.targets {
            Targets::Given(targets) => TargetList {
                targets: targets.clone(),
                failures: Vec::new(),
            },
            Targets::List(path) => {
                let path = path.clone();
                match interrupt.or_blocking(move || list::read(&path)).await {
                    Ok(list) => list?,
                    Err(exit) => return Ok(exit),
                }
            }
        };
        let boards: Vec<_> = list
            .targets
            .iter()
            .map(|target| (target, Endpoint::open(target)))
            .collect();
        let asked = boards.len() + list.failures.len();
        let is_only = boards.len() == 1 && list.failures.is_empty() && plan.interval.is_none();
        let mut failures: Vec<Failure> = Vec::new();
        let mut screen = Screen::default();
        let mut round = 0;
        loop {
            let started = Instant::now();
            let mut answers = Vec::new();
            let work = ask_all(plan, &boards, &mut answers);
            if interruptible(&interrupt, work).await.is_none() {
                // A partial single round is a result; a partial round of a watch is not.
                if !plan.is_watch {
                    print(&answers, &mut screen)?;
                }
                break;
            }
            round += 1;
            let mut failed = list.failures.clone();
            let not_asked = answers
                .iter()
                .filter_map(|asked| asked.answer.as_ref().err());
            failed.extend(not_asked.cloned());
            failed.extend(print(&answers, &mut screen)?);
            // A watch prints a failure once, until it ends.
            for failure in failed
                .iter()
                .filter(|it| !is_only && !failures.contains(it))
            {
                output.failed_try(failure, None)?;
                screen.restart();
            }
            failures = failed;
            let is_last = plan.rounds.is_some_and(|rounds| round >= rounds.get());
            let Some(interval) = plan.interval.filter(|_| !is_last) else {
                return conclude(failures, asked, is_only, output);
            };
            let pause = tokio::time::sleep_until(started + interval);
            if interruptible(&interrupt, pause).await.is_none() {
                break;
            }
        }
        output.interrupted();
        Ok(match (plan.is_watch, interrupt.already()) {
            (false, Some(exit)) => exit,
            _ => Exit::Done,
        })
    })?
}

/// The output of `work`, or `None` after a signal.
async fn interruptible<T>(interrupt: &Interrupt, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        _ = interrupt.requested() => None,
        done = work => Some(done),
    }
}

/// The result of the last round. The failure of the only board is printed by the caller.
fn conclude(
    failures: Vec<Failure>,
    boards: usize,
    is_only: bool,
    output: &Output,
) -> anyhow::Result<Exit> {
    let count = failures.len();
    let worst = failures.into_iter().reduce(|worst, failure| {
        if failure.exit() > worst.exit() {
            failure
        } else {
            worst
        }
    });
    match worst {
        None => Ok(Exit::Done),
        Some(failure) if is_only => Err(failure.into()),
        Some(mut worst) => {
            if boards > 1 {
                worst.message = format!("{count} of {boards} boards failed: {}", worst.message);
                output.conclude(&worst);
            }
            Ok(worst.exit())
        }
    }
}

/// Queries all boards. `answers` grows as they reply, in the order of the boards.
async fn ask_all(
    plan: &QueryPlan,
    boards: &[(&Target, Result<Endpoint, Failure>)],
    answers: &mut Vec<Asked>,
) {
    stream::iter(boards)
        .map(|(target, endpoint)| async move {
            let answer = match endpoint {
                Ok(endpoint) => ask(plan, &target.text, endpoint).await,
                Err(failure) => Err(failure.clone()),
            };
            Asked {
                target: target.text.clone(),
                answer,
            }
        })
        .buffered(plan.parallel.get().into())
        .for_each(|asked| {
            answers.push(asked);
            std::future::ready(())
        })
        .await;
}

/// Sends the request on a new connection and reads one line.
async fn ask(plan: &QueryPlan, target: &str, endpoint: &Endpoint) -> Result<Answer, Failure> {
    let started = Instant::now();
    let dialer = Dialer {
        family: Family::Any,
        source: None,
        interface: None,
        timeout: plan.timeout,
    };
    let connection = connect::connect(&dialer, endpoint).await.map_err(|error| {
        let is_timeout = matches!(error, ConnectError::TimedOut { .. });
        let failure = error.into_failure(target);
        if is_timeout {
            failure.hint(
                "is the board powered and this computer on its network? for a slow network \
                     raise --timeout",
            )
        } else {
            failure
        }
    })?;
    let failure = |kind, what: String| {
        let shown = crate::sanitize::one_line(target);
        Failure::new(kind, format!("{shown}: {what}")).about(target)
    };
    let mut stream = connection.stream;
    let exchange = exchange::line(&mut stream, plan.request, MAX_LINE);
    let left = plan.timeout.saturating_sub(started.elapsed());
    let line = match timeout(left, exchange).await {
        Ok(Ok(line)) => line,
        Ok(Err(error)) => {
            return Err(failure(
                Kind::Broken,
                format!("connection broken: {}", reason(&error)),
            ));
        }
        Err(_) => {
            let limit = crate::output::human::time(plan.timeout);
            return Err(failure(Kind::Timeout, format!("no reply within {limit}")));
        }
    };
    if line.is_empty() {
        return Err(failure(Kind::Negative, "closed without a reply".to_owned()));
    }
    let line = String::from_utf8_lossy(&line);
    Ok(Answer {
        line: line.trim_end_matches(['\r', '\n']).to_owned(),
        address: connection.address,
        round_trip: started.elapsed(),
    })
}

/// The failure of a server with an unexpected reply.
pub fn not_an_answer(target: &str, request: &str) -> Failure {
    let shown = crate::sanitize::one_line(target);
    Failure::new(
        Kind::Negative,
        format!("{shown}: the reply is not an answer to `{request}`"),
    )
    .about(target)
    .hint("it needs the firmware of tcpctl, with the setting status on")
}
