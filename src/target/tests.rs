use super::*;

fn addresses(text: &str) -> Vec<SocketAddr> {
    match Target::parse(text).unwrap().kind {
        TargetKind::Addresses(addresses) => addresses,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn addresses_with_and_without_a_port() {
    for (text, address) in [
        ("192.168.1.1", "192.168.1.1:3000"),
        ("192.168.1.1:80", "192.168.1.1:80"),
        ("::1", "[::1]:3000"),
        ("[::1]", "[::1]:3000"),
        ("[::1]:7", "[::1]:7"),
        ("[fe80::1%7]:80", "[fe80::1%7]:80"),
        ("fe80::1%7", "[fe80::1%7]:3000"),
        ("2001:db8::5", "[2001:db8::5]:3000"),
    ] {
        assert_eq!(addresses(text), [address.parse().unwrap()], "{text}");
    }
}

#[test]
fn names_with_and_without_a_port() {
    for (text, name, number) in [
        ("greeter-1a2b3c.local", "greeter-1a2b3c.local", None),
        ("localhost:65535", "localhost", Some(65535)),
        ("my_board", "my_board", None),
        ("similar:80", "similar", Some(80)),
    ] {
        match Target::parse(text).unwrap().kind {
            TargetKind::Name { host, port } => assert_eq!((host.as_str(), port), (name, number)),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn board_names_with_spaces_and_escapes() {
    for (text, name, number) in [
        ("Board in the kitchen", "Board in the kitchen", None),
        ("Board in the kitchen:80", "Board in the kitchen", Some(80)),
        (
            "Board in the kitchen.local",
            "Board in the kitchen.local",
            None,
        ),
        ("Desk: left", "Desk: left", None),
        ("Desk: left:80", "Desk: left", Some(80)),
        ("Desk 1: 2", "Desk 1: 2", None),
        ("Lab/2 (new)", "Lab/2 (new)", None),
        ("[Lab] board", "[Lab] board", None),
        ("Bob's", "Bob's", None),
        ("greeter(2)", "greeter(2)", None),
        ("Küche 2", "Küche 2", None),
        ("Küche", "Küche", None),
        // As avahi-browse writes them.
        (
            r"Board\032in\032the\032kitchen",
            "Board in the kitchen",
            None,
        ),
        (r"K\195\188che\032v1\.2:7", "Küche v1.2", Some(7)),
        (r"back\\slash", r"back\slash", None),
        (r"no\999escape\0", r"no\999escape\0", None),
        (r"no\255text", r"no\255text", None),
    ] {
        match Target::parse(text).unwrap().kind {
            TargetKind::Name { host, port } => assert_eq!((host.as_str(), port), (name, number)),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn virtual_boards() {
    for text in ["sim", "sim:", "sim:esp32,workers=2", "sim,workers=2"] {
        assert!(
            matches!(Target::parse(text).unwrap().kind, TargetKind::Virtual(_)),
            "{text}"
        );
    }
}

#[test]
fn invalid_targets_are_rejected_with_a_fix() {
    for (text, message, hint) in [
        ("", "empty", "HOST:PORT"),
        (":3000", "host is missing", "127.0.0.1:3000"),
        ("board:", "port after ':' is missing", "board:3000"),
        ("board:0", "port 0", "1 to 65535"),
        ("board:70000", "'70000' is not a valid port", "1 to 65535"),
        ("board:+80", "'+80' is not a valid port", "1 to 65535"),
        ("board:http", "'http' is not a valid port", "1 to 65535"),
        (" board", "trailing space", "write 'board'"),
        ("the board ", "trailing space", "write 'the board'"),
        ("10.0.0.1 80", "a space", "write 10.0.0.1:80"),
        ("fe80::1 now", "a space", "write [fe80::1]:3000"),
        ("a board:0", "port 0", "1 to 65535"),
        (r"board\027[2J", "'['", "HOST"),
        (r"a board\027[2J", "control", "HOST"),
        ("board;80", "';'", "HOST"),
        ("board\u{1b}[2J", "control", "HOST"),
        ("fe80::1:3000", "with or without a port", "[fe80::1]:3000"),
        ("a:b:c", "more than one ':'", "brackets"),
        ("[::1", "missing ]", "[IPV6]:PORT"),
        ("[::1]80", "follow the ]", "[IPV6]:PORT"),
        ("[board]:80", "no IPv6 address", "[IPV6]:PORT"),
        ("[fe80::1%nosuch0]:80", "'nosuch0'", "zone"),
        ("1.2.3.400", "not a valid IPv4 address", "four numbers"),
        ("1.2.3", "not a valid IPv4 address", "four numbers"),
        ("http://board:80/x", "URL", "write board:80"),
        ("board/x", "'/'", "HOST"),
        ("user@board", "'@'", "HOST"),
        ("sim:nonsense", "nonsense", "sim:ideal"),
    ] {
        let failure = Target::parse(text).unwrap_err();
        assert!(failure.message.contains(message), "{text}: {failure}");
        assert!(
            failure.hint.as_deref().unwrap_or_default().contains(hint),
            "{text}: {failure}"
        );
        assert!(!failure.to_string().contains(char::is_control), "{text}");
    }
}
