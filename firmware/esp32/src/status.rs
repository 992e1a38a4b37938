//! The board's part of a `status` reply.

use core::cell::Cell;

use embassy_time::Instant;
use tcpctl_greeter::active_settings::ActiveSettings;
use tcpctl_greeter::reset::Reset;
use tcpctl_greeter::status::{Board, Reduced, Vitals};
use tcpctl_greeter::trial::TrialRun;

use crate::chip::{self, Thermometer};
use crate::flash::ChipFirmware;
use crate::management::ChipManagement;
use crate::raw;

/// The chip's state, updated by the radio's tasks.
pub(crate) struct ChipStatus {
    name: &'static str,
    mode: &'static str,
    boot_reason: Reset,
    thermometer: Thermometer,
    service_streams: usize,
    reduced: Reduced,
    /// Bytes of the main stack that were never used, at the last measurement: a measurement takes a
    /// millisecond, too long for every request.
    pub(crate) stack_lowest: Cell<usize>,
    /// Signal of the access point in dBm, in STA mode.
    pub(crate) rssi_dbm: Cell<Option<i8>>,
    /// Associated stations, in AP mode.
    pub(crate) stations: Cell<Option<usize>>,
    /// Trial of the settings.
    trial: &'static TrialRun,
    firmware: &'static ChipFirmware,
    management: Cell<Option<&'static ChipManagement>>,
}

impl ChipStatus {
    /// `mode` is `ap` or `sta`.
    pub(crate) fn new(
        name: &'static str,
        mode: &'static str,
        active: &ActiveSettings,
        boot_reason: Reset,
        thermometer: Thermometer,
        trial: &'static TrialRun,
        firmware: &'static ChipFirmware,
    ) -> Self {
        Self {
            name,
            mode,
            boot_reason,
            thermometer,
            service_streams: active.capacity().service_streams,
            reduced: active.reduced(),
            stack_lowest: Cell::new(raw::unused_stack()),
            rssi_dbm: Cell::new(None),
            stations: Cell::new(None),
            trial,
            firmware,
            management: Cell::new(None),
        }
    }

    /// Sets the management server whose counters are reported.
    pub(crate) fn set_management(&self, management: &'static ChipManagement) {
        self.management.set(Some(management));
    }
}

impl Board for ChipStatus {
    fn vitals(&self) -> Vitals<'_> {
        let heap = esp_alloc::HEAP.stats();
        Vitals {
            name: self.name,
            firmware: crate::VERSION,
            chip: chip::NAME,
            mode: self.mode,
            // The clock starts with the chip.
            uptime: Instant::now() - Instant::MIN,
            boot_reason: Some(self.boot_reason),
            heap_free: Some(heap.size.saturating_sub(heap.current_usage)),
            heap_lowest: Some(heap.size.saturating_sub(heap.max_usage)),
            stack_lowest: Some(self.stack_lowest.get()),
            rssi_dbm: self.rssi_dbm.get(),
            stations: self.stations.get(),
            temperature_decidegrees: self.thermometer.decidegrees(),
            service_streams: self.service_streams,
            reduced: self.reduced,
            management: self
                .management
                .get()
                .filter(|management| management.is_on())
                .map(ChipManagement::counters),
            trial: self.trial.report(),
            update: self.firmware.status(),
        }
    }
}
