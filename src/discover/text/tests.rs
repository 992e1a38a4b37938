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
fn a_line_shows_everything_escaped() {
    let text = pipe_line(&board("a\u{1b}]0;x\u{7}\u{202e}"), Color::Off);
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
    let long = pipe_line(&board(&"x".repeat(5000)), Color::Off);
    assert!(long.len() < 300, "{}", long.len());
}

const NARROW: Size = Size {
    columns: 30,
    rows: 6,
};

/// The lines of a table.
fn lines(text: &str) -> Vec<&str> {
    let table = text.trim_start_matches('\n').strip_prefix("\x1b[H\x1b[J");
    table.unwrap().lines().collect()
}

fn table(names: &[&str]) -> Table {
    Table {
        boards: names.iter().map(|name| board(name)).collect(),
        drawn_on: None,
    }
}

#[test]
fn columns_are_aligned_in_any_script() {
    let wide = Size {
        columns: 200,
        rows: 24,
    };
    let text = table(&["a", "厨房の板", "Küche"]).draw(wide, Color::Off);
    let lines = lines(&text);
    let column = |line: &str, part: &str| line[..line.find(part).unwrap()].width();
    let addresses = column(lines[0], "ADDRESS");
    assert_eq!(lines.len(), 5, "{text}");
    for line in &lines[1..4] {
        assert_eq!(column(line, "[fe80"), addresses, "{text}");
    }
}

#[test]
fn a_long_name_is_cut_first() {
    let screen = Size {
        columns: 110,
        rows: 24,
    };
    let long = "Board in the kitchen with a very long name";
    let text = table(&[long]).draw(screen, Color::Off);
    let line = lines(&text)[1];
    assert!(line.starts_with("Board in th...  [fe80"), "{text}");
    assert!(line.contains("online 1.32 ms"), "{text}");
    assert!(line.width() <= screen.columns, "{text}");
}

#[test]
fn a_narrow_terminal_keeps_the_status() {
    let of = |columns| {
        let screen = Size { columns, rows: 24 };
        let mut table = table(&[]);
        let mut board = board("tcpctl-0b3c");
        board.greeting = None;
        board.addresses = vec!["192.168.178.123".into()];
        table.boards.push(board);
        let text = table.draw(screen, Color::Off);
        let lines = lines(&text);
        assert!(lines.iter().all(|it| it.width() <= columns), "{text}");
        lines[..2]
            .iter()
            .map(|it| (*it).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        of(80),
        [
            "NAME         ADDRESS               CHIP     MODE  WHERE  STATUS",
            "tcpctl-0b3c  192.168.178.123:3000  esp32c3  sta   eth0   online 1.32 ms",
        ]
    );
    assert_eq!(
        of(40),
        ["NAME         STATUS", "tcpctl-0b3c  online 1.32 ms",]
    );
}

#[test]
fn a_search_line_fits_80_columns() {
    let mut simple = board("tcpctl-0b3c");
    (simple.greeting, simple.addresses) = (None, vec!["192.168.178.123".into()]);
    simple.interface = Some("enp0s31f6".into());
    assert_eq!(
        terminal_line(HEADINGS.map(Cow::Borrowed), 80),
        "NAME              ADDRESS              CHIP      MODE  WHERE      STATUS"
    );
    let line = terminal_line(cells(&simple), 80);
    assert_eq!(
        line,
        "tcpctl-0b3c      192.168.178.123:3000  esp32c3   sta   enp0s31f6  online 1.32 ms"
    );
    assert!(line.width() <= 80);
}

#[test]
fn a_long_search_line_is_folded_between_columns() {
    let line = terminal_line(cells(&board("Board in the kitchen")), 60);
    assert!(line.lines().count() > 1, "{line}");
    assert!(line.lines().all(|it| it.width() <= 60), "{line}");
}

#[test]
fn boards_at_one_address_have_a_line_each() {
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
fn a_table_is_drawn_from_the_top_of_its_screen() {
    let mut table = table(&["a", "b", "c", "d", "e"]);
    let text = table.draw(NARROW, Color::Off);
    let drawn = lines(&text);
    assert_eq!(drawn.len(), NARROW.rows - 1, "{text}");
    assert!(drawn.iter().all(|line| line.width() <= NARROW.columns));
    assert_eq!(drawn[3..], ["and 3 more", "5 boards; Ctrl-C ends"]);
    // The previous content of the screen scrolls away only once.
    let again = table.draw(NARROW, Color::Off);
    assert_eq!(text, format!("{}{again}", "\n".repeat(NARROW.rows)));
}
