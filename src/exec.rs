//! `--exec`: a shell command that replies to requests.
//!
//! It runs once per request, with the request on its standard input and the reply from its standard
//! output.

use std::io::{self, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::sys;

/// Silence that ends a request.
pub const REQUEST_SILENCE: Duration = Duration::from_millis(50);
/// Maximum length of a request.
pub const MAX_REQUEST_BYTES: usize = 64 * 1024;
/// Maximum duration of a command.
pub const MAX_DURATION: Duration = Duration::from_secs(10);

/// Bytes per read of the reply.
const CHUNK_BYTES: usize = 16 * 1024;
/// How often to check whether a command that has closed its output has ended.
const REAP_INTERVAL: Duration = Duration::from_millis(10);

/// A running command. Dropping it kills the command and its children.
#[derive(Debug)]
pub struct Run {
    chunks: mpsc::Receiver<Vec<u8>>,
    process: Arc<Process>,
    deadline: Instant,
}

/// The child process, until it has been waited for; after that its ID may belong to another
/// process.
#[derive(Debug)]
struct Process(Mutex<Option<Child>>);

impl Run {
    /// Starts `command` with `sh -c` and writes `request` to its standard input.
    ///
    /// # Errors
    /// The shell does not start.
    pub fn start(command: &str, request: Vec<u8>) -> io::Result<Self> {
        let mut child = shell(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let process = Arc::new(Process(Mutex::new(Some(child))));
        let (sender, chunks) = mpsc::channel(1);
        let reaped = Arc::clone(&process);
        let run = Self {
            chunks,
            process,
            deadline: Instant::now() + MAX_DURATION,
        };
        thread::Builder::new()
            .name("exec-input".into())
            .spawn(move || {
                // A command may ignore its input.
                let _ = stdin.map(|mut stdin| stdin.write_all(&request));
            })?;
        thread::Builder::new()
            .name("exec-output".into())
            .spawn(move || {
                let mut stdout = stdout;
                let mut bytes = [0; CHUNK_BYTES];
                while let Some(Ok(count @ 1..)) = stdout.as_mut().map(|it| it.read(&mut bytes)) {
                    if sender.blocking_send(bytes[..count].to_vec()).is_err() {
                        break;
                    }
                }
                drop((sender, stdout));
                while !reaped.has_ended() {
                    thread::sleep(REAP_INTERVAL);
                }
            })?;
        Ok(run)
    }

    /// The next part of the reply; `None` at its end or at the time limit. Needs a tokio runtime.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        let next = tokio::time::timeout_at(self.deadline.into(), self.recv());
        next.await.ok().flatten()
    }

    /// The next part of the reply, without a time limit; `None` at its end.
    pub async fn recv(&mut self) -> Option<Vec<u8>> {
        self.chunks.recv().await
    }

    /// When the time limit is reached.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.process.kill();
    }
}

impl Process {
    fn has_ended(&self) -> bool {
        let mut child = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_running = child
            .as_mut()
            .is_some_and(|child| matches!(child.try_wait(), Ok(None)));
        if !is_running {
            *child = None;
        }
        !is_running
    }

    fn kill(&self) {
        let mut child = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(child) = child.as_mut() {
            sys::kill_process_group(child);
        }
    }
}

#[cfg(unix)]
fn shell(command: &str) -> Command {
    use std::os::unix::process::CommandExt;

    let mut shell = Command::new("sh");
    // Start a process group, so that the children can be killed as well.
    shell.args(["-c", command]).process_group(0);
    shell
}

#[cfg(not(unix))]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("cmd");
    shell.args(["/C", command]);
    shell
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn reply(command: &str, request: &[u8]) -> Vec<u8> {
        crate::runtime::block_on(async {
            let mut run = Run::start(command, request.to_vec()).unwrap();
            let mut reply = Vec::new();
            while let Some(chunk) = run.next().await {
                reply.extend(chunk);
            }
            reply
        })
        .unwrap()
    }

    #[test]
    fn reply_is_the_output_of_the_command() {
        assert_eq!(reply("tr a-z A-Z", b"status\n"), b"STATUS\n");
        assert_eq!(reply("true", &vec![b'x'; MAX_REQUEST_BYTES]), b"");
        let long = reply("head -c 1000000 /dev/zero", b"");
        assert_eq!(long.len(), 1_000_000);
    }

    #[test]
    fn dropped_run_kills_the_command_and_its_children() {
        let run = Run::start("sleep 1000 & sleep 1000; true", Vec::new()).unwrap();
        let process = Arc::clone(&run.process);
        drop(run);
        let start = Instant::now();
        // The output thread ends once no process has the output open.
        while Arc::strong_count(&process) > 1 {
            assert!(start.elapsed() < MAX_DURATION);
            thread::yield_now();
        }
    }
}
