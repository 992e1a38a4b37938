//! Reading from the terminal what must not be seen on it.

use std::io;

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

/// The terminal without echo, line editing and signals; as it was again when this is dropped.
#[cfg(unix)]
struct Hidden {
    before: libc::termios,
}

#[cfg(unix)]
impl Hidden {
    fn new() -> io::Result<Self> {
        // SAFETY: an all-zero termios is a valid value of the type.
        let mut before: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: the descriptor is standard input, and `before` outlives the call.
        if unsafe { libc::tcgetattr(libc::STDIN_FILENO, &raw mut before) } < 0 {
            return Err(io::Error::last_os_error());
        }
        let mut hidden = before;
        // Without signals Ctrl-C can't end us and leave the terminal mute.
        hidden.c_lflag &= !(libc::ECHO | libc::ICANON | libc::ISIG);
        // SAFETY: as above.
        if unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSAFLUSH, &raw const hidden) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { before })
    }
}

#[cfg(unix)]
impl Drop for Hidden {
    fn drop(&mut self) {
        // SAFETY: the value came from tcgetattr.
        unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &raw const self.before) };
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
    before: libc::termios,
}

impl Keys {
    /// Takes the keyboard.
    ///
    /// # Errors
    /// Standard input is no terminal.
    pub fn take() -> io::Result<Self> {
        #[cfg(unix)]
        {
            // SAFETY: an all-zero termios is a valid value of the type.
            let mut before: libc::termios = unsafe { std::mem::zeroed() };
            // SAFETY: the descriptor is standard input, and `before` outlives the call.
            if unsafe { libc::tcgetattr(libc::STDIN_FILENO, &raw mut before) } < 0 {
                return Err(io::Error::last_os_error());
            }
            let mut keys = before;
            keys.c_lflag &= !(libc::ECHO | libc::ICANON);
            // SAFETY: as above.
            if unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &raw const keys) } < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(Self { before })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }
}

#[cfg(unix)]
impl Drop for Keys {
    fn drop(&mut self) {
        // SAFETY: the value came from tcgetattr.
        unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &raw const self.before) };
    }
}
