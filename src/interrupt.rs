//! SIGINT (Ctrl-C) and SIGTERM as a future or as a flag.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::watch;

use crate::exit::Exit;

/// A shutdown request, shared by all tasks of a command.
///
/// The first signal makes [`Interrupt::requested`] ready for every task and for good. The second
/// ends the process at once (see [`crate::sys`]).
#[derive(Debug, Clone)]
pub struct Interrupt {
    state: watch::Receiver<Option<Exit>>,
}

impl Interrupt {
    /// Installs the handlers of SIGINT and SIGTERM. Call it once, inside the runtime.
    ///
    /// # Errors
    /// The system refuses.
    pub fn install() -> io::Result<Self> {
        let (sender, state) = watch::channel(None);
        #[cfg(unix)]
        {
            use tokio::io::AsyncReadExt;
            let signals = crate::sys::signals::install()?;
            let mut signals = tokio::net::UnixStream::from_std(signals)?;
            tokio::spawn(async move {
                if let Ok(signal) = signals.read_u8().await {
                    let _ = sender.send(Some(exit_of(signal.into())));
                }
            });
        }
        #[cfg(not(unix))]
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                let _ = sender.send(Some(Exit::Interrupted));
                let _ = tokio::signal::ctrl_c().await;
                std::process::exit(Exit::Interrupted.code().into());
            }
        });
        Ok(Self { state })
    }

    /// Waits for the first signal and returns its exit code.
    pub async fn requested(&self) -> Exit {
        let mut state = self.state.clone();
        let requested = state.wait_for(Option::is_some).await;
        match requested.ok().and_then(|exit| *exit) {
            Some(exit) => exit,
            // The sender no longer exists, so no signal can arrive.
            None => std::future::pending().await,
        }
    }

    /// The exit code of a signal that has arrived.
    pub fn already(&self) -> Option<Exit> {
        // The watch may not have been updated yet.
        signal_exit().or(*self.state.borrow())
    }

    /// Runs `work`, which may block forever, on its own thread, and waits for its result or for a
    /// signal. After a signal the thread ends with the process.
    ///
    /// # Errors
    /// The exit code that the signal asks for.
    pub async fn or_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Exit> {
        let work = tokio::task::spawn_blocking(work);
        tokio::select! {
            biased;
            exit = self.requested() => Err(exit),
            done = work => match done {
                Ok(done) => Ok(done),
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            },
        }
    }
}

/// Makes signals end the process with their exit code until [`Interrupt`] or [`Stop`] is installed.
pub fn exit_by_default() {
    #[cfg(unix)]
    crate::sys::signals::exit_by_default();
}

/// The exit code of a signal that has arrived, if a handler is installed. Always `None` on systems
/// without signals.
pub fn signal_exit() -> Option<Exit> {
    #[cfg(unix)]
    let signal = crate::sys::signals::first();
    #[cfg(not(unix))]
    let signal: Option<i32> = None;
    signal.map(exit_of)
}

fn exit_of(signal: i32) -> Exit {
    match signal {
        SIGTERM => Exit::Terminated,
        _ => Exit::Interrupted,
    }
}

const SIGTERM: i32 = 15;

/// Shutdown flag, polled by commands that run without a tokio runtime.
///
/// The second signal ends the process at once, as with [`Interrupt`].
#[derive(Debug)]
pub struct Stop {
    flag: Arc<AtomicBool>,
    #[cfg(not(unix))]
    exit: Arc<std::sync::atomic::AtomicU8>,
}

impl Stop {
    /// Installs the handlers of SIGINT and SIGTERM. Call it once.
    ///
    /// If the system refuses, signals end the process as by default.
    #[cfg(unix)]
    pub fn install() -> Self {
        let flag = Arc::new(AtomicBool::new(false));
        let _ = crate::sys::signals::install_flag(Arc::clone(&flag));
        Self { flag }
    }

    /// Installs the handler of Ctrl-C. Call it once.
    #[cfg(not(unix))]
    pub fn install() -> Self {
        use std::sync::atomic::Ordering;
        let stop = Self {
            flag: Arc::default(),
            exit: Arc::default(),
        };
        let (flag, exit) = (Arc::clone(&stop.flag), Arc::clone(&stop.exit));
        // Without this thread Ctrl-C ends the process as by default.
        let _ = std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                let _ = crate::runtime::block_on(async {
                    let requested = Interrupt::install()?.requested().await;
                    exit.store(requested.code(), Ordering::Relaxed);
                    flag.store(true, Ordering::Relaxed);
                    io::Result::Ok(())
                });
            });
        stop
    }

    /// The flag that the first signal sets.
    pub fn flag(&self) -> &Arc<AtomicBool> {
        &self.flag
    }

    /// The exit code of a signal that has arrived.
    pub fn already(&self) -> Option<Exit> {
        #[cfg(unix)]
        let exit = signal_exit();
        #[cfg(not(unix))]
        let exit = match self.exit.load(std::sync::atomic::Ordering::Relaxed) {
            0 => None,
            _ => Some(Exit::Interrupted),
        };
        exit
    }
}
