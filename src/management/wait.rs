//! Waits for a board that restarts.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tcpctl_settings::ManagementKey;

use super::Channel;
use super::key::is_same_board;
use super::locate::Route;
use crate::discover::names;

/// Limit for one attempt to reach a board that restarts.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// Limit for one search over mDNS.
const SEARCH_TIMEOUT: Duration = Duration::from_millis(1500);
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(300);

/// A board to look for.
#[derive(Debug)]
pub struct Sought<'a> {
    /// Where it may be, besides where mDNS finds it.
    pub routes: Vec<Route>,
    /// Its MAC address.
    pub mac: [u8; 6],
    /// Its key.
    pub key: &'a ManagementKey,
}

/// A board that was reached.
pub struct Found {
    /// An authenticated session.
    pub channel: Channel,
    /// How it was reached.
    pub route: Route,
    /// The address of its management channel.
    pub address: SocketAddr,
}

impl Sought<'_> {
    /// Looks for the board until `visit` returns something. It returns `None` e.g. for a board that has
    /// not restarted yet. `tick` is called before each pause.
    pub async fn wait<T>(&self, visit: impl AsyncFn(Found) -> Option<T>, tick: impl Fn()) -> T {
        let searching = async {
            loop {
                if let Some(done) = self.visit_first(&self.routes, &visit).await {
                    return done;
                }
                tick();
                tokio::time::sleep(PAUSE).await;
            }
        };
        let browsing = async {
            while self.routes.iter().any(Route::is_on_a_network) {
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

    /// `None` if the board is not there.
    async fn attempt(&self, route: &Route) -> Option<Found> {
        let reach = async {
            let (greeted, address) = route.connect(ATTEMPT_TIMEOUT).await.ok()?;
            if !is_same_board(greeted.hello.mac, self.mac) {
                return None;
            }
            let channel = greeted.authenticate(self.key).await.ok()?;
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
