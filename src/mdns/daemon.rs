//! Runs mdns-sd on one interface.
//!
//! One daemon per interface, because a daemon merges services of one name on two links into one with
//! the addresses of both. Its cache has no limit and keeps records without a PTR record forever, so
//! it is replaced when it grows too large. What it reported stays in the [`super::directory`].

use std::time::{Duration, Instant};

use mdns_sd::{
    DaemonStatus, Error, HostnameResolutionEvent, IfKind, Metrics, Receiver, RecvError,
    ResolvedService, ServiceDaemon, ServiceEvent,
};

use super::message::{Answer, Data, DnsName, MAX_TEXT_PAIRS};

/// Maximum records in a daemon's cache before the daemon is replaced.
const MAX_RECORDS: i64 = 4096;
/// How often the cache is measured.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// A daemon that does not answer this many measurements counts as overloaded.
const MAX_UNANSWERED: u32 = 4;
/// Minimum age of a daemon that is refreshed.
const MIN_AGE: Duration = Duration::from_secs(1);
/// Pause after the first overload. Each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_mins(1);

/// An event of a daemon.
#[derive(Debug)]
pub enum DaemonEvent {
    /// A service is complete, or has changed.
    Answers(Vec<Answer>),
    /// A service sent a goodbye, or its records expired.
    Removed(DnsName),
    /// The daemon dropped its subscription because its events were not read in time.
    Closed,
}

/// A daemon and its queries.
#[derive(Debug)]
pub(super) struct Daemon {
    interface: u32,
    port: u16,
    service_type: DnsName,
    host: Option<DnsName>,
    state: State,
    /// Pause after the next overload.
    pause: Duration,
    should_refresh: bool,
}

enum State {
    Running(Running),
    /// Stopping. The daemon is replaced at this time, once it has ended.
    Stopping(Instant, ServiceDaemon, Option<Receiver<DaemonStatus>>),
    /// Not started because of an error. The next check tries again.
    Stopped,
}

struct Running {
    daemon: ServiceDaemon,
    services: Receiver<ServiceEvent>,
    hosts: Option<Receiver<HostnameResolutionEvent>>,
    guard: CacheGuard,
    started: Instant,
}

/// Measures the cache of a daemon.
#[derive(Default)]
pub(super) struct CacheGuard {
    metrics: Option<Receiver<Metrics>>,
    unanswered: u32,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Running(_) => "Running",
            Self::Stopping(..) => "Stopping",
            Self::Stopped => "Stopped",
        })
    }
}

/// Creates a daemon that uses only one interface.
pub(super) fn on_interface(interface: u32, port: u16) -> Result<ServiceDaemon, Error> {
    let daemon = ServiceDaemon::new_with_port(port)?;
    daemon.disable_interface(IfKind::All)?;
    daemon.enable_interface(vec![IfKind::IndexV4(interface), IfKind::IndexV6(interface)])?;
    daemon.set_ip_check_interval(1)?;
    Ok(daemon)
}

impl Running {
    fn start(interface: u32, port: u16, ty: &str, host: Option<&str>) -> Result<Self, Error> {
        let daemon = on_interface(interface, port)?;
        let started = daemon.browse(ty).and_then(|services| {
            let hosts = host.map(|host| daemon.resolve_hostname(host, None));
            Ok((services, hosts.transpose()?))
        });
        match started {
            Ok((services, hosts)) => Ok(Self {
                daemon,
                services,
                hosts,
                guard: CacheGuard::default(),
                started: Instant::now(),
            }),
            Err(error) => {
                let _ = daemon.shutdown();
                Err(error)
            }
        }
    }
}

impl CacheGuard {
    /// Whether the cache was too large at the last call, or the daemon is too busy to answer.
    pub(super) fn is_overloaded(&mut self, daemon: &ServiceDaemon) -> bool {
        if let Some(metrics) = &self.metrics {
            let Ok(metrics) = metrics.try_recv() else {
                self.unanswered += 1;
                return self.unanswered >= MAX_UNANSWERED;
            };
            self.unanswered = 0;
            let cached = metrics.iter().filter(|(key, _)| key.starts_with("cached-"));
            if cached.map(|(_, count)| count).sum::<i64>() > MAX_RECORDS {
                return true;
            }
        }
        self.metrics = daemon.get_metrics().ok();
        false
    }
}

impl Daemon {
    /// Starts a daemon that browses for a service type and resolves a host name.
    pub(super) fn start(
        interface: u32,
        port: u16,
        service_type: DnsName,
        host: Option<DnsName>,
    ) -> Self {
        let mut daemon = Self {
            interface,
            port,
            service_type,
            host,
            state: State::Stopped,
            pause: FIRST_PAUSE,
            should_refresh: false,
        };
        daemon.run();
        daemon
    }

