//! A board's partition table, as read from flash.

use tcpctl::esp::table::{SETTINGS, Table};

/// A table has valid offsets, or is rejected.
pub fn holds(data: &[u8]) {
    let Some(table) = Table::parse(data) else {
        return;
    };
    assert!(table.partitions().len() <= data.len() / 32);
    for partition in table.partitions() {
        // An end past 4 GiB must not wrap, or a partition would overlap nothing.
        assert_eq!(partition.is_apart_from(partition), partition.size == 0);
    }
    assert_eq!(
        table.app().is_some(),
        table.partitions().iter().any(|partition| partition.is_app)
    );
    assert!(
        table
            .find(SETTINGS)
            .is_none_or(|found| found.label == SETTINGS)
    );
}
