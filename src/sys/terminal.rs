//! Terminal modes: hidden input and single keys.

use std::io;
#[cfg(unix)]
use std::sync::atomic::Ordering;

/// Shows `prompt` on standard error and reads a line from the terminal without echo. Blocks until the
/// line is complete.
///
/// # Errors
/// Ctrl-C or Ctrl-D instead of a line, or standard input is not a terminal.
#[cfg(unix)]
pub fn read_hidden(prompt: &str) -> io::Result<String> {
    use std::io::{Read, Write};

    let mut error = io::stderr();
    error.write_all(prompt.as_bytes())?;
    let hidden = Hidden::new()?;
    let mut line = Vec::new();
    let mut byte = [0];
    let ended = loop {
        if io::stdin().lock().read(&mut byte)? == 0 {
            break Err(io::Error::other("no input"));
        }
        match byte[0] {
            b'\n' | b'\r' => break Ok(()),
            // Ctrl-C and Ctrl-D are plain bytes while signals and line editing are off.
            0x03 => {
                drop(hidden);
                let _ = error.write_all(b"\n");
                // SAFETY: sends this process a signal; the terminal is already restored.
                unsafe { libc::raise(libc::SIGINT) };
                return Err(io::ErrorKind::Interrupted.into());
            }
            0x04 => break Err(io::Error::other("no input")),
            // Backspace; Ctrl-U for the whole line.
            0x08 | 0x7f => {
                line.pop();
            }
            0x15 => line.clear(),
            other => line.push(other),
        }
    };
    drop(hidden);
    error.write_all(b"\n")?;
    ended?;
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// The terminal without echo, line editing and signals. Restored on drop, or before a signal ends the
/// process.
#[cfg(unix)]
struct Hidden {
    // Fields are dropped in this order, so that a signal in between finds the terminal restored.
    _modes: ChangedModes,
    _signals: RestoringSignals,
}

/// Handlers for signals that end the process by default: they restore the terminal first. Removed on
/// drop.
#[cfg(unix)]
struct RestoringSignals(Vec<libc::c_int>);

#[cfg(unix)]
impl Hidden {
    fn new() -> io::Result<Self> {
        // Signals are off, so that Ctrl-C cannot end the process and leave the terminal without
        // echo.
        let off = Modes {
            local: libc::ECHO | libc::ICANON | libc::ISIG,
            input: 0,
        };
        // The handlers come first: a signal right after the change restores the terminal, too.
        let signals = RestoringSignals::install();
        Ok(Self {
            _modes: ChangedModes::set(&off, libc::TCSAFLUSH)?,
            _signals: signals,
        })
    }
}

#[cfg(unix)]
impl RestoringSignals {
    fn install() -> Self {
        let mut replaced = Vec::new();
        for signal in [libc::SIGTERM, libc::SIGHUP, libc::SIGINT] {
            // SAFETY: the handler calls only what signal-safety(7) allows. An existing handler is kept.
            unsafe {
                let handler: extern "C" fn(libc::c_int) = restore_and_raise;
                match libc::signal(signal, handler as libc::sighandler_t) {
                    libc::SIG_DFL => replaced.push(signal),
                    libc::SIG_ERR => {}
                    other => {
                        libc::signal(signal, other);
                    }
                }
            }
        }
        Self(replaced)
    }
}

#[cfg(unix)]
impl Drop for RestoringSignals {
    fn drop(&mut self) {
        for signal in &self.0 {
            // SAFETY: the default action touches no memory of ours.
            unsafe { libc::signal(*signal, libc::SIG_DFL) };
        }
    }
}

/// Restores the terminal and ends the process by the signal.
#[cfg(unix)]
extern "C" fn restore_and_raise(signal: libc::c_int) {
    restore();
    // SAFETY: both are async-signal-safe. The signal is blocked until this returns.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

/// Terminal modes to turn off.
#[cfg(unix)]
struct Modes {
    local: libc::tcflag_t,
    input: libc::tcflag_t,
}

/// Changed modes of the terminal, restored on drop.
#[cfg(unix)]
#[derive(Debug)]
struct ChangedModes;

#[cfg(unix)]
mod saved {
    use std::cell::UnsafeCell;
    use std::mem::MaybeUninit;
    use std::sync::atomic::AtomicBool;

    /// The original modes, restored at exits without a drop.
    pub(super) struct Saved {
        pub(super) is_known: AtomicBool,
        pub(super) value: UnsafeCell<MaybeUninit<libc::termios>>,
    }

    // SAFETY: the value is written only while `is_known` is false, and read only while it is true.
    unsafe impl Sync for Saved {}

    pub(super) static SAVED: Saved = Saved {
        is_known: AtomicBool::new(false),
        value: UnsafeCell::new(MaybeUninit::uninit()),
    };
}

#[cfg(unix)]
impl ChangedModes {
    /// Turns modes off. Only one change at a time.
    fn set(modes: &Modes, when: libc::c_int) -> io::Result<Self> {
        // SAFETY: an all-zero termios is a valid value of the type.
        let mut before: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: the descriptor is standard input, and `before` outlives the call.
        if unsafe { libc::tcgetattr(libc::STDIN_FILENO, &raw mut before) } < 0 {
            return Err(io::Error::last_os_error());
        }
        if saved::SAVED.is_known.load(Ordering::Acquire) {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        // SAFETY: it is not read while it is unknown, and only written here.
        unsafe { (*saved::SAVED.value.get()).write(before) };
        saved::SAVED.is_known.store(true, Ordering::Release);
        let changed = Self;
        let mut now = before;
        now.c_lflag &= !modes.local;
        now.c_iflag &= !modes.input;
        // SAFETY: as above.
        if unsafe { libc::tcsetattr(libc::STDIN_FILENO, when, &raw const now) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(changed)
    }
}

#[cfg(unix)]
impl Drop for ChangedModes {
    fn drop(&mut self) {
        restore();
        saved::SAVED.is_known.store(false, Ordering::Release);
    }
}

/// Restores the terminal if this program has changed it. Safe in a signal handler.
#[cfg(unix)]
pub(super) fn restore() {
    if saved::SAVED.is_known.load(Ordering::Acquire) {
        // SAFETY: it is known and therefore written; tcsetattr is async-signal-safe.
        unsafe {
            let before = (*saved::SAVED.value.get()).as_ptr();
            libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, before);
        }
    }
}

/// Shows `prompt` and reads a line from the console without echo.
///
/// # Errors
/// No console, or no line.
#[cfg(windows)]
pub fn read_hidden(prompt: &str) -> io::Result<String> {
    use std::io::Write;

    io::stderr().write_all(prompt.as_bytes())?;
    console::Term::stderr().read_secure_line()
}

/// Whether the terminal of a stream understands escape sequences. On a Windows console this turns them on.
pub fn has_escape_sequences(stream: Stream) -> bool {
    #[cfg(windows)]
    {
        let terminal = match stream {
            Stream::Output => console::Term::stdout(),
            Stream::Error => console::Term::stderr(),
        };
        terminal.features().colors_supported()
    }
    #[cfg(not(windows))]
    {
        let _ = stream;
        true
    }
}

/// A standard output stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// The terminal without echo, line editing and signals, so that every key, Ctrl-C included, can be
/// read as it is typed. Ctrl-S and Ctrl-Q still stop and start the output. Restored on drop.
#[derive(Debug)]
pub struct Keyboard {
    #[cfg(unix)]
    _modes: ChangedModes,
}

impl Keyboard {
    /// Changes the terminal.
    ///
    /// # Errors
    /// Standard input is not a terminal.
    pub fn take() -> io::Result<Self> {
        #[cfg(unix)]
        {
            let off = Modes {
                local: libc::ECHO | libc::ICANON | libc::ISIG | libc::IEXTEN,
                // Enter sends CR, as serial consoles expect.
                input: libc::ICRNL,
            };
            Ok(Self {
                _modes: ChangedModes::set(&off, libc::TCSANOW)?,
            })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }
}
