//! The virtual boards' clock: `embassy-time`'s driver on a host, and the executor that goes with it.
//!
//! One thread runs one board ([`block_on`]). Timers live in the thread that set them, so boards
//! share nothing, their number is unbounded, and a board with nothing to do sleeps until its next
//! timer or frame. (`embassy-time`'s own host driver does not link without embassy's executor,
//! and its fixed-size queue spins once it is full.)
//!
//! [`simulate`] runs the same code in simulated time: whenever nothing can go on, the clock jumps
//! to the next timer. A test of a five-second timeout takes microseconds, and no sleep.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use embassy_time::{Duration, Instant};

/// Where a board's thread sleeps when it has nothing to do.
pub trait Park {
    /// What wakes the thread from [`Park::park`], from any thread.
    fn unparker(&self) -> Box<dyn Fn() + Send + Sync>;

    /// Blocks until the unparker is called or `until` has come, whichever is first. Returning
    /// early for no reason is permitted.
    fn park(&mut self, until: Option<Instant>);
}

/// Sleeps by the standard library's means.
#[derive(Debug)]
pub struct ThreadPark(Thread);

impl ThreadPark {
    /// For the current thread.
    pub fn new() -> Self {
        Self(thread::current())
    }
}

impl Default for ThreadPark {
    fn default() -> Self {
        Self::new()
    }
}

impl Park for ThreadPark {
    fn unparker(&self) -> Box<dyn Fn() + Send + Sync> {
        let thread = self.0.clone();
        Box::new(move || thread.unpark())
    }

    fn park(&mut self, until: Option<Instant>) {
        match until {
            None => thread::park(),
            Some(until) => thread::park_timeout(until_then(until)),
        }
    }
}

/// How long it is from now to `then`; zero when it has passed.
pub fn until_then(then: Instant) -> std::time::Duration {
    then.checked_duration_since(Instant::now())
        .map_or(std::time::Duration::ZERO, Into::into)
}

/// Runs a future on this thread in real time, with this clock's timers. Blocks until it is done.
pub fn block_on<F: Future>(park: &mut impl Park, future: F) -> F::Output {
    let signal = Arc::new(Signal {
        woken: AtomicBool::new(true),
        parked: AtomicBool::new(false),
        unpark: park.unparker(),
    });
    run(&signal, future, |until| {
        signal.parked.store(true, Ordering::SeqCst);
        if !signal.woken.load(Ordering::SeqCst) {
            park.park(until);
        }
        signal.parked.store(false, Ordering::SeqCst);
    })
}

/// Runs a future on this thread in simulated time, which starts at zero.
///
/// All that the future waits for must happen on this thread.
///
/// # Panics
/// When the future waits and no timer is set: it would wait for ever.
pub fn simulate<F: Future>(future: F) -> F::Output {
    let signal = Arc::new(Signal {
        woken: AtomicBool::new(true),
        parked: AtomicBool::new(false),
        unpark: Box::new(|| ()),
    });
    let before = SIMULATED.replace(Some(0));
    assert!(before.is_none(), "one simulation at a time on a thread");
    let output = run(&signal, future, |until| {
        if !signal.woken.load(Ordering::SeqCst) {
            let until = until.expect("the simulation waits for something that can't come");
            SIMULATED.set(Some(until.as_ticks()));
        }
    });
    SIMULATED.set(None);
    output
}

/// Polls `future` whenever it was woken, and calls `wait` with the next timer when it was not.
fn run<F: Future>(
    signal: &Arc<Signal>,
    future: F,
    mut wait: impl FnMut(Option<Instant>),
) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::clone(signal));
    let mut context = Context::from_waker(&waker);
    loop {
        TIMERS.with(|timers| Timers::fire(timers, Instant::now()));
        if signal.woken.swap(false, Ordering::SeqCst) {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                TIMERS.with_borrow_mut(|timers| timers.0.clear());
                return output;
            }
        } else {
            wait(TIMERS.with_borrow(Timers::next));
        }
    }
}

/// Wakes the thread that runs a future, if it sleeps.
struct Signal {
    woken: AtomicBool,
    /// Spares the system call while the thread is at work.
    parked: AtomicBool,
    unpark: Box<dyn Fn() + Send + Sync>,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::SeqCst) && self.parked.load(Ordering::SeqCst) {
            (self.unpark)();
        }
    }
}

