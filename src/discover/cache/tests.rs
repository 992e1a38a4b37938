use std::env;

use super::*;

/// A cache in a folder of its own, which is removed when this is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> (Self, Cache) {
        let folder = env::temp_dir().join(format!("tcpctl-cache-{}-{name}", std::process::id()));
        let cache = Cache::at(folder.join("tcpctl").join("boards.json"));
        (Self(folder), cache)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn board(name: &str, mac: Option<&str>, address: &str, seen: SystemTime) -> Remembered {
    Remembered {
        name: name.to_owned(),
        host: Some(format!("{name}-host.local")),
        addresses: vec![address.to_owned()],
        port: 3000,
        mac: mac.map(str::to_owned),
        seen: seconds(seen),
    }
}

#[test]
fn a_board_is_found_by_each_of_its_names_while_it_is_fresh() {
    let (_scratch, cache) = Scratch::new("fresh");
    let now = SystemTime::now();
    cache.remember(vec![board("greeter", None, "10.0.0.1", now)], now);
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
    let later = now + FRESH;
    assert!(cache.fresh("greeter", later).is_empty());
    assert_eq!(cache.names(later), ["greeter"]);
    assert!(cache.names(now + REMEMBERED).is_empty());
    cache.forget("greeter.local");
    assert!(cache.names(now).is_empty());
}

#[test]
fn two_boards_of_one_name_stay_two_and_a_moved_one_stays_one() {
    let (_scratch, cache) = Scratch::new("two");
    let now = SystemTime::now();
    let both = vec![
        board("a", Some("02:00:00:00:00:01"), "10.0.0.1", now),
        board("a", Some("02:00:00:00:00:02"), "10.0.0.2", now),
    ];
    cache.remember(both, now);
    cache.remember(
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
fn a_corrupt_file_is_no_file_and_is_replaced() {
    let (scratch, cache) = Scratch::new("corrupt");
    let now = SystemTime::now();
    let path = scratch.0.join("tcpctl").join("boards.json");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    for text in ["", "{", "\0\0", "[]", r#"{"version":9,"boards":[]}"#] {
        fs::write(&path, text).unwrap();
        assert!(cache.names(now).is_empty(), "{text}");
    }
    cache.remember(vec![board("a", None, "10.0.0.1", now)], now);
    assert_eq!(cache.names(now), ["a"]);
    let files = fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(files, 1, "nothing is left behind");
}

#[test]
fn what_was_seen_in_the_future_is_not_believed() {
    let (_scratch, cache) = Scratch::new("future");
    let now = SystemTime::now();
    let later = now + REMEMBERED;
    cache.remember(vec![board("a", None, "10.0.0.1", later)], later);
    assert!(cache.fresh("a", now).is_empty());
    assert!(cache.names(now).is_empty());
}

#[test]
fn commands_that_end_together_undo_nothing_of_each_other() {
    let (_scratch, cache) = Scratch::new("together");
    let now = SystemTime::now();
    thread::scope(|scope| {
        for writer in 0..8 {
            let cache = &cache;
            scope.spawn(move || {
                // As each command has a process of its own, so here one after the other.
                for number in 0..5 {
                    let name = format!("board-{writer}-{number}");
                    cache.remember(vec![board(&name, None, "10.0.0.1", now)], now);
                }
            });
        }
    });
    assert_eq!(cache.names(now).len(), 40);
}

/// Names of characters that JSON writes in six bytes, with all the addresses that a host may have.
#[test]
fn no_flood_of_names_makes_a_file_that_is_not_read_again() {
    let (scratch, cache) = Scratch::new("flood");
    let now = SystemTime::now();
    let address = "fe80::ffff:ffff:ffff:ffff%an-interface-15";
    let flood = (0..MAX_BOARDS).map(|number| Remembered {
        addresses: vec![address.to_owned(); 16],
        ..board(
            &format!("{number:0>63}").replace('0', "\u{1}"),
            None,
            "",
            now,
        )
    });
    cache.remember(flood.collect(), now);
    let size = fs::metadata(scratch.0.join("tcpctl").join("boards.json"));
    assert!(size.unwrap().len() > MAX_FILE * 9 / 10);
    let flooded = cache.names(now).len();
    assert!(flooded > MAX_BOARDS / 2, "{flooded}");
    cache.remember(vec![board("kitchen", None, "10.0.0.1", now)], now);
    assert_eq!(cache.fresh("kitchen", now).len(), 1);
    assert!(cache.names(now).len() >= flooded - 1);
}

#[cfg(unix)]
#[test]
fn what_others_may_have_written_is_not_read() {
    use std::os::unix::fs::PermissionsExt;

    let (scratch, cache) = Scratch::new("others");
    let now = SystemTime::now();
    cache.remember(vec![board("a", None, "10.0.0.1", now)], now);
    let path = scratch.0.join("tcpctl").join("boards.json");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    for shared in [0o620, 0o602, 0o666] {
        fs::set_permissions(&path, fs::Permissions::from_mode(shared)).unwrap();
        assert!(cache.names(now).is_empty(), "{shared:o}");
    }
    // It is replaced by one of our own.
    cache.remember(vec![board("b", None, "10.0.0.2", now)], now);
    assert_eq!(cache.names(now), ["b"]);
    assert_eq!(mode(&path), 0o600);
    fs::remove_file(&path).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(pipe.unwrap().success());
    assert!(cache.names(now).is_empty(), "a pipe keeps nobody waiting");
}

#[test]
fn where_nothing_can_be_written_nothing_is_remembered() {
    let now = SystemTime::now();
    let cache = Cache::at("/proc/nowhere/boards.json".into());
    cache.remember(vec![board("a", None, "10.0.0.1", now)], now);
    assert!(cache.names(now).is_empty());
}
