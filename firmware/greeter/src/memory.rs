//! Memory of each chip: how the heap is made up, and how many connections fit.
//!
//! Costs were measured on an emulated ESP32-C3; the sum for each chip is tested here, on the host.
//! At the lowest point at least [`RESERVE`] bytes stay free. Services get fewer connections before
//! the greeting server has fewer than [`MIN_SLOTS`], then the greeting server gets fewer.

/// Bytes of heap that stay free at the lowest point.
pub const RESERVE: usize = 16 * 1024;
/// Connections of the greeting server that the services must leave, if so many are wanted.
pub const MIN_SLOTS: usize = 4;
/// Connections to each service, at most.
pub const MAX_SERVICE_STREAMS: usize = 2;
/// Bytes of each of the two buffers of a service's connection: two full segments.
pub const SERVICE_BUFFER: usize = 2 * 1460;

/// Heap used by the radio's driver and tasks, without connections.
const BASE: usize = 61_584;
/// Heap used at the peak for frames of each connection.
const PER_SLOT: usize = 1_089;
/// Frames in the receive queue that [`BASE`] includes; each further one may hold this much heap.
const BASE_RX_QUEUE: usize = 5;
const PER_RX_FRAME: usize = 480;
/// A management connection: its buffers, and 0.7 kB for a Noise handshake.
const MANAGEMENT: usize = 4 * 1024;
/// Echo, discard and chargen.
const SERVICES: usize = 3;

/// Memory of a chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// The chip, `esp32c3`.
    pub chip: &'static str,
    /// Bytes of heap in RAM that the bootloader no longer needs.
    pub reclaimed_heap: usize,
    /// Bytes of heap besides. What is left of RAM is the main stack, of which a C3 used 30 kB.
    pub extra_heap: usize,
    /// Frames in the driver's receive queue. Its default, 5, loses frames once several clients send.
    pub rx_queue: usize,
    /// Connections of the greeting server in static memory, 2.4 kB each.
    pub slots: usize,
}

/// Connections that fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Connections of the greeting server, served and waiting.
    pub slots: usize,
    /// Connections to each service.
    pub service_streams: usize,
}

const fn memory(chip: &'static str, heap: [usize; 2], rx_queue: usize, slots: usize) -> Memory {
    Memory {
        chip,
        reclaimed_heap: heap[0] * 1024,
        extra_heap: heap[1] * 1024,
        rx_queue,
        slots,
    }
}

/// All chips.
pub const CHIPS: [Memory; 8] = [
    memory("esp32", [96, 48], 24, 16),
    memory("esp32c2", [64, 44], 12, 8),
    memory("esp32c3", [64, 88], 24, 32),
    memory("esp32c5", [64, 76], 24, 32),
    memory("esp32c6", [64, 128], 24, 32),
    memory("esp32c61", [64, 60], 24, 16),
    memory("esp32s2", [132, 1], 24, 8),
    memory("esp32s3", [72, 88], 24, 32),
];

impl Memory {
    /// The memory of this chip. Call it in a constant.
    ///
    /// # Panics
    /// The chip is unknown.
    pub const fn of(chip: &str) -> Self {
        let mut index = 0;
        while index < CHIPS.len() {
            if is_equal(CHIPS[index].chip.as_bytes(), chip.as_bytes()) {
                return CHIPS[index];
            }
            index += 1;
        }
        panic!("unknown chip");
    }

    /// Bytes of heap free at the lowest point; `None` where it is not enough.
    const fn lowest_heap(&self, capacity: Capacity) -> Option<usize> {
        let services = SERVICES * capacity.service_streams * 2 * SERVICE_BUFFER;
        let used = BASE
            + (self.rx_queue - BASE_RX_QUEUE) * PER_RX_FRAME
            + MANAGEMENT
            + capacity.slots * PER_SLOT
            + services;
        (self.reclaimed_heap + self.extra_heap).checked_sub(used)
    }

    /// The connections that fit of those wanted.
    pub fn capacity(&self, slots: usize, service_streams: usize) -> Capacity {
        let wanted = slots.min(self.slots);
        let mut capacity = Capacity {
            slots: wanted,
            service_streams: service_streams.min(MAX_SERVICE_STREAMS),
        };
        while (capacity.slots > 0 || capacity.service_streams > 0)
            && self
                .lowest_heap(capacity)
                .is_none_or(|lowest| lowest < RESERVE)
        {
            if capacity.slots > MIN_SLOTS || capacity.service_streams == 0 {
                capacity.slots -= 1;
            } else {
                capacity = Capacity {
                    slots: wanted,
                    service_streams: capacity.service_streams - 1,
                };
            }
        }
        capacity
    }
}

const fn is_equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut index = 0;
    while index < a.len() {
        if a[index] != b[index] {
            return false;
        }
        index += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    #[test]
    fn heap_budget_holds_for_every_chip() {
        for memory in CHIPS {
            for slots in 0..=40 {
                for streams in 0..=MAX_SERVICE_STREAMS {
                    let capacity = memory.capacity(slots, streams);
                    let lowest = memory.lowest_heap(capacity);
                    assert!(lowest >= Some(RESERVE), "{memory:?} {capacity:?}");
                    assert!(capacity.slots >= slots.min(MIN_SLOTS), "{memory:?}");
                }
            }
        }
    }

    #[test]
    fn without_services_every_slot_fits() {
        for memory in CHIPS {
            let capacity = memory.capacity(64, 0);
            assert_eq!(capacity.slots, memory.slots, "{}", memory.chip);
        }
    }

    #[test]
    fn services_reduce_slots_first_then_streams() {
        for (chip, slots, service_streams) in [
            ("esp32", 16, 2),
            ("esp32c2", 7, 1),
            ("esp32c3", 27, 2),
            ("esp32c5", 15, 2),
            ("esp32c6", 32, 2),
            ("esp32c61", 16, 1),
            ("esp32s2", 8, 2),
            ("esp32s3", 32, 2),
        ] {
            let expected = Capacity {
                slots,
                service_streams,
            };
            assert_eq!(Memory::of(chip).capacity(32, 2), expected, "{chip}");
        }
    }
}
