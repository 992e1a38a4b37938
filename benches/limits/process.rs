//! Child processes of this program: a server with known limits, or a busy loop. They end with their
//! standard input, and so with the bench.

use std::env;
use std::hint;
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{self, Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::Result;
use crate::limited::{self, App, Beyond};

const SERVE: &str = "--serve";
const SPIN: &str = "--spin";

/// The role of a child process.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Role {
    Serve(Kernel),
    Spin,
}

/// A server on kernel sockets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kernel {
    pub(crate) backlog: usize,
    pub(crate) app: App,
    pub(crate) service: Duration,
    pub(crate) is_ipv6: bool,
}

/// A running child, ended when dropped.
pub(crate) struct Running {
    child: Child,
}

impl Role {
    /// The role given by the arguments.
    ///
    /// # Errors
    /// Those of a server that are not understood.
    pub(crate) fn of(arguments: &[String]) -> Result<Option<Self>> {
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Ok(match words[..] {
            [SPIN] => Some(Self::Spin),
            [SERVE, backlog, app, number, service, family] => Some(Self::Serve(Kernel {
                backlog: backlog.parse()?,
                app: parse_app(app, number.parse()?)?,
                service: Duration::from_millis(service.parse()?),
                is_ipv6: family == "6",
            })),
            _ => None,
        })
    }

    fn arguments(self) -> Vec<String> {
        match self {
            Self::Spin => vec![SPIN.to_owned()],
            Self::Serve(kernel) => {
                let (app, number) = to_words(kernel.app);
                vec![
                    SERVE.to_owned(),
                    kernel.backlog.to_string(),
                    app.to_owned(),
                    number.to_string(),
                    kernel.service.as_millis().to_string(),
                    if kernel.is_ipv6 { "6" } else { "4" }.to_owned(),
                ]
            }
        }
    }

    /// Runs the role until standard input ends.
    ///
    /// # Errors
    /// A server that can't listen.
    pub(crate) fn run(self) -> Result<()> {
        thread::spawn(|| {
            let _ = io::stdin().read(&mut [0]);
            process::exit(0);
        });
        match self {
            Self::Spin => loop {
                hint::spin_loop();
            },
            Self::Serve(kernel) => {
                let at = if kernel.is_ipv6 {
                    "[::1]:0"
                } else {
                    "127.0.0.1:0"
                };
                let listener = limited::listen(at.parse()?, kernel.backlog)?;
                println!("{}", listener.local_addr()?);
                limited::serve(&listener, kernel.app, kernel.service)?;
                Ok(())
            }
        }
    }

    fn start(self) -> Result<Running> {
        let child = Command::new(env::current_exe()?)
            .args(self.arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        Ok(Running { child })
    }
}

impl Kernel {
    /// Starts the server and waits until it listens.
    ///
    /// # Errors
    /// When it ends instead.
    pub(crate) fn start(self) -> Result<(Running, SocketAddr)> {
        let mut running = Role::Serve(self).start()?;
        let mut line = String::new();
        if let Some(stdout) = running.child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let address = line.trim().parse();
        Ok((running, address.map_err(|_| "a server did not start")?))
    }
}

/// Starts a process that keeps a core busy.
///
/// # Errors
/// When there is no process to be had.
pub(crate) fn busy_loop() -> Result<Running> {
    Role::Spin.start()
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only if the process has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn to_words(app: App) -> (&'static str, usize) {
    match app {
        App::Workers(number) => ("workers", number),
        App::Cap(number, Beyond::Fin) => ("fin", number),
        App::Cap(number, Beyond::Reset) => ("reset", number),
        App::Cap(number, Beyond::Stall) => ("stall", number),
        App::Cap(number, Beyond::Evict(1)) => ("evict", number),
        App::Cap(number, Beyond::Evict(_)) => ("evict_half", number),
        App::Cap(number, Beyond::Line(_)) => ("line", number),
        App::Echo(number) => ("echo", number),
        App::AcceptTimer(number, _) => ("timer", number),
        App::GreetsAndWaits(number) => ("stays", number),
        App::GreetsFirst => ("greets", 1),
        App::PerClient { each, .. } => ("each", each),
    }
}

fn parse_app(word: &str, number: usize) -> Result<App> {
    Ok(match word {
        "workers" => App::Workers(number),
        "fin" => App::Cap(number, Beyond::Fin),
        "reset" => App::Cap(number, Beyond::Reset),
        "stall" => App::Cap(number, Beyond::Stall),
        "evict" => App::Cap(number, Beyond::Evict(1)),
        "evict_half" => App::Cap(number, Beyond::Evict(number.div_ceil(2))),
        "line" => App::Cap(number, Beyond::Line("-ERR max number of clients reached")),
        "echo" => App::Echo(number),
        "timer" => App::AcceptTimer(number, Duration::from_secs(1)),
        "stays" => App::GreetsAndWaits(number),
        "greets" => App::GreetsFirst,
        _ => return Err(format!("unknown server {word}").into()),
    })
}
