//! `tcpctl discover`.

use std::cell::RefCell;
use std::time::{Duration, Instant, SystemTime};

use super::cache::{Cache, Remembered};
use super::hints;
use super::plan::{Ending, Plan};
use super::probe;
use super::report::{DiscoverReport, Event, Status};
use super::session::{Found, Session};
use crate::cli::DiscoverArgs;
use crate::discover::text::Listing;
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::interrupt::Interrupt;
use crate::output::{BrokenPipe, Output, human};
use crate::sys;

/// How often a watch writes what it has seen for other commands.
const REMEMBER: Duration = Duration::from_secs(1);

/// A probe that takes longer is announced as that.
const PATIENT: Duration = Duration::from_secs(10);
/// How often a watch looks at the size of the terminal, and whether the pipe is read at all.
const LOOK: Duration = Duration::from_millis(250);

/// Looks for boards, and tells of each.
///
/// # Errors
/// Options that can't be, nothing found, and a standard output that can't be written.
pub fn run(args: &DiscoverArgs, output: &Output) -> anyhow::Result<Exit> {
    let cache = Cache::of_user();
    if args.names {
        return output
            .names(&cache.names(SystemTime::now()))
            .map(|()| Exit::Done);
    }
    let plan = Plan::new(args, output.is_verbose())?;
    if let Some(network) = plan.probe {
        let long = probe::duration(network);
        if long > PATIENT {
            let about = human::roughly(long);
            output.note(&format!("--probe takes about {about} here; Ctrl-C ends it"));
        }
    }
    let is_watch = plan.ending == Ending::Never;
    let listing = RefCell::new(output.listing(is_watch)?);
    let mut memory = Memory::new(cache);
    let found = crate::runtime::block_on(async {
        let interrupt = Interrupt::install()
            .map_err(|error| Failure::new(Kind::Internal, format!("signals: {error}")))?;
        let told = |event: &DiscoverReport| {
            memory.take(event);
            listing.borrow_mut().tell(event)
        };
        let terminal = async {
            loop {
                tokio::time::sleep(LOOK).await;
                if sys::is_stdout_closed() {
                    return Err(BrokenPipe.into());
                }
                listing.borrow_mut().look_at_terminal()?;
            }
        };
        tokio::select! {
            found = Session::new(&plan).run(Some(&interrupt), told) => found,
            halt = terminal, if is_watch => halt,
        }
    })?;
    memory.write();
    if matches!(&found, Ok(found) if found.interrupted.is_some()) {
        output.interrupted();
    }
    let found = finish(listing.into_inner(), found)?;
    for problem in &found.circumstances.problems {
        output.detail(|| problem.clone());
    }
    if plan.ending == Ending::Never {
        return Ok(Exit::Done);
    }
    if let Some(exit) = found.interrupted {
        return Ok(exit);
    }
    let expected = args
        .expect_count
        .map_or(1, |count| usize::from(count.get()));
    if found.count >= expected {
        return Ok(Exit::Done);
    }
    Err(none(&plan, expected, &found).into())
}

/// Shows what the listing has kept for the end, unless nothing more can be shown.
fn finish(listing: Listing<'_>, found: anyhow::Result<Found>) -> anyhow::Result<Found> {
    let found = found?;
    listing.finish()?;
    Ok(found)
}

fn none(plan: &Plan, expected: usize, found: &Found) -> Failure {
    let message = match (found.count, expected) {
        (0, 1) => "no board was found".to_owned(),
        (count, expected) => format!(
            "{} found, {expected} expected",
            match count {
                1 => "1 board was".to_owned(),
                count => format!("{} were", human::count(count as u64, "board")),
            }
        ),
    };
    let failure = Failure::new(Kind::Negative, message);
    if found.count > 0 {
        return failure.hint("are all of them on? --timeout 10s gives them longer");
    }
    failure.hint(hints::hints(plan, &found.circumstances).join("; "))
}

/// What other commands are to know of this search.
struct Memory {
    cache: Cache,
    seen: Vec<Remembered>,
    written: Instant,
}

impl Memory {
    fn new(cache: Cache) -> Self {
        Self {
            cache,
            seen: Vec::new(),
            written: Instant::now(),
        }
    }

    fn take(&mut self, event: &DiscoverReport) {
        let online = event.board.status == Status::Online;
        if event.event != Event::Lost && online {
            let now = SystemTime::now();
            self.seen.extend(Remembered::of(&event.board, now));
        }
        if self.written.elapsed() >= REMEMBER {
            self.write();
        }
        if event.event == Event::Lost
            && let Some(name) = &event.board.name
        {
            self.write();
            self.cache.forget(name);
        }
    }

    fn write(&mut self) {
        self.written = Instant::now();
        let mut seen = std::mem::take(&mut self.seen);
        if !seen.is_empty() {
            // Of the events of one board the last counts.
            seen.reverse();
            self.cache.remember(seen, SystemTime::now());
        }
    }
}
