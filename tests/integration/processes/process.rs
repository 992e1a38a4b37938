use std::io::{PipeWriter, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// Maximum wait of a test, far more than anything takes on a busy machine.
const DEADLINE: Duration = Duration::from_mins(1);

/// A running program whose output is read as it arrives. It is killed when dropped.
///
/// Its standard input is a pipe that stays open until [`Process::end_input`] or
/// [`Process::finish`].
pub(crate) struct Process {
    child: Child,
    /// The command line, for messages.
    name: String,
    stdout: Arc<Text>,
    stderr: Arc<Text>,
}

/// One of a program's two outputs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// The exit code and output of a program.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Exit code; `None` if a signal ended the program.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Output received so far.
#[derive(Default)]
struct Text {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    closed: bool,
}

impl Process {
    /// Starts a program and reads its output.
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped());
        Self::spawn(command)
    }

    /// Starts a program with a pipe as its standard output.
    pub(crate) fn start_into(mut command: Command, stdout: PipeWriter) -> Self {
        command.stdout(stdout);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stderr(Stdio::piped());
        let name = format!("{command:?}");
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let stdout = Text::of(child.stdout.take());
        let stderr = Text::of(child.stderr.take());
        Self {
            child,
            name,
            stdout,
            stderr,
        }
    }

    /// Writes to the program's standard input.
    pub(crate) fn write(&mut self, text: &str) {
        let input = self.child.stdin.as_mut().expect("standard input is open");
        input
            .write_all(text.as_bytes())
            .unwrap_or_else(|error| panic!("{}: standard input: {error}", self.name));
    }

    /// Closes the program's standard input.
    pub(crate) fn end_input(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Waits for the first complete line that `wanted` accepts.
    pub(crate) fn line<T>(&self, stream: Stream, wanted: impl Fn(&str) -> Option<T>) -> T {
        self.text(stream, |text| text.lines().find_map(&wanted))
    }

    /// Waits until `wanted` accepts the complete lines received so far.
    pub(crate) fn text<T>(&self, stream: Stream, wanted: impl Fn(&str) -> Option<T>) -> T {
        let text = match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        };
        let found = text.wait(|state| {
            let whole = state.bytes.iter().rposition(|&byte| byte == b'\n');
            let text = String::from_utf8_lossy(&state.bytes[..whole.unwrap_or(0)]);
            wanted(&text)
        });
        found.unwrap_or_else(|| {
            panic!(
                "{}: timed out waiting for output\nstdout: {}\nstderr: {}",
                self.name,
                self.stdout.so_far(),
                self.stderr.so_far()
            )
        })
    }

    /// Waits for the first complete line that contains `part`.
    pub(crate) fn line_with(&self, stream: Stream, part: &str) -> String {
        self.line(stream, |line| line.contains(part).then(|| line.to_owned()))
    }

    /// Sends a signal to the program.
    pub(crate) fn signal(&self, signal: Signal) {
        // The child was not reaped yet, so its PID is valid.
        rustix::process::kill_process(Pid::from_child(&self.child), signal)
            .unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    /// Closes the program's standard input and waits until it exits by itself.
    pub(crate) fn finish(mut self) -> Ended {
        self.end_input();
        let status = self.wait();
        Ended {
            code: status.code(),
            stdout: self.stdout.all(),
            stderr: self.stderr.all(),
        }
    }

    fn wait(&mut self) -> ExitStatus {
        const POLL_INTERVAL: Duration = Duration::from_millis(2);
        let start = Instant::now();
        loop {
            let status = self.child.try_wait().expect("a child can be waited for");
            if let Some(status) = status {
                return status;
            }
            assert!(
                start.elapsed() < DEADLINE,
                "{}: is still running\nstdout: {}\nstderr: {}",
                self.name,
                self.stdout.so_far(),
                self.stderr.so_far()
            );
            thread::sleep(POLL_INTERVAL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only for a child that was reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Text {
    /// Reads a pipe on a thread; without a pipe there is no output.
    fn of(pipe: Option<impl Read + Send + 'static>) -> Arc<Self> {
        let text = Arc::new(Self::default());
        let reader = Arc::clone(&text);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            let mut pipe = pipe;
            loop {
                let count = pipe
                    .as_mut()
                    .and_then(|pipe| pipe.read(&mut buffer).ok())
                    .unwrap_or(0);
                let mut state = reader.state.lock().expect("the reader does not panic");
                state.bytes.extend_from_slice(&buffer[..count]);
                state.closed = count == 0;
                reader.changed.notify_all();
                if state.closed {
                    return;
                }
            }
        });
        text
    }

    /// Waits until `wanted` accepts the output; `None` at the end of the output.
    fn wait<T>(&self, wanted: impl Fn(&State) -> Option<T>) -> Option<T> {
        let start = Instant::now();
        let mut state = self.state.lock().expect("the reader does not panic");
        loop {
            if let Some(found) = wanted(&state) {
                return Some(found);
            }
            let left = DEADLINE.checked_sub(start.elapsed())?;
            if state.closed {
                return None;
            }
            (state, _) = self
                .changed
                .wait_timeout(state, left)
                .expect("the reader does not panic");
        }
    }

    fn all(&self) -> String {
        self.wait(|state| state.closed.then_some(()))
            .expect("an exited program has closed its output");
        self.so_far()
    }

    fn so_far(&self) -> String {
        let state = self.state.lock().expect("the reader does not panic");
        String::from_utf8_lossy(&state.bytes).into_owned()
    }
}
