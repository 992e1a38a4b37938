//! Ctrl-C and SIGTERM, as something to wait for.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::watch;

use crate::exit::Exit;

/// The request to end, shared by all that a command does at a time.
///
/// The first signal makes [`Interrupt::requested`] ready for everyone and for good; the second
/// ends the process at once (see [`crate::sys`], also for what is a second one).
#[derive(Debug, Clone)]
pub struct Interrupt {
    state: watch::Receiver<Option<Exit>>,
}

impl Interrupt {
    /// Takes over SIGINT and SIGTERM. To be called once, inside the runtime.
    pub fn install() -> io::Result<Self> {
        let (sender, state) = watch::channel(None);
        #[cfg(unix)]
        {
            use tokio::io::AsyncReadExt;
            let signals = crate::sys::signals::install()?;
            let mut signals = tokio::net::UnixStream::from_std(signals)?;
            tokio::spawn(async move {
                if let Ok(signal) = signals.read_u8().await {
                    let exit = match i32::from(signal) {
                        libc::SIGTERM => Exit::Terminated,
                        _ => Exit::Interrupted,
                    };
                    let _ = sender.send(Some(exit));
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

    /// Waits for the request to end, and returns how the command is to end; at once if it has
    /// come already.
    pub async fn requested(&self) -> Exit {
        let mut state = self.state.clone();
        let requested = state.wait_for(Option::is_some).await;
        match requested.ok().and_then(|exit| *exit) {
            Some(exit) => exit,
            // The sender is gone without a word: no signal can come any more.
            None => std::future::pending().await,
        }
    }

    /// How the command is to end, if that was asked already.
    pub fn already(&self) -> Option<Exit> {
        *self.state.borrow()
    }
}

/// The request to end, for a command that waits on no runtime: it looks now and then.
///
/// The second signal ends the process at once, as with [`Interrupt`].
#[derive(Debug)]
pub struct Stop {
    flag: Arc<AtomicBool>,
    #[cfg(not(unix))]
    exit: Arc<std::sync::atomic::AtomicU8>,
}

impl Stop {
    /// Takes over SIGINT and SIGTERM. To be called once.
    ///
    /// Where the system does not let it, a signal ends the process as it does any other: that is no
    /// reason not to go on.
    #[cfg(unix)]
    pub fn install() -> Self {
        let flag = Arc::new(AtomicBool::new(false));
        let _ = crate::sys::signals::install_flag(Arc::clone(&flag));
        Self { flag }
    }

    /// Takes over Ctrl-C. To be called once.
    #[cfg(not(unix))]
    pub fn install() -> Self {
        use std::sync::atomic::Ordering;
        let stop = Self {
            flag: Arc::default(),
            exit: Arc::default(),
        };
        let (flag, exit) = (Arc::clone(&stop.flag), Arc::clone(&stop.exit));
        // Without this thread Ctrl-C ends the process: that is no reason not to go on.
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

    /// What is set as soon as a signal has come.
    pub fn flag(&self) -> &Arc<AtomicBool> {
        &self.flag
    }

    /// How the command is to end, if that was asked.
    pub fn already(&self) -> Option<Exit> {
        #[cfg(unix)]
        let exit = crate::sys::signals::first().map(|signal| match signal {
            libc::SIGTERM => Exit::Terminated,
            _ => Exit::Interrupted,
        });
        #[cfg(not(unix))]
        let exit = match self.exit.load(std::sync::atomic::Ordering::Relaxed) {
            0 => None,
            _ => Some(Exit::Interrupted),
        };
        exit
    }
}
