//! `--probe`: connects to every address of a network, at a limited rate.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::net::cidr::Cidr;

/// Maximum addresses without `--force`: an IPv4 /20.
pub const MAX_UNFORCED: u64 = 1 << 12;
/// New connections per second.
const RATE: u32 = 500;
/// Maximum connections at the same time.
pub const MAX_CONCURRENT: usize = 128;
/// Connect timeout of one address.
pub const CONNECT_TIMEOUT: Duration = Duration::from_millis(600);

/// Minimum duration of a probe of the network.
pub fn duration(network: Cidr) -> Duration {
    let seconds = network.count() / u128::from(RATE);
    Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX))
}

/// Returns the addresses of a network one by one, no faster than the rate.
#[derive(Debug)]
pub struct Pacer {
    network: Cidr,
    next: Option<u128>,
    begin: Instant,
    given: u32,
}

impl Pacer {
    /// A pacer that starts at `now`.
    pub const fn new(network: Cidr, now: Instant) -> Self {
        Self {
            network,
            next: Some(network.first()),
            begin: now,
            given: 0,
        }
    }

    /// The next address, if it is due.
    pub fn take(&mut self, now: Instant) -> Option<IpAddr> {
        let value = self
            .next
            .filter(|_| self.due().is_some_and(|due| due <= now))?;
        self.next = (value < self.network.last()).then(|| value + 1);
        self.given = self.given.saturating_add(1);
        // After a stall, missed addresses are not sent in a burst.
        let owed = Duration::from_secs(1) / RATE * self.given;
        if now > self.begin + owed + Duration::from_millis(100) {
            self.begin = now;
            self.given = 1;
        }
        Some(self.network.address(value))
    }

    /// When the next address is due; `None` after the last.
    pub fn due(&self) -> Option<Instant> {
        self.next?;
        Some(self.begin + Duration::from_secs(1) / RATE * self.given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<String> {
        let mut pacer = Pacer::new(text.parse().unwrap(), Instant::now());
        let much_later = Instant::now() + Duration::from_hours(1);
        let mut found = Vec::new();
        let mut now = Instant::now();
        while pacer.due().is_some() && now < much_later {
            now += Duration::from_millis(2);
            found.extend(pacer.take(now).map(|address| address.to_string()));
        }
        found
    }

    #[test]
    fn network_expands_to_its_hosts() {
        assert_eq!(all("10.0.0.77/30"), ["10.0.0.77", "10.0.0.78"]);
        assert_eq!(all("10.0.0.4/31"), ["10.0.0.4", "10.0.0.5"]);
        assert_eq!(all("10.0.0.4"), ["10.0.0.4"]);
        assert_eq!(all("2001:db8::/127"), ["2001:db8::", "2001:db8::1"]);
        assert_eq!(all("192.168.1.0/24").len(), 254);
        assert_eq!(all("255.255.255.255/32"), ["255.255.255.255"]);
    }

    #[test]
    fn missed_requests_are_not_sent_in_a_burst() {
        let begin = Instant::now();
        let mut pacer = Pacer::new("10.0.0.0/20".parse().unwrap(), begin);
        let mut given = 0;
        for millisecond in 0..1000 {
            while pacer
                .take(begin + Duration::from_millis(millisecond))
                .is_some()
            {
                given += 1;
            }
        }
        assert!((RATE - 2..=RATE + 2).contains(&given), "{given}");
        let later = begin + Duration::from_secs(10);
        let burst = std::iter::from_fn(|| pacer.take(later)).count();
        assert!(burst < 3, "{burst}");
    }

    #[test]
    fn how_long_it_takes_is_known() {
        for (text, seconds) in [("10.0.0.0/24", 0), ("10.0.0.0/19", 16), ("::/0", u64::MAX)] {
            let long = duration(text.parse().unwrap());
            assert_eq!(long, Duration::from_secs(seconds), "{text}");
        }
    }
}
