//! The clock of virtual boards: an `embassy-time` driver for the host, and its executor.
//!
//! One thread runs one board ([`block_on`]). Timers are thread-local, so boards share nothing and an
//! idle board sleeps until its next timer or frame. (`embassy-time`'s own host driver does not link
//! without embassy's executor, and its fixed-size queue spins once it is full.)
//!
//! [`simulate`] and [`Simulation`] run the same code in simulated time: when nothing can proceed, the
//! clock jumps to the next timer. Tests of timeouts need no sleep.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use embassy_time::{Duration, Instant};

/// Parks a board's thread while it is idle.
pub trait Park {
    /// A function that wakes the thread from [`Park::park`]; callable from any thread.
    fn unparker(&self) -> Box<dyn Fn() + Send + Sync>;

    /// Blocks until the unparker is called or `until` is reached. It may return early.
    fn park(&mut self, until: Option<Instant>);
}

/// Parks with the standard library.
#[derive(Debug)]
pub struct ThreadPark(Thread);

impl ThreadPark {
    /// Parks the current thread.
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

/// Time from now until `then`; zero if it has passed.
pub fn until_then(then: Instant) -> std::time::Duration {
    then.checked_duration_since(Instant::now())
        .map_or(std::time::Duration::ZERO, Into::into)
}

/// Runs a future on this thread in real time. Blocks until it is done.
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
/// Everything the future waits for must happen on this thread.
///
/// # Panics
/// The future waits although no timer is set.
pub fn simulate<F: Future>(future: F) -> F::Output {
    let signal = Arc::new(Signal {
        woken: AtomicBool::new(true),
        parked: AtomicBool::new(false),
        unpark: Box::new(|| ()),
    });
    start_simulation();
    let output = run(&signal, future, |until| {
        if !signal.woken.load(Ordering::SeqCst) {
            let until = until.expect("the simulation waits without a timer");
            SIMULATED.set(Some(until.as_ticks()));
        }
    });
    SIMULATED.set(None);
    output
}

fn start_simulation() {
    let before = SIMULATED.replace(Some(0));
    assert!(before.is_none(), "a simulation already runs on this thread");
}

/// A future in simulated time beside code that is not a future: [`Park::park`] runs it until
/// something happens for that code. The clock of this thread is simulated until this is dropped.
pub struct Simulation {
    /// `None` before it starts and once it is done.
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    /// Signal that wakes the future.
    signal: Arc<Signal>,
    /// Whether the other code was unparked.
    unparked: Arc<AtomicBool>,
}

impl Simulation {
    /// Starts the simulated clock at zero.
    ///
    /// # Panics
    /// Another simulation runs on this thread.
    pub fn new() -> Self {
        start_simulation();
        Self {
            future: None,
            signal: Arc::new(Signal {
                woken: AtomicBool::new(true),
                parked: AtomicBool::new(false),
                unpark: Box::new(|| ()),
            }),
            unparked: Arc::new(AtomicBool::new(false)),
        }
    }

    /// The future to run.
    pub fn run(&mut self, future: impl Future<Output = ()> + 'static) {
        self.future = Some(Box::pin(future));
    }

    /// Runs the future to its end.
    pub fn finish(&mut self) {
        while self.future.is_some() {
            self.proceed(None);
        }
    }

    /// Polls the future if it was woken; otherwise moves the clock to its next timer, or to `until`
    /// if that is earlier.
    fn proceed(&mut self, until: Option<Instant>) {
        TIMERS.with(|timers| Timers::fire(timers, Instant::now()));
        if !self.signal.woken.swap(false, Ordering::SeqCst) {
            let timer = TIMERS.with_borrow(Timers::next);
            let next = timer.into_iter().chain(until).min();
            let next = next.expect("the simulation waits without a timer");
            SIMULATED.set(Some(next.max(Instant::now()).as_ticks()));
            return;
        }
        let waker = Waker::from(Arc::clone(&self.signal));
        let mut context = Context::from_waker(&waker);
        if let Some(future) = &mut self.future
            && future.as_mut().poll(&mut context).is_ready()
        {
            self.future = None;
        }
    }
}

impl Default for Simulation {
    fn default() -> Self {
        Self::new()
    }
}

impl Park for Simulation {
    fn unparker(&self) -> Box<dyn Fn() + Send + Sync> {
        let unparked = Arc::clone(&self.unparked);
        Box::new(move || unparked.store(true, Ordering::SeqCst))
    }

    fn park(&mut self, until: Option<Instant>) {
        loop {
            let is_idle = !self.signal.woken.load(Ordering::SeqCst);
            if is_idle && self.unparked.swap(false, Ordering::SeqCst) {
                return;
            }
            if is_idle && until.is_some_and(|until| until <= Instant::now()) {
                return;
            }
            self.proceed(until);
        }
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        // The future's timers end with it.
        self.future = None;
        TIMERS.with_borrow_mut(|timers| timers.0.clear());
        SIMULATED.set(None);
    }
}

/// Polls `future` when it is woken, else calls `wait` with the next timer.
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

/// Wakes the thread that runs a future.
struct Signal {
    woken: AtomicBool,
    /// Avoids the system call while the thread is awake.
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
    /// Simulated time in ticks, during [`simulate`].
    static SIMULATED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// The timers of one thread. Per waker only the earliest is kept, because a future sets later ones
/// again when it is polled.
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

    /// Wakes all due timers. The list is not borrowed meanwhile, because a waker may set a timer.
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
/// [`Waker::will_wake`] also compares function addresses, which the compiler may duplicate. The
/// address of the task is enough.
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
            // Overflows after half a million years.
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

/// Converts a duration to whole microseconds, rounded up so that no delay becomes zero.
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
    fn simulated_timers_fire_in_order() {
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
    #[should_panic(expected = "waits without a timer")]
    fn simulation_without_timer_panics() {
        simulate(std::future::pending::<()>());
    }

    #[test]
    fn real_timers_are_never_early() {
        let before = std::time::Instant::now();
        block_on(&mut ThreadPark::new(), Timer::after_millis(5));
        assert!(before.elapsed() >= std::time::Duration::from_millis(5));
    }

    #[test]
    fn other_threads_wake_a_parked_board() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let other = thread::spawn(move || sender.send(7).expect("the board waits"));
        assert_eq!(block_on(&mut ThreadPark::new(), receiver), Ok(7));
        other.join().expect("the sender ran");
    }

    #[test]
    fn timers_end_with_their_future() {
        block_on(&mut ThreadPark::new(), async {
            let never = std::future::pending::<()>();
            assert!(with_timeout(Duration::from_micros(1), never).await.is_err());
            // The timer is set, and dropped with the future.
            let _ = with_timeout(Duration::from_secs(3600), async {}).await;
        });
        assert!(TIMERS.with_borrow(|timers| timers.0.is_empty()));
    }

    #[test]
    fn each_waker_has_one_timer() {
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
