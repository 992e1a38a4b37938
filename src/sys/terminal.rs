//! Reading from the terminal what must not be seen on it.

use std::io;
#[cfg(unix)]
use std::sync::atomic::Ordering;

/// Shows `prompt` on standard error and reads a line from the terminal that standard input is,
/// without showing what is typed. Waits for as long as it takes.
///
/// # Errors
/// Ctrl-C or Ctrl-D instead of a line, or no terminal.
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
            break Err(io::Error::other("none was given"));
        }
        match byte[0] {
            b'\n' | b'\r' => break Ok(()),
            // Ctrl-C and Ctrl-D: without signals and line editing they are bytes like any other.
            0x03 => {
                drop(hidden);
                let _ = error.write_all(b"\n");
                // SAFETY: it sends this process a signal; the terminal is as it was.
                unsafe { libc::raise(libc::SIGINT) };
                return Err(io::ErrorKind::Interrupted.into());
            }
            0x04 => break Err(io::Error::other("none was given")),
            // Backspace, and Ctrl-U for the whole line.
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

/// The terminal without echo, line editing and signals; as it was again when this is dropped, or
/// when a signal ends the process meanwhile.
#[cfg(unix)]
struct Hidden {
    // In this order: a signal that ends the process finds the terminal as it was.
    _changed: Changed,
    _deadly: Deadly,
}

/// Signals that would have ended the process at once; they do again when this is dropped.
#[cfg(unix)]
struct Deadly(Vec<libc::c_int>);

#[cfg(unix)]
impl Hidden {
    fn new() -> io::Result<Self> {
        // Without signals Ctrl-C can't end us and leave the terminal mute.
        let off = libc::ECHO | libc::ICANON | libc::ISIG;
        Ok(Self {
            _changed: Changed::without(off, libc::TCSAFLUSH)?,
            _deadly: Deadly::give_the_terminal_back_first(),
        })
    }
}

#[cfg(unix)]
impl Deadly {
    fn give_the_terminal_back_first() -> Self {
        let mut deadly = Vec::new();
        for signal in [libc::SIGTERM, libc::SIGHUP, libc::SIGINT] {
            // SAFETY: the handler calls only what signal-safety(7) allows. Who has a handler keeps it.
            unsafe {
                let handler: extern "C" fn(libc::c_int) = end;
                match libc::signal(signal, handler as libc::sighandler_t) {
                    libc::SIG_DFL => deadly.push(signal),
                    libc::SIG_ERR => {}
                    other => {
                        libc::signal(signal, other);
                    }
                }
            }
        }
        Self(deadly)
    }
}

#[cfg(unix)]
impl Drop for Deadly {
    fn drop(&mut self) {
        for signal in &self.0 {
            // SAFETY: the default action touches no memory of ours.
            unsafe { libc::signal(*signal, libc::SIG_DFL) };
        }
    }
}

/// Ends the process by a signal, and gives the terminal back before.
#[cfg(unix)]
extern "C" fn end(signal: libc::c_int) {
    restore();
    // SAFETY: both are async-signal-safe. The signal is blocked until this returns.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

/// A terminal that was changed; as it was again when this is dropped.
#[cfg(unix)]
#[derive(Debug)]
struct Changed;

#[cfg(unix)]
mod before {
    use std::cell::UnsafeCell;
    use std::mem::MaybeUninit;
    use std::sync::atomic::AtomicBool;

    /// What the terminal was like, for whoever ends the process without a drop.
    pub(super) struct Before {
        pub(super) is_known: AtomicBool,
        pub(super) value: UnsafeCell<MaybeUninit<libc::termios>>,
    }

    // SAFETY: the value is written only while `is_known` is false, and read only while it is true.
    unsafe impl Sync for Before {}

    pub(super) static BEFORE: Before = Before {
        is_known: AtomicBool::new(false),
        value: UnsafeCell::new(MaybeUninit::uninit()),
    };
}

#[cfg(unix)]
impl Changed {
    /// Turns local modes off. Only one change at a time.
    fn without(modes: libc::tcflag_t, when: libc::c_int) -> io::Result<Self> {
        // SAFETY: an all-zero termios is a valid value of the type.
        let mut before: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: the descriptor is standard input, and `before` outlives the call.
        if unsafe { libc::tcgetattr(libc::STDIN_FILENO, &raw mut before) } < 0 {
            return Err(io::Error::last_os_error());
        }
        if before::BEFORE.is_known.load(Ordering::Acquire) {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        // SAFETY: nobody reads it while it is not known; this is the only place that writes it.
        unsafe { (*before::BEFORE.value.get()).write(before) };
        before::BEFORE.is_known.store(true, Ordering::Release);
        let changed = Self;
        let mut now = before;
        now.c_lflag &= !modes;
        // SAFETY: as above.
        if unsafe { libc::tcsetattr(libc::STDIN_FILENO, when, &raw const now) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(changed)
    }
}

#[cfg(unix)]
impl Drop for Changed {
    fn drop(&mut self) {
        restore();
        before::BEFORE.is_known.store(false, Ordering::Release);
    }
}

/// Gives the terminal back as it was, if this program has changed it. Safe in a signal handler.
#[cfg(unix)]
pub(super) fn restore() {
    if before::BEFORE.is_known.load(Ordering::Acquire) {
        // SAFETY: it is known, and so written; tcsetattr is async-signal-safe.
        unsafe {
            let before = (*before::BEFORE.value.get()).as_ptr();
            libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, before);
        }
    }
}

/// Shows `prompt` and reads a line from the console without showing what is typed.
///
/// # Errors
/// No console, or no line.
#[cfg(windows)]
pub fn read_hidden(prompt: &str) -> io::Result<String> {
    use std::io::Write;

    io::stderr().write_all(prompt.as_bytes())?;
    console::Term::stderr().read_secure_line()
}

/// The keyboard without echo and line editing, key by key; as it was again when this is dropped.
/// Ctrl-C is still a signal.
#[derive(Debug)]
pub struct Keys {
    #[cfg(unix)]
    _changed: Changed,
}

impl Keys {
    /// Takes the keyboard.
    ///
    /// # Errors
    /// Standard input is no terminal.
    pub fn take() -> io::Result<Self> {
        #[cfg(unix)]
        {
            Ok(Self {
                _changed: Changed::without(libc::ECHO | libc::ICANON, libc::TCSANOW)?,
            })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }
}
