use super::*;
use crate::discover::report::Source;

fn board(name: &str) -> BoardReport {
    BoardReport {
        id: name.bytes().map(u64::from).sum(),
        name: Some(name.into()),
        host: None,
        addresses: vec!["fe80::1%eth0".into(), "10.0.0.1".into()],
        port: Some(3000),
        chip: Some("esp32c3".into()),
        mode: Some("sta".into()),
        firmware: None,
        mac: None,
        sources: vec![Source::Mdns, Source::Gateway],
        status: Status::Online,
        interface: Some("eth0".into()),
        serial_port: None,
        usb: None,
        rtt_us: Some(1320),
        greeting: Some("hi\u{1b}[2J".into()),
    }
}

#[test]
fn a_line_has_all_that_is_known_and_nothing_that_harms() {
    let text = line(&board("a\u{1b}]0;x\u{7}\u{202e}"), Color::Off);
    assert!(text.starts_with("a\\x1b]0;x\\x07\\u{202e}"), "{text}");
    for part in [
        "[fe80::1%eth0]:3000",
        "esp32c3",
        "sta",
        "mdns+gateway",
        "eth0",
        "online 1.32 ms",
        "\"hi\\x1b[2J\"",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains(char::is_control), "{text:?}");
    let long = line(&board(&"x".repeat(5000)), Color::Off);
    assert!(long.len() < 300, "{}", long.len());
}

const NARROW: Size = Size {
    columns: 30,
    rows: 6,
};

fn table(names: &[&str]) -> Table {
    Table {
        boards: names.iter().map(|name| board(name)).collect(),
        drawn: Vec::new(),
        size: NARROW,
        watching: true,
    }
}

#[test]
fn columns_are_aligned_in_any_script() {
    let wide = Size {
        columns: 200,
        rows: 24,
    };
    let text = table(&["a", "厨房の板", "Küche"]).draw(wide, wide, Color::Off);
    let lines: Vec<_> = text.lines().collect();
    let column = |line: &str, part: &str| line[..line.find(part).unwrap()].width();
    let addresses = column(lines[0], "ADDRESS");
    assert_eq!(lines.len(), 5, "{text}");
    for line in &lines[1..4] {
        assert_eq!(column(line, "[fe80"), addresses, "{text}");
    }
}

#[test]
fn where_all_does_not_fit_it_is_the_name_that_is_cut() {
    let screen = Size {
        columns: 110,
        rows: 24,
    };
    let long = "Board in the kitchen with a very long name";
    let text = table(&[long]).draw(screen, screen, Color::Off);
    let line = text.lines().nth(1).unwrap();
    assert!(line.starts_with("Board in th...  [fe80"), "{text}");
    assert!(line.contains("online 1.32 ms"), "{text}");
    assert!(line.width() <= screen.columns, "{text}");
}

#[test]
fn on_a_narrow_terminal_columns_are_left_out_and_not_the_status() {
    let of = |columns| {
        let screen = Size { columns, rows: 24 };
        let mut table = table(&[]);
        let mut board = board("tcpctl-0b3c");
        board.greeting = None;
        board.addresses = vec!["192.168.178.123".into()];
        table.boards.push(board);
        let text = table.draw(screen, screen, Color::Off);
        assert!(text.lines().all(|it| it.width() <= columns), "{text}");
        text.lines().take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        of(80),
        [
            "NAME         ADDRESS               CHIP     FOUND         WHERE  STATUS",
            "tcpctl-0b3c  192.168.178.123:3000  esp32c3  mdns+gateway  eth0   online 1.32 ms",
        ]
    );
    assert_eq!(
        of(40),
        ["NAME         STATUS", "tcpctl-0b3c  online 1.32 ms",]
    );
}

/// Nothing is cut of the last table, and no terminal breaks it in the middle of a word.
#[test]
fn the_last_table_is_broken_between_columns() {
    let terminal = Size {
        columns: 60,
        rows: 24,
    };
    let whole = Size {
        columns: usize::MAX,
        rows: usize::MAX,
    };
    let mut table = table(&["tcpctl-0b3c"]);
    table.watching = false;
    let text = table.draw(terminal, whole, Color::Off);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    for (heading, cell) in [("FOUND", "mdns+gateway"), ("STATUS", "online 1.32 ms")] {
        let at = |line: usize, part| lines[line].find(part).unwrap();
        assert_eq!(at(1, heading), at(3, cell), "{text}");
    }
    assert!(lines.iter().all(|line| line.width() <= 60), "{text}");
}

#[test]
fn two_names_at_one_address_have_a_line_each() {
    let mut table = table(&[]);
    for (event, name) in [
        (Event::Found, "a"),
        (Event::Found, "b"),
        (Event::Updated, "a"),
        (Event::Lost, "b"),
        (Event::Found, "c"),
    ] {
        table.take(&DiscoverReport::new(event, board(name)));
    }
    let names: Vec<_> = table.boards.iter().map(|it| it.name.as_deref()).collect();
    assert_eq!(names, [Some("a"), Some("c")]);
}

#[test]
fn a_table_stays_on_its_screen_and_is_drawn_over_itself() {
    let mut table = table(&["a", "b", "c", "d", "e"]);
    let text = table.draw(NARROW, NARROW, Color::Off);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), NARROW.rows - 1, "{text}");
    assert!(lines.iter().all(|line| line.width() <= NARROW.columns));
    assert_eq!(lines[3..], ["and 3 more", "5 boards; Ctrl-C ends"]);
    let again = table.draw(NARROW, NARROW, Color::Off);
    assert_eq!(again, format!("\x1b[5A\r\x1b[J{text}"));
    // On half the columns some lines take two rows.
    let half = Size {
        columns: 15,
        ..NARROW
    };
    let narrower = table.draw(half, half, Color::Off);
    let above: usize = table_rows(&lines, 15);
    assert!(
        narrower.starts_with(&format!("\x1b[{above}A")),
        "{narrower:?}"
    );
    assert!(above > lines.len());
}

fn table_rows(lines: &[&str], columns: usize) -> usize {
    lines.iter().map(|it| it.width().div_ceil(columns)).sum()
}
