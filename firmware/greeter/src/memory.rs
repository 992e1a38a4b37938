//! Memory of each chip: the parts of the heap, and the connections that fit.
//!
//! Costs were measured on an emulated ESP32-C3; the sum for each chip is tested here, on the host.
//! At the lowest point at least [`RESERVE`] bytes stay free. Services get fewer connections before
//! the greeting server has fewer than [`MIN_SLOTS`], then the greeting server gets fewer.

/// Bytes of heap that stay free at the lowest point.
pub const RESERVE: usize = 16 * 1024;
/// Minimum connections of the greeting server that the services must leave, if so many are
/// requested.
pub const MIN_SLOTS: usize = 4;
/// Maximum connections per service.
pub const MAX_SERVICE_STREAMS: usize = 2;
/// Bytes of each of the two buffers per service connection: two full segments.
pub const SERVICE_BUFFER: usize = 2 * 1460;

/// Heap used by the radio's driver and tasks, without connections.
const BASE: usize = 61_584;
/// Peak heap used for the frames of each connection.
const PER_SLOT: usize = 1_089;
/// Frames in the receive queue that [`BASE`] includes. Each further one may take this much heap.
const BASE_RX_QUEUE: usize = 5;
const PER_RX_FRAME: usize = 480;
/// The management server: 1.8 kB of buffers and, on a host, 2.9 kB for a session (the test `heap` of
/// tcpctl-management). An update takes 1.4 kB more, from the reserve.
pub(crate) const MANAGEMENT: usize = 5 * 1024;
/// Echo, discard and chargen.
const SERVICES: usize = 3;

/// Memory of a chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// The chip, `esp32c3`.
    pub chip: &'static str,
    /// Bytes of heap in RAM that the bootloader no longer needs.
    pub reclaimed_heap: usize,
    /// Bytes of additional heap. The rest of RAM is the main stack, of which a C3 used 30 kB.
    pub extra_heap: usize,
    /// Frames in the driver's receive queue. The default of 5 loses frames when several clients
    /// send.
    pub rx_queue: usize,
    /// Connections of the greeting server in static memory, 2.4 kB each.
    pub slots: usize,
}

/// The connections that fit into memory.
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

    /// Bytes of heap that are free at the lowest point; `None` if the memory is not enough.
    const fn lowest_heap(&self, capacity: Capacity) -> Option<usize> {
        let services = SERVICES * capacity.service_streams * 2 * SERVICE_BUFFER;
        let used = BASE
            + (self.rx_queue - BASE_RX_QUEUE) * PER_RX_FRAME
            + MANAGEMENT
            + capacity.slots * PER_SLOT
            + services;
        (self.reclaimed_heap + self.extra_heap).checked_sub(used)
    }

    /// The connections that fit, out of the requested ones.
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

    /// The expected capacity of a chip, and the heap that is free at the lowest point, computed by
    /// hand from the costs above.
    struct Budget {
        chip: &'static str,
        rx_queue: usize,
        alone: (Capacity, usize),
        with_services: (Capacity, usize),
    }

    const fn fits(slots: usize, service_streams: usize, lowest: usize) -> (Capacity, usize) {
        let capacity = Capacity {
            slots,
            service_streams,
        };
        (capacity, lowest)
    }

    const fn budget(
        chip: &'static str,
        rx_queue: usize,
        alone: (Capacity, usize),
        with_services: (Capacity, usize),
    ) -> Budget {
        Budget {
            chip,
            rx_queue,
            alone,
            with_services,
        }
    }

    const BUDGETS: [Budget; CHIPS.len()] = [
        budget("esp32", 24, fits(16, 0, 54_208), fits(16, 2, 19_168)),
        budget("esp32c2", 12, fits(8, 0, 31_816), fits(6, 1, 16_474)),
        budget("esp32c3", 24, fits(32, 0, 44_976), fits(26, 2, 16_470)),
        budget("esp32c5", 24, fits(32, 0, 32_688), fits(14, 2, 17_250)),
        budget("esp32c6", 24, fits(32, 0, 85_936), fits(32, 2, 50_896)),
        budget("esp32c61", 24, fits(16, 0, 33_728), fits(15, 1, 17_297)),
        budget("esp32s2", 24, fits(8, 0, 51_656), fits(8, 2, 16_616)),
        budget("esp32s3", 24, fits(32, 0, 53_168), fits(32, 2, 18_128)),
    ];

    #[test]
    fn every_chip_keeps_its_heap_budget() {
        for (memory, budget) in CHIPS.iter().zip(BUDGETS) {
            let chip = budget.chip;
            assert_eq!(memory.chip, chip);
            assert_eq!(memory.rx_queue, budget.rx_queue, "{chip}");
            for (streams, (fits, lowest)) in [(0, budget.alone), (2, budget.with_services)] {
                // 16+16, and 32+32, the maximum that the settings allow.
                for slots in [32, 64] {
                    assert_eq!(memory.capacity(slots, streams), fits, "{chip}");
                }
                assert_eq!(memory.lowest_heap(fits), Some(lowest), "{chip}");
                assert!(lowest >= 16 * 1024, "{chip}");
            }
        }
    }

    #[test]
    fn without_services_every_slot_fits() {
        for (memory, budget) in CHIPS.iter().zip(BUDGETS) {
            assert_eq!(memory.slots, budget.alone.0.slots, "{}", memory.chip);
        }
    }

    #[test]
    fn services_leave_a_few_slots() {
        for memory in CHIPS {
            for slots in 0..=40 {
                let capacity = memory.capacity(slots, MAX_SERVICE_STREAMS);
                assert!(capacity.slots >= slots.min(MIN_SLOTS), "{memory:?}");
            }
        }
    }

    #[test]
    fn settings_that_fit_are_not_reduced() {
        let capacity = Memory::of("esp32c3").capacity(8, 2);
        assert_eq!((capacity.slots, capacity.service_streams), (8, 2));
    }
}
