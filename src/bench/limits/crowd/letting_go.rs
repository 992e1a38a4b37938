//! How the finder lets go of its connections: of each so that the server notices, of all before it
//! ends.

use std::time::Duration;

use super::{Crowd, Guest, Halt, Name};
use tcpctl_engine::readiness::{Network, Release};

impl<N: Network> Crowd<'_, N> {
    /// Lets go of one.
    pub(in crate::bench::limits) fn release(&mut self, name: Name, how: Release) {
        if let Some(index) = self.guests.iter().position(|guest| guest.name == name) {
            self.let_go(index, how);
            self.guests.remove(index);
        }
    }

    /// Lets go of one so that the server is sure to notice.
    pub(in crate::bench::limits) fn leave(&mut self, name: Name) {
        let is_live = self.guest(name).is_some_and(Guest::is_live);
        self.release(
            name,
            if is_live {
                Release::Fin
            } else {
                Release::Reset
            },
        );
    }

    /// Lets go of every one that is not connected, and forgets those that have ended.
    pub(in crate::bench::limits) fn keep_live(&mut self) {
        for index in 0..self.guests.len() {
            if !self.guests[index].is_live() {
                self.let_go(index, Release::Reset);
            }
        }
        self.guests.retain(Guest::is_live);
    }

    /// Ends our side of those on which nothing was said; what the server does then is still heard.
    pub(in crate::bench::limits) fn finish_silent(&mut self) {
        for guest in self.guests.iter().filter(|guest| guest.is_silent()) {
            if let Some(id) = guest.id {
                self.network.finish(id);
            }
        }
    }

    /// Lets go of all, so that the server notices soon: a FIN that is repeated when it is lost,
    /// and after `pause` a reset that also frees a place in a queue.
    pub(in crate::bench::limits) fn disband(&mut self, pause: Duration) -> Result<(), Halt> {
        for guest in self.guests.iter().filter(|guest| guest.is_live()) {
            if let Some(id) = guest.id {
                self.network.finish(id);
            }
        }
        let waited = self.sleep(pause);
        self.release_all();
        waited
    }

    /// Lets go of all at once.
    pub(in crate::bench::limits) fn release_all(&mut self) {
        for index in 0..self.guests.len() {
            self.let_go(index, Release::Reset);
        }
        self.guests.clear();
    }

    pub(super) fn let_go(&mut self, index: usize, how: Release) {
        let guest = &mut self.guests[index];
        let Some(id) = guest.id.take() else { return };
        if guest.connected.is_some()
            && let Some(info) = self.network.info(id)
        {
            guest.syn_retransmissions = Some(info.syn_retransmissions);
            guest.retransmissions = Some(info.retransmissions);
            self.losses += (info.syn_retransmissions + info.retransmissions) as usize;
        }
        self.network.release(id, how);
    }
}
