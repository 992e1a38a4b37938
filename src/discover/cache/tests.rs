use super::*;

/// A cache in a temporary folder.
struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> (Self, Cache) {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("tcpctl").join("boards.json"));
        (Self(folder), cache)
    }
}

fn board(name: &str, mac: Option<&str>, address: &str, seen: SystemTime) -> CachedBoard {
    CachedBoard {
        name: name.to_owned(),
        host: Some(format!("{name}-host.local")),
        addresses: vec![address.to_owned()],
        port: 3000,
        mac: mac.map(str::to_owned),
        seen: seconds(seen),
    }
}

#[test]
fn a_fresh_board_is_found_by_each_of_its_names() {
    let (_scratch, cache) = Scratch::new();
    let now = SystemTime::now();
    cache.store(vec![board("greeter", None, "10.0.0.1", now)], now);
    for name in [
        "greeter",
        "GREETER.local",
        "greeter.local.",
        "greeter-host.local",
        "greeter-host",
    ] {
        assert_eq!(cache.fresh(name, now).len(), 1, "{name}");
    }
    assert!(cache.fresh("greet", now).is_empty());
    let later = now + FRESH_FOR;
    assert!(cache.fresh("greeter", later).is_empty());
    assert_eq!(cache.names(later), ["greeter"]);
    assert!(cache.names(now + MAX_AGE).is_empty());
    cache.forget("greeter.local");
    assert!(cache.names(now).is_empty());
}

#[test]
fn two_boards_with_one_name_are_two_entries() {
    let (_scratch, cache) = Scratch::new();
    let now = SystemTime::now();
    let both = vec![
        board("a", Some("02:00:00:00:00:01"), "10.0.0.1", now),
        board("a", Some("02:00:00:00:00:02"), "10.0.0.2", now),
    ];
    cache.store(both, now);
    cache.store(
        vec![board("a", Some("02:00:00:00:00:02"), "10.0.0.3", now)],
        now,
    );
    let addresses: Vec<_> = cache
        .fresh("a", now)
        .into_iter()
        .flat_map(|board| board.addresses)
        .collect();
    assert_eq!(addresses, ["10.0.0.3", "10.0.0.1"]);
    let macs = ["02:00:00:00:00:02", "02:00:00:00:00:01"];
    assert_eq!(cache.macs("A.local", now), macs);
    assert!(cache.macs("b", now).is_empty());
}

#[test]
fn a_corrupt_file_is_replaced() {
    let (scratch, cache) = Scratch::new();
    let now = SystemTime::now();
    let path = scratch.0.path().join("tcpctl").join("boards.json");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    for text in ["", "{", "\0\0", "[]", r#"{"version":9,"boards":[]}"#] {
        fs::write(&path, text).unwrap();
        assert!(cache.names(now).is_empty(), "{text}");
    }
    cache.store(vec![board("a", None, "10.0.0.1", now)], now);
    assert_eq!(cache.names(now), ["a"]);
    let files = fs::read_dir(path.parent().unwrap()).unwrap();
    let names = files.map(|file| file.unwrap().file_name());
    // The lock file of systems that cannot lock a folder.
    let names: Vec<_> = names.filter(|name| name != "lock").collect();
    assert_eq!(names, ["boards.json"], "no temporary file is left");
}

#[test]
fn entries_from_the_future_are_ignored() {
    let (_scratch, cache) = Scratch::new();
    let now = SystemTime::now();
    let later = now + MAX_AGE;
    cache.store(vec![board("a", None, "10.0.0.1", later)], later);
    assert!(cache.fresh("a", now).is_empty());
    assert!(cache.names(now).is_empty());
}

#[test]
fn concurrent_commands_keep_each_others_boards() {
    let (_scratch, cache) = Scratch::new();
    let now = SystemTime::now();
    thread::scope(|scope| {
        for writer in 0..8 {
            let cache = &cache;
            scope.spawn(move || {
                for number in 0..5 {
                    let name = format!("board-{writer}-{number}");
                    cache.store(vec![board(&name, None, "10.0.0.1", now)], now);
                }
            });
        }
    });
    assert_eq!(cache.names(now).len(), 40);
}

/// Names whose characters take six bytes in JSON, with the maximum number of addresses.
#[test]
fn a_flood_of_names_keeps_the_file_readable() {
    let (scratch, cache) = Scratch::new();
    let now = SystemTime::now();
    let address = "fe80::ffff:ffff:ffff:ffff%an-interface-15";
    let flood = (0..MAX_BOARDS).map(|number| CachedBoard {
        addresses: vec![address.to_owned(); 16],
        ..board(
            &format!("{number:0>63}").replace('0', "\u{1}"),
            None,
            "",
            now,
        )
    });
    cache.store(flood.collect(), now);
    let size = fs::metadata(scratch.0.path().join("tcpctl").join("boards.json"));
    assert!(size.unwrap().len() > MAX_FILE * 9 / 10);
    let flooded = cache.names(now).len();
    assert!(flooded > MAX_BOARDS / 2, "{flooded}");
    cache.store(vec![board("kitchen", None, "10.0.0.1", now)], now);
    assert_eq!(cache.fresh("kitchen", now).len(), 1);
    assert!(cache.names(now).len() >= flooded - 1);
}

#[cfg(unix)]
#[test]
fn files_that_others_can_write_are_ignored() {
    use std::os::unix::fs::PermissionsExt;

    let (scratch, cache) = Scratch::new();
    let now = SystemTime::now();
    cache.store(vec![board("a", None, "10.0.0.1", now)], now);
    let path = scratch.0.path().join("tcpctl").join("boards.json");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    for shared in [0o620, 0o602, 0o666] {
        fs::set_permissions(&path, fs::Permissions::from_mode(shared)).unwrap();
        assert!(cache.names(now).is_empty(), "{shared:o}");
    }
    cache.store(vec![board("b", None, "10.0.0.2", now)], now);
    assert_eq!(cache.names(now), ["b"]);
    assert_eq!(mode(&path), 0o600);
    fs::remove_file(&path).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(pipe.unwrap().success());
    assert!(cache.names(now).is_empty(), "a pipe does not block");
}

#[test]
fn unwritable_cache_stays_empty() {
    let now = SystemTime::now();
    let cache = Cache::at("/proc/nowhere/boards.json".into());
    cache.store(vec![board("a", None, "10.0.0.1", now)], now);
    assert!(cache.names(now).is_empty());
}

#[test]
fn names_may_have_a_domain() {
    for (written, plain) in [
        ("board", "board"),
        ("board.local", "board"),
        ("Board.LOCAL.", "Board"),
        ("A board._tcpctl._tcp.local", "A board"),
        ("A board._TCPCTL._tcp.local.", "A board"),
        ("board-v1.2", "board-v1.2"),
        (".local", ".local"),
        ("é.local", "é"),
    ] {
        assert_eq!(label(written), plain, "{written}");
    }
}
