//! Access to one board: connects, reconnects, and waits while it restarts.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tcpctl_management::{Request, Response};
use tcpctl_settings::ManagementKey;

use super::Channel;
use super::key::{KeySource, is_same_board};
use super::locate::{Route, channel_failure};
use crate::connect::Endpoint;
use crate::discover::names;
use crate::failure::Failure;
use crate::target::Target;

/// Limit for one attempt to reach a board that restarts.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// Limit for one mDNS search.
const SEARCH_TIMEOUT: Duration = Duration::from_millis(1500);
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(300);

/// A board that was reached, and how to reach it again.
pub struct Access {
    target: String,
    key: ManagementKey,
    /// Route to the board.
    pub route: Route,
    /// Address of the management channel.
    pub address: SocketAddr,
    /// MAC address from the hello. A chip has another one in the other Wi-Fi mode.
    pub mac: [u8; 6],
}

/// A board that was reached while waiting for it.
pub struct Found {
    /// An authenticated session.
    pub channel: Channel,
    /// Route by which it was reached.
    pub route: Route,
    /// Address of the management channel.
    pub address: SocketAddr,
}

impl Access {
    /// Reaches a board and authenticates. `port` is the port of the management channel, if given.
    ///
    /// # Errors
    /// The board is not reached, has no management channel, or has another key.
    pub async fn open(
        target: &Target,
        source: &KeySource,
        port: Option<u16>,
    ) -> Result<(Self, Channel), Failure> {
        let text = &target.text;
        let host = Endpoint::open(target)?;
        let route = Route::find(text, host.clone(), port).await?;
        let connected = route.connect_with_retry().await;
        let (unauthenticated, address) = connected.map_err(|error| error.into_failure(text))?;
        let mac = unauthenticated.hello.mac;
        let key = source.key(&host, mac)?;
        let channel = unauthenticated.authenticate(&key).await;
        let channel = channel.map_err(|error| channel_failure(text, error))?;
        let access = Self {
            target: text.clone(),
            key,
            route,
            address,
            mac,
        };
        Ok((access, channel))
    }

    /// Authenticates on a new connection.
    ///
    /// # Errors
    /// The board is not reached, or has another key.
    pub async fn reconnect(&self) -> Result<Channel, Failure> {
        let connected = self.route.connect_with_retry().await;
        let (unauthenticated, _) = connected.map_err(|error| error.into_failure(&self.target))?;
        let channel = unauthenticated.authenticate(&self.key).await;
        channel.map_err(|error| channel_failure(&self.target, error))
    }

    /// Sends a request and waits for its response.
    ///
    /// # Errors
    /// The session is over.
    pub async fn request(
        &self,
        channel: &mut Channel,
        request: &Request,
    ) -> Result<Response, Failure> {
        let response = channel.request(request).await;
        response.map_err(|error| channel_failure(&self.target, error))
    }

    /// Searches for the board until `visit` returns something: on these routes, and with mDNS.
    /// `visit` returns `None` for e.g. a board that has not restarted yet. `tick` is called before
    /// each pause.
    pub async fn wait<T>(
        &self,
        routes: &[Route],
        visit: impl AsyncFn(Found) -> Option<T>,
        tick: impl Fn(),
    ) -> T {
        let searching = async {
            loop {
                if let Some(done) = self.visit_first(routes, &visit).await {
                    return done;
                }
                tick();
                tokio::time::sleep(PAUSE).await;
            }
        };
        let browsing = async {
            while self.route.is_on_a_network() {
                let accept = |mac| is_same_board(mac, self.mac);
                let boards = names::by_mac(accept, SEARCH_TIMEOUT).await;
                let routes: Vec<_> = boards.into_iter().map(Route::announced).collect();
                if let Some(done) = self.visit_first(&routes, &visit).await {
                    return done;
                }
                tokio::time::sleep(PAUSE).await;
            }
            std::future::pending().await
        };
        tokio::select! {
            done = searching => done,
            done = browsing => done,
        }
    }

    async fn visit_first<T>(
        &self,
        routes: &[Route],
        visit: &impl AsyncFn(Found) -> Option<T>,
    ) -> Option<T> {
        let attempts = routes.iter().map(|route| self.attempt(route));
        let mut attempts: FuturesUnordered<_> = attempts.collect();
        while let Some(found) = attempts.next().await {
            if let Some(found) = found
                && let Some(done) = visit(found).await
            {
                return Some(done);
            }
        }
        None
    }

    /// `None` if the board was not reached.
    async fn attempt(&self, route: &Route) -> Option<Found> {
        let reach = async {
            let (unauthenticated, address) = route.connect(ATTEMPT_TIMEOUT).await.ok()?;
            if !is_same_board(unauthenticated.hello.mac, self.mac) {
                return None;
            }
            let channel = unauthenticated.authenticate(&self.key).await.ok()?;
            Some(Found {
                channel,
                route: route.clone(),
                address,
            })
        };
        tokio::time::timeout(2 * ATTEMPT_TIMEOUT, reach)
            .await
            .ok()?
    }
}
