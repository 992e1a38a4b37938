//! Joins a network, gets an address, and starts over when either is lost.
//!
//! ```text
//!            +--------- back off <----------+
//!            v                                            |
//!   +--> joining --refused--> report ----------------------+
//!   |        |                                            |
//!   |      joined                                         |
//!   |        v                                            |
//!   |    leasing --no address in time--> leave, report ---+
//!   |        |
//!   |     address: online, again after each change
//!   |        v
//!   +--- link or lease lost: offline (back off if it was short)
//! ```
//!
//! If the driver refuses the settings, retrying is pointless: [`run`] returns, and the caller opens
//! the default access point. [`Radio`] is implemented by the chip, and by scripts in the tests.

use core::fmt;
use core::net::Ipv4Addr;

use embassy_time::{Duration, Instant, Timer, with_timeout};

use crate::backoff::Backoff;
use crate::driver::DriverError;

mod failure;

pub use failure::Failure;

/// Timeout for joining: scan of all channels, authentication, association, four-way handshake.
pub const JOIN_TIMEOUT: Duration = Duration::from_secs(20);
/// Timeout for DHCP. A client asks again after 1, 2, 4, 8 s (RFC 2131 §4.1).
pub const LEASE_TIMEOUT: Duration = Duration::from_secs(20);

/// Time on the network after which the backoff restarts. A network that accepts the board and drops
/// it at once must not be retried without a pause.
const SETTLED: Duration = Duration::from_secs(10);

/// The loss of a network connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The link to the access point.
    Link,
    /// The address, because the lease was not renewed.
    Lease,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Link => "the access point is gone",
            Self::Lease => "the lease expired",
        })
    }
}

/// A change while the board is on its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkChange {
    /// The board went offline.
    Lost(Loss),
    /// The board has another address.
    Moved(Ipv4Addr),
}

/// A radio in station mode, and the stack's DHCP client over it.
pub trait Radio {
    /// Joins the network. Dropped at the timeout, and followed by [`leave`](Self::leave).
    fn join(&mut self) -> impl Future<Output = Result<(), Failure>>;
    /// Waits for an address, or until the network is lost.
    fn lease(&mut self) -> impl Future<Output = Result<Ipv4Addr, Failure>>;
    /// Waits until the link or the address is lost, or the address is no longer `address`.
    fn next_change(&mut self, address: Ipv4Addr) -> impl Future<Output = NetworkChange>;
    /// Leaves the network or aborts joining it, so that it can be joined again.
    fn leave(&mut self) -> impl Future<Output = ()>;
}

/// An event. Displays as its console line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Joining the network.
    Joining,
    /// Joining failed.
    Failed {
        /// Reason.
        failure: Failure,
        /// Time until the next try.
        retry_in: Duration,
    },
    /// The radio driver rejects the settings. There is no retry.
    Rejected(DriverError),
    /// The board has an address, the first or another one.
    Online(Ipv4Addr),
    /// The board lost its network.
    Offline(Loss),
}

impl Event {
    /// Whether the board is on its network after this event; `None` if unchanged. See
    /// [`crate::presence`].
    pub const fn presence(&self) -> Option<bool> {
        match self {
            Self::Online(_) => Some(true),
            Self::Offline(_) => Some(false),
            Self::Joining | Self::Failed { .. } | Self::Rejected(_) => None,
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
            Self::Rejected(error) => {
                write!(f, "network failed reason=\"{error}\" retry=never")
            }
            // The ESP-IDF examples print the same line.
            Self::Online(address) => write!(f, "IP: {address}"),
            Self::Offline(loss) => write!(f, "network lost reason=\"{loss}\""),
        }
    }
}

/// Keeps the board on its network while it is polled. Returns only if the radio driver refuses the
/// settings. `seed` randomizes the backoff.
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
                on_event(Event::Rejected(error));
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

/// Reports each address until the network is lost.
async fn stay_online(
    radio: &mut impl Radio,
    mut address: Ipv4Addr,
    mut on_event: impl FnMut(Event),
) -> Loss {
    loop {
        on_event(Event::Online(address));
        match radio.next_change(address).await {
            NetworkChange::Lost(loss) => return loss,
            NetworkChange::Moved(new) => address = new,
        }
    }
}

/// Joins the network and gets an address.
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
