//! This program once more, in another role: a server of which the limits are known, or a busy
//! loop. It ends when its standard input does, so it never outlives the bench.

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

/// What a child is there for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Role {
    Serve(Kernel),
    Spin,
}

/// A server on the kernel's sockets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kernel {
    pub(crate) backlog: usize,
    pub(crate) app: App,
    pub(crate) service: Duration,
    pub(crate) is_ipv6: bool,
}

/// A running child; ended when dropped.
pub(crate) struct Running {
    child: Child,
}

impl Role {
    /// The role that the arguments give, if any.
    ///
    /// # Errors
    /// Those of a server that are not understood.
    pub(crate) fn of(arguments: &[String]) -> Result<Option<Self>> {
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Ok(match words[..] {
            [SPIN] => Some(Self::Spin),
            [SERVE, backlog, app, number, service, family] => Some(Self::Serve(Kernel {
                backlog: backlog.parse()?,
                app: app_of(app, number.parse()?)?,
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
                let (app, number) = words_of(kernel.app);
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

    /// What the child does, until its standard input ends.
    ///
    /// # Errors
    /// A server that can't listen.
    pub(crate) fn play(self) -> Result<()> {
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
    /// Starts it, and waits until it listens.
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

/// Keeps a core busy as long as it lives.
///
/// # Errors
/// When there is no process to be had.
pub(crate) fn busy_loop() -> Result<Running> {
    Role::Spin.start()
}

impl Drop for Running {
    fn drop(&mut self) {
        // It fails only when the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn words_of(app: App) -> (&'static str, usize) {
    match app {
        App::Workers(number) => ("workers", number),
        App::Cap(number, Beyond::Fin) => ("fin", number),
        App::Cap(number, Beyond::Reset) => ("reset", number),
        App::Cap(number, Beyond::Stall) => ("stall", number),
        App::Cap(number, Beyond::Evict) => ("evict", number),
        App::GreetsFirst => ("greets", 1),
        App::PerClient { each, .. } => ("each", each),
    }
}

fn app_of(word: &str, number: usize) -> Result<App> {
    Ok(match word {
        "workers" => App::Workers(number),
        "fin" => App::Cap(number, Beyond::Fin),
        "reset" => App::Cap(number, Beyond::Reset),
        "stall" => App::Cap(number, Beyond::Stall),
        "evict" => App::Cap(number, Beyond::Evict),
        "greets" => App::GreetsFirst,
        _ => return Err(format!("no server is called {word}").into()),
    })
}
