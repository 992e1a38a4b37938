//! `tcpctl discover`.

use std::cell::RefCell;
use std::convert::Infallible;
use std::time::{Duration, Instant, SystemTime};

use super::cache::{Cache, CachedBoard};
use super::hints;
use super::plan::{DiscoverPlan, Ending, SerialPorts};
use super::probe;
use super::report::{DiscoverReport, Event, NamesReport, Status};
use super::session::{SearchResult, Session};
use super::text::{Listing, searching};
use crate::cli::DiscoverArgs;
use crate::exit::Exit;
use crate::failure::{Failure, Kind, reason};
use crate::interrupt::Interrupt;
use crate::output::{BrokenPipe, Output, human};
use crate::sys;

/// How often a watch writes the cache.
const CACHE_INTERVAL: Duration = Duration::from_secs(1);
/// The duration of a probe above which a note is printed.
const LONG_PROBE: Duration = Duration::from_secs(10);
/// How often the status line of a search is updated.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);
/// How often a watch checks the size of the terminal, and whether the pipe is still open.
const TERMINAL_INTERVAL: Duration = Duration::from_millis(250);

/// Lists boards.
///
/// # Errors
/// Invalid options, nothing found, or standard output cannot be written.
pub fn run(args: &DiscoverArgs, output: &Output) -> anyhow::Result<Exit> {
    let cache = Cache::for_user();
    if args.names {
        output.print(&NamesReport::new(cache.names(SystemTime::now())))?;
        return Ok(Exit::Done);
    }
    let ports = if output.is_verbose() {
        SerialPorts::All
    } else {
        SerialPorts::Boards
    };
    let plan = DiscoverPlan::new(args, ports)?;
    if let Some(network) = plan.probe {
        let long = probe::duration(network);
        if long > LONG_PROBE {
            let about = human::roughly(long);
            output.note(&format!("--probe takes about {about}, Ctrl-C ends it"));
        }
    }
    let is_watch = plan.ending == Ending::Never;
    let mut writer = CacheWriter::new(cache);
    let (listing, found) = crate::runtime::block_on(async {
        let interrupt = Interrupt::install().map_err(|error| {
            Failure::new(
                Kind::Internal,
                format!("cannot handle signals: {}", reason(&error)),
            )
        })?;
        let listing = RefCell::new(Listing::new(output, plan.ending)?);
        let emit = |event: &DiscoverReport| {
            writer.take(event);
            listing.borrow_mut().print(event)
        };
        let terminal = async {
            loop {
                tokio::time::sleep(TERMINAL_INTERVAL).await;
                if sys::is_stdout_closed() {
                    return Err(BrokenPipe.into());
                }
                listing.borrow_mut().redraw_if_resized()?;
            }
        };
        let found = tokio::select! {
            found = Session::new(&plan).run(Some(&interrupt), emit) => found,
            failed = terminal, if is_watch => failed,
            never = show_progress(output, &plan), if !is_watch => match never {},
        };
        output.end_status();
        anyhow::Ok((listing.into_inner(), found))
    })??;
    writer.write();
    if matches!(&found, Ok(found) if found.interrupted.is_some()) {
        output.interrupted();
    }
    let found = finish(listing, found)?;
    for problem in &found.diagnostics.problems {
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
    Err(not_found(&plan, expected, &found).into())
}

/// Shows the elapsed time of the search on a terminal.
async fn show_progress(output: &Output, plan: &DiscoverPlan) -> Infallible {
    let timeout = match plan.ending {
        Ending::After { timeout, .. } => timeout,
        Ending::Never => Duration::ZERO,
    };
    let probe = plan.probe.map_or(Duration::ZERO, probe::duration);
    let begin = Instant::now();
    loop {
        output.status(&searching(begin.elapsed(), timeout.max(probe)));
        tokio::time::sleep(PROGRESS_INTERVAL).await;
    }
}

/// Prints the rest of the listing, unless printing failed.
fn finish(
    listing: Listing<'_>,
    found: anyhow::Result<SearchResult>,
) -> anyhow::Result<SearchResult> {
    let found = found?;
    listing.finish()?;
    Ok(found)
}

fn not_found(plan: &DiscoverPlan, expected: usize, found: &SearchResult) -> Failure {
    let message = match (found.count, expected) {
        (0, 1) => "no board found".to_owned(),
        (count, expected) => {
            let count = human::count(count as u64, "board");
            format!("{count} found, {expected} expected")
        }
    };
    let failure = Failure::new(Kind::Negative, message);
    if found.count > 0 {
        return failure.hint("check that all boards are on, or wait longer with --timeout 10s");
    }
    let hints = hints::hints(plan, &found.diagnostics);
    let sentences = hints.iter().enumerate().map(|(at, hint)| {
        let (first, rest) = hint.split_at_checked(1).unwrap_or((hint, ""));
        if at == 0 {
            hint.clone()
        } else {
            first.to_uppercase() + rest
        }
    });
    failure.hint(sentences.collect::<Vec<_>>().join(". "))
}

/// Writes the boards of this search to the cache.
struct CacheWriter {
    cache: Cache,
    seen: Vec<CachedBoard>,
    written: Instant,
}

impl CacheWriter {
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
            self.seen.extend(CachedBoard::new(&event.board, now));
        }
        if self.written.elapsed() >= CACHE_INTERVAL {
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
            // Of several events of a board, the last one counts.
            seen.reverse();
            self.cache.store(seen, SystemTime::now());
        }
    }
}
