//! Closing connections: a single one so that the server notices it, or all at the end.

use std::time::Duration;

use super::{ConnectionPool, Handle, HeldConnection};
use crate::bench::limits::model::Abort;
use tcpctl_engine::readiness::{Network, Release};

impl<N: Network> ConnectionPool<'_, N> {
    /// Closes a connection and removes it from the pool.
    pub(in crate::bench::limits) fn release(&mut self, handle: Handle, how: Release) {
        if let Some(index) = self.connections.iter().position(|it| it.handle == handle) {
            self.release_at(index, how);
            self.connections.remove(index);
        }
    }

    /// Closes a connection in a way that the server cannot miss.
    pub(in crate::bench::limits) fn close(&mut self, handle: Handle) {
        let is_live = self.get(handle).is_some_and(HeldConnection::is_live);
        self.release(
            handle,
            if is_live {
                Release::Fin
            } else {
                Release::Reset
            },
        );
    }

    /// Closes all connections that are not established, and removes those that have ended.
    pub(in crate::bench::limits) fn drop_ended(&mut self) {
        for index in 0..self.connections.len() {
            if !self.connections[index].is_live() {
                self.release_at(index, Release::Reset);
            }
        }
        self.connections.retain(HeldConnection::is_live);
    }

    /// Sends a FIN on all silent connections and keeps reading from them.
    pub(in crate::bench::limits) fn finish_silent(&mut self) {
        for connection in self.connections.iter().filter(|it| it.is_silent()) {
            if let Some(id) = connection.id {
                self.network.finish(id);
            }
        }
    }

    /// Closes all connections: first with a FIN, which is retransmitted if lost, and after `pause`
    /// with a reset, which also frees a place in an accept queue.
    pub(in crate::bench::limits) fn close_all(&mut self, pause: Duration) -> Result<(), Abort> {
        for connection in self.connections.iter().filter(|it| it.is_live()) {
            if let Some(id) = connection.id {
                self.network.finish(id);
            }
        }
        let waited = self.sleep(pause);
        self.release_all();
        waited
    }

    /// Resets all connections.
    pub(in crate::bench::limits) fn release_all(&mut self) {
        for index in 0..self.connections.len() {
            self.release_at(index, Release::Reset);
        }
        self.connections.clear();
    }

    pub(super) fn release_at(&mut self, index: usize, how: Release) {
        let connection = &mut self.connections[index];
        let Some(id) = connection.id.take() else {
            return;
        };
        if connection.connected.is_some()
            && let Some(info) = self.network.info(id)
        {
            connection.syn_retransmissions = Some(info.syn_retransmissions);
            connection.retransmissions = Some(info.retransmissions);
            self.retransmissions += (info.syn_retransmissions + info.retransmissions) as usize;
        }
        self.network.release(id, how);
    }
}
