//! Whether the board is on its network, for the tasks that run only then.

use tcpctl_greeter::memory::MAX_SERVICE_STREAMS;
use tcpctl_greeter::presence::Presence;

use crate::chip::MEMORY;

/// Sockets that serve connections: the greeting's, and those of echo, discard and chargen.
pub(crate) const SERVER_SOCKETS: usize = MEMORY.slots + 3 * MAX_SERVICE_STREAMS;

/// Whether the board is on its network; waited for by each server, the management server and the boot
/// guard.
pub(crate) type Online = Presence<{ SERVER_SOCKETS + 2 }>;