    fn run(&mut self) {
        self.should_refresh = false;
        // The daemon compares names byte by byte; boards write theirs in lower case.
        let ty = format!("{}.", self.service_type).to_ascii_lowercase();
        let host = self.host.as_ref().map(|host| format!("{host}."));
        let running = Running::start(self.interface, self.port, &ty, host.as_deref());
        self.state = running.map_or(State::Stopped, State::Running);
    }

    /// Ends the daemon; the check after `pause` starts another one.
    fn stop(&mut self, pause: Duration) {
        if let State::Running(running) = std::mem::replace(&mut self.state, State::Stopped) {
            let ended = running.daemon.shutdown().ok();
            self.state = State::Stopping(Instant::now() + pause, running.daemon, ended);
        }
    }

    fn stop_overloaded(&mut self) {
        self.stop(self.pause);
        self.pause = (self.pause * 2).min(MAX_PAUSE);
    }

    /// Makes the daemon forget its cache soon, so that it reports a board that returns.
    pub(super) fn refresh(&mut self) {
        self.should_refresh = true;
    }

    /// Measures the daemon, and replaces it if necessary.
    pub(super) fn check(&mut self, now: Instant) {
        match &mut self.state {
            State::Running(running) => {
                if running.guard.is_overloaded(&running.daemon) {
                    self.stop_overloaded();
                } else if self.should_refresh && now - running.started >= MIN_AGE {
                    self.stop(Duration::ZERO);
                }
            }
            State::Stopping(at, daemon, ended) => match ended {
                Some(ended) if ended.is_empty() && !ended.is_disconnected() => {}
                Some(_) if now >= *at => self.run(),
                Some(_) => {}
                None => *ended = daemon.shutdown().ok(),
            },
            State::Stopped => self.run(),
        }
    }

    /// Waits for an event. Cancel safe.
    pub(super) async fn receive(&self) -> DaemonEvent {
        let State::Running(running) = &self.state else {
            return std::future::pending().await;
        };
        loop {
            let event = tokio::select! {
                event = running.services.recv_async() => event.map(|it| self.service_event(it)),
                event = receive(running.hosts.as_ref()) => event.map(host_event),
            };
            match event {
                Ok(Some(event)) => return event,
                Ok(None) => {}
                Err(_) => return DaemonEvent::Closed,
            }
        }
    }

    /// Handles a lost subscription as an overload: there were too many events to read.
    pub(super) fn close(&mut self) {
        self.stop_overloaded();
    }

    fn service_event(&self, event: ServiceEvent) -> Option<DaemonEvent> {
        match event {
            ServiceEvent::ServiceResolved(service) => {
                let instance = self.instance(&service.fullname)?;
                answers(&service, &instance).map(DaemonEvent::Answers)
            }
            ServiceEvent::ServiceRemoved(_, name) => self.instance(&name).map(DaemonEvent::Removed),
            _ => None,
        }
    }

    /// The instance of a full name as mdns-sd writes it: dots in its label are not escaped.
    fn instance(&self, full_name: &str) -> Option<DnsName> {
        let name = full_name.strip_suffix('.')?;
        let label = name
            .len()
            .checked_sub(self.service_type.to_string().len() + 1)?;
        self.service_type.child(name.get(..label)?.as_bytes())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

async fn receive<T>(receiver: Option<&Receiver<T>>) -> Result<T, RecvError> {
    match receiver {
        Some(receiver) => receiver.recv_async().await,
        None => std::future::pending().await,
    }
}

fn host_event(event: HostnameResolutionEvent) -> Option<DaemonEvent> {
    let HostnameResolutionEvent::AddressesFound(host, addresses) = event else {
        return None;
    };
    let owner = DnsName::of_text(&host)?;
    let answers = addresses.iter().map(|address| Answer {
        owner: owner.clone(),
        is_goodbye: false,
        data: Data::Address(address.to_ip_addr()),
    });
    Some(DaemonEvent::Answers(answers.collect()))
}

/// The records that a resolved service was made of.
fn answers(service: &ResolvedService, instance: &DnsName) -> Option<Vec<Answer>> {
    let host = DnsName::of_text(&service.host)?;
    let text = service.txt_properties.iter();
    let text = text
        .filter(|pair| pair.val().is_some())
        .map(|pair| (pair.key().to_ascii_lowercase(), pair.val_str().to_owned()));
    let mut addresses: Vec<_> = service
        .addresses
        .iter()
        .map(mdns_sd::ScopedIp::to_ip_addr)
        .collect();
    addresses.sort_unstable();
    let record = |owner: &DnsName, data| Answer {
        owner: owner.clone(),
        is_goodbye: false,
        data,
    };
    let service = [
        Data::Service {
            host: host.clone(),
            port: service.port,
        },
        Data::Text(text.take(MAX_TEXT_PAIRS).collect()),
    ];
    let service = service.into_iter().map(|data| record(instance, data));
    let addresses = addresses
        .into_iter()
        .map(|it| record(&host, Data::Address(it)));
    Some(service.chain(addresses).collect())
}
