//! Whether the board is on its network, for the tasks that run only then.

use tcpctl_greeter::presence::Presence;

use crate::chip::MAX_SLOTS;

/// Connections to each bench service at the same time.
pub(crate) const SERVICE_STREAMS: usize = 2;
/// Sockets that serve connections: the greeting's, and those of echo, discard and chargen.
pub(crate) const SERVER_SOCKETS: usize = MAX_SLOTS + 3 * SERVICE_STREAMS;

/// Whether the board is on its network; waited for by each server and by the boot guard.
pub(crate) type Online = Presence<{ SERVER_SOCKETS + 1 }>;
