//! A board that joins a network: find it, join, get an address, serve; and from the start again
//! when anything of that is lost.
//!
//! ```text
//!            +--------- wait, longer each time <----------+
//!            v                                            |
//!   +--> joining --refused--> say why --------------------+
//!   |        |                                            |
//!   |      joined                                         |
//!   |        v                                            |
//!   |    leasing --no address in time--> leave, say why --+
//!   |        |
//!   |     address: online, and again after each change
//!   |        v
//!   +--- link or lease lost: offline, say so (and wait, if that was at once)
//! ```
//!
//! A driver that does not take the settings will never take them: then the machine ends, and whoever
//! runs it opens a network of the board's own.
//!
//! [`run`] is the machine. It knows no radio: [`Radio`] is the chip's, and a script in the tests.

use core::fmt;
use core::net::Ipv4Addr;

use embassy_time::{Duration, Instant, Timer, with_timeout};

use crate::backoff::Backoff;
use crate::driver::DriverError;

mod failure;

pub use failure::Failure;

/// How long joining may take: a scan of all channels, authentication, association and the four-way
/// handshake with its repeats.
pub const JOIN_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the network's DHCP server has: a client asks again after 1, 2, 4, 8 s (RFC 2131 §4.1).
pub const LEASE_TIMEOUT: Duration = Duration::from_secs(20);

/// How long the board must have been on the network for the next failure to be a first one. A
/// network that lets it in and throws it out again must not be tried without a pause.
const SETTLED: Duration = Duration::from_secs(10);

/// What was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The link to the access point.
    Link,
    /// The address: the lease was not renewed.
    Lease,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Link => "the access point is gone",
            Self::Lease => "the lease ran out",
        })
    }
}

/// What happens to a board on its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// It is on it no longer.
    Lost(Loss),
    /// The network gave it another address.
    Moved(Ipv4Addr),
}

/// A radio in station mode, and the stack's DHCP client over it.
pub trait Radio {
    /// Joins the network. Dropped when it takes too long; [`leave`](Self::leave) follows then.
    fn join(&mut self) -> impl Future<Output = Result<(), Failure>>;
    /// Waits for an address on the network that was joined, or until that is lost.
    fn lease(&mut self) -> impl Future<Output = Result<Ipv4Addr, Failure>>;
    /// Waits until the link or the address is lost, or the address is no longer `address`.
    fn news(&mut self, address: Ipv4Addr) -> impl Future<Output = News>;
    /// Leaves the network, or gives up joining it, so that it can be joined anew.
    fn leave(&mut self) -> impl Future<Output = ()>;
}

/// What a person at the console is told. Displays as the console's line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It tries to join.
    Joining,
    /// That failed; it tries again after a wait.
    Failed {
        /// Why.
        failure: Failure,
        /// How long it waits.
        retry_in: Duration,
    },
    /// The radio's driver does not take the settings; the board gives them up.
    GivenUp(DriverError),
    /// It has an address, the first one or another one, and serves.
    Online(Ipv4Addr),
    /// It is on the network no longer.
    Offline(Loss),
}

impl Event {
    /// Whether the board is on its network from now on, where that is news. Its servers follow it,
    /// see [`crate::presence`].
    pub const fn presence(&self) -> Option<bool> {
        match self {
            Self::Online(_) => Some(true),
            Self::Offline(_) => Some(false),
            Self::Joining | Self::Failed { .. } | Self::GivenUp(_) => None,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joining => f.write_str("network joining"),
            Self::Failed { failure, retry_in } => write!(
                f,
                "network failed reason=\"{failure}\" retry_ms={}",
                retry_in.as_millis()
            ),
            Self::GivenUp(error) => {
                write!(
                    f,
                    "network failed reason=\"{error}\"; it is not tried again"
                )
            }
            // The tutorial's line.
            Self::Online(address) => write!(f, "IP: {address}"),
            Self::Offline(loss) => write!(f, "network lost reason=\"{loss}\""),
        }
    }
}

/// Keeps the board on its network for as long as it is polled, and ends only where the radio's driver
/// does not take the settings. `seed` is the jitter's.
pub async fn run(
    radio: &mut impl Radio,
    seed: u64,
    mut on_event: impl FnMut(Event),
) -> DriverError {
    let mut backoff = Backoff::new(seed);
    loop {
        on_event(Event::Joining);
        match go_online(radio).await {
            Ok(address) => {
                let since = Instant::now();
                let loss = stay_online(radio, address, &mut on_event).await;
                on_event(Event::Offline(loss));
                radio.leave().await;
                if since.elapsed() >= SETTLED {
                    backoff.reset();
                } else {
                    Timer::after(backoff.wait()).await;
                }
            }
            Err(Failure::Driver(error)) if error.is_about_settings() => {
                on_event(Event::GivenUp(error));
                return error;
            }
            Err(failure) => {
                radio.leave().await;
                let retry_in = backoff.wait();
                on_event(Event::Failed { failure, retry_in });
                Timer::after(retry_in).await;
            }
        }
    }
}

/// Says where the board can be reached, again after each change, until it no longer can.
async fn stay_online(
    radio: &mut impl Radio,
    mut address: Ipv4Addr,
    mut on_event: impl FnMut(Event),
) -> Loss {
    loop {
        on_event(Event::Online(address));
        match radio.news(address).await {
            News::Lost(loss) => return loss,
            News::Moved(elsewhere) => address = elsewhere,
        }
    }
}

/// Joins and gets an address.
async fn go_online(radio: &mut impl Radio) -> Result<Ipv4Addr, Failure> {
    with_timeout(JOIN_TIMEOUT, radio.join())
        .await
        .map_err(|_| Failure::NoAnswer)??;
    with_timeout(LEASE_TIMEOUT, radio.lease())
        .await
        .map_err(|_| Failure::NoLease)?
}

#[cfg(test)]
mod tests;
