//! The tables of `firmware/README.md` against the code.

use tcpctl_greeter::memory;

use super::chips::CHIPS;

/// The rows of the first table under a heading, cell by cell.
fn table(heading: &str) -> Vec<Vec<String>> {
    let path = super::root().join("firmware/README.md");
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().skip_while(|line| *line != heading);
    lines
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        // Skip the titles and the line below them.
        .skip(2)
        .map(|line| {
            let cells = line.trim_matches('|').split('|');
            cells.map(|cell| cell.trim().to_owned()).collect()
        })
        .collect()
}

fn number(cell: &str) -> usize {
    cell.replace(',', "").parse().unwrap()
}

#[test]
fn chip_table_has_every_chip_with_its_budget() {
    let rows = table("## Chips");
    assert_eq!(rows.len(), memory::CHIPS.len());
    for memory in memory::CHIPS {
        let is_named = |cell: &str| {
            let name = cell.split(',').next().unwrap();
            name.replace('-', "").eq_ignore_ascii_case(memory.chip)
        };
        let row = rows.iter().find(|row| is_named(&row[0]));
        let row = row.unwrap_or_else(|| panic!("no row for {}", memory.chip));
        let chip = CHIPS.iter().find(|chip| chip.name == memory.chip).unwrap();
        let toolchain = if chip.is_xtensa() {
            "pinned nightly"
        } else {
            "stable"
        };
        assert_eq!(row[2], toolchain, "{}", chip.name);
        assert_eq!(number(&row[3]), chip.budget as usize, "{}", chip.name);
        let state = "built and image-checked; not run on hardware";
        assert_eq!(row[4], state, "{}", chip.name);
    }
}

#[test]
fn memory_table_matches_the_code() {
    let rows = table("### Memory");
    assert_eq!(rows.len(), memory::CHIPS.len());
    for (row, memory) in rows.iter().zip({
        let mut chips = memory::CHIPS;
        chips.sort_by_key(|it| it.chip);
        chips
    }) {
        assert_eq!(row[0], memory.chip);
        let heap = memory.reclaimed_heap + memory.extra_heap;
        let fits = memory.capacity(memory.slots, memory::MAX_SERVICE_STREAMS);
        assert_eq!(number(&row[1]), heap, "{}", memory.chip);
        assert_eq!(number(&row[2]), memory.rx_queue, "{}", memory.chip);
        assert_eq!(number(&row[3]), memory.slots, "{}", memory.chip);
        let with_services = format!("{}, {}", fits.slots, fits.service_streams);
        assert_eq!(row[4], with_services, "{}", memory.chip);
    }
}