thread_local! {
    static TIMERS: RefCell<Timers> = const { RefCell::new(Timers(Vec::new())) };
    /// The simulated time in ticks, while this thread simulates.
    static SIMULATED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// The timers of one thread: at most one for each waker, the earliest that it asked for.
///
/// A future that is polled again asks again, so a later one that was forgotten comes back.
struct Timers(Vec<(Instant, Waker)>);

impl Timers {
    fn set(&mut self, at: Instant, waker: &Waker) {
        match self.0.iter_mut().find(|(_, known)| same(known, waker)) {
            Some((known, _)) => *known = at.min(*known),
            None => self.0.push((at, waker.clone())),
        }
    }

    fn next(&self) -> Option<Instant> {
        self.0.iter().map(|&(at, _)| at).min()
    }

    /// Wakes all that are due. The list is not borrowed while it wakes: a waker may set a timer.
    fn fire(timers: &RefCell<Self>, now: Instant) {
        let due: Vec<_> = timers
            .borrow_mut()
            .0
            .extract_if(.., |(at, _)| *at <= now)
            .collect();
        for (_, waker) in due {
            waker.wake();
        }
    }
}

/// Whether two wakers wake the same task.
///
/// [`Waker::will_wake`] compares the addresses of their functions too, and the compiler may make
/// several copies of those; a task's own address is enough where there is one.
fn same(one: &Waker, other: &Waker) -> bool {
    one.will_wake(other) || (!one.data().is_null() && one.data() == other.data())
}

/// The time driver: microseconds since the first use of the clock in this process.
struct Clock {
    start: OnceLock<std::time::Instant>,
}

impl embassy_time_driver::Driver for Clock {
    fn now(&self) -> u64 {
        SIMULATED.get().unwrap_or_else(|| {
            let start = self.start.get_or_init(std::time::Instant::now);
            // 2^64 microseconds are half a million years.
            u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
        })
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        TIMERS.with_borrow_mut(|timers| timers.set(Instant::from_ticks(at), waker));
    }
}

const _: () = assert!(
    embassy_time_driver::TICK_HZ == 1_000_000,
    "Clock counts microseconds"
);

embassy_time_driver::time_driver_impl!(static CLOCK: Clock = Clock { start: OnceLock::new() });

/// A duration of the standard library as one of the clock's: whole microseconds, rounded up, so
/// that a delay that was asked for is never none.
pub fn duration(duration: std::time::Duration) -> Duration {
    let micros = duration.as_nanos().div_ceil(1000);
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use embassy_time::{Timer, with_timeout};
    use futures_util::StreamExt;
    use futures_util::stream::FuturesUnordered;

    use super::*;

    #[test]
    fn simulated_hours_pass_at_once_and_in_order() {
        let before = std::time::Instant::now();
        let order = simulate(async {
            let timers: FuturesUnordered<_> = [3, 1, 2]
                .into_iter()
                .map(async |hours| {
                    Timer::after_secs(hours * 3600).await;
                    (hours, Instant::now().as_secs())
                })
                .collect();
            timers.collect::<Vec<_>>().await
        });
        assert_eq!(order, [(1, 3600), (2, 7200), (3, 10800)]);
        assert!(before.elapsed().as_secs() < 3600);
    }

    #[test]
    #[should_panic(expected = "waits for something that can't come")]
    fn a_simulation_that_can_never_end_says_so() {
        simulate(std::future::pending::<()>());
    }

    #[test]
    fn real_time_waits_at_least_as_long_as_asked() {
        let before = std::time::Instant::now();
        block_on(&mut ThreadPark::new(), Timer::after_millis(5));
        assert!(before.elapsed() >= std::time::Duration::from_millis(5));
    }

    #[test]
    fn another_thread_can_wake_a_sleeping_board() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let other = thread::spawn(move || sender.send(7).expect("the board waits"));
        assert_eq!(block_on(&mut ThreadPark::new(), receiver), Ok(7));
        other.join().expect("it has sent");
    }

    #[test]
    fn a_timer_of_one_round_does_not_outlive_it() {
        block_on(&mut ThreadPark::new(), async {
            let never = std::future::pending::<()>();
            assert!(with_timeout(Duration::from_micros(1), never).await.is_err());
            // Asked for, and dropped with the future.
            let _ = with_timeout(Duration::from_secs(3600), async {}).await;
        });
        assert!(TIMERS.with_borrow(|timers| timers.0.is_empty()));
    }

    #[test]
    fn a_thousand_timers_of_one_waker_take_one_place() {
        struct Nothing;
        impl Wake for Nothing {
            fn wake(self: Arc<Self>) {}
        }
        let waker = Waker::from(Arc::new(Nothing));
        let mut timers = Timers(Vec::new());
        for tick in (0..1000).rev() {
            timers.set(Instant::from_ticks(tick), &waker.clone());
        }
        assert_eq!(timers.0.len(), 1);
        assert_eq!(timers.next(), Some(Instant::from_ticks(0)));
    }
}
