//! What the board can say of itself.

use core::cell::Cell;

use embassy_time::Instant;
use tcpctl_greeter::status::{Board, Vitals};

use crate::chip::{self, Thermometer};
use crate::headroom;

/// The chip, and what the radio's tasks last knew.
pub(crate) struct Chip {
    mode: &'static str,
    thermometer: Thermometer,
    /// Bytes of the main stack that were never used, when it was last looked at: that takes a
    /// millisecond, too long for every request.
    pub(crate) stack_lowest: Cell<usize>,
    /// The access point's signal, in dBm, while this is a station on a network.
    pub(crate) rssi_dbm: Cell<Option<i8>>,
    /// How many stations are there, while this is an access point.
    pub(crate) stations: Cell<Option<usize>>,
}

impl Chip {
    /// A chip in `mode`, `ap` or `sta`.
    pub(crate) fn new(mode: &'static str, thermometer: Thermometer) -> Self {
        Self {
            mode,
            thermometer,
            stack_lowest: Cell::new(headroom::lowest()),
            rssi_dbm: Cell::new(None),
            stations: Cell::new(None),
        }
    }
}

impl Board for Chip {
    fn vitals(&self) -> Vitals {
        let heap = esp_alloc::HEAP.stats();
        Vitals {
            firmware: crate::VERSION,
            chip: chip::NAME,
            mode: self.mode,
            // The clock starts with the chip.
            uptime: Instant::now() - Instant::MIN,
            heap_free: Some(heap.size.saturating_sub(heap.current_usage)),
            heap_lowest: Some(heap.size.saturating_sub(heap.max_usage)),
            stack_lowest: Some(self.stack_lowest.get()),
            rssi_dbm: self.rssi_dbm.get(),
            stations: self.stations.get(),
            temperature_decidegrees: self.thermometer.decidegrees(),
        }
    }
}
