//! Boards that return to their old firmware while `update` waits, and output that fails in the
//! meantime.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

use super::{Workshop, status};
use crate::common::{Ended, Server, finish};
use crate::configure::broken::management;
use crate::configure::lab::{Lab, events, kill};

/// Length of the image, and of a session that sends it.
const IMAGE: usize = 20_000;

/// A relay to a board's management channel. It closes once a client has sent an image.
#[derive(Clone)]
struct Relay {
    board: Arc<Mutex<Option<SocketAddr>>>,
}

impl Relay {
    fn open(&self, board: Option<SocketAddr>) {
        *self.board.lock().unwrap() = board;
    }

    fn pass(&self, mut client: TcpStream) {
        let board = *self.board.lock().unwrap();
        let Some(mut board) = board.and_then(|board| TcpStream::connect(board).ok()) else {
            return;
        };
        let (mut from, mut to) = (board.try_clone().unwrap(), client.try_clone().unwrap());
        let answers = std::thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
        let mut chunk = [0; 8192];
        let mut sent = 0;
        while let Ok(count @ 1..) = client.read(&mut chunk) {
            sent += count;
            if sent > IMAGE {
                self.open(None);
            }
            if board.write_all(&chunk[..count]).is_err() {
                break;
            }
        }
        let _ = board.shutdown(Shutdown::Write);
        let _ = answers.join();
    }
}

/// Cuts the power of a board while it runs new firmware on trial, before `update` reaches it again.
fn update_with_power_cut(options: &[&str]) -> Ended {
    let workshop = Workshop::new();
    let board = workshop.start(&["--greeting", "Hello old"]);
    let target = board.address.to_string();
    let image = workshop.image("0.2.0", IMAGE);
    let relay = Relay {
        board: Arc::new(Mutex::new(Some(management(&board)))),
    };
    let server = {
        let relay = relay.clone();
        Server::start(move |client| relay.pass(client))
    };
    let port = server.address.port().to_string();
    let arguments = [&target, "--firmware", &image, "--management-port", &port];
    let update = workshop.spawn(&[&arguments[..], options].concat());
    board.wait_for("firmware=0.2.0");
    kill(board);
    let board = workshop.start(&[]);
    relay.open(Some(management(&board)));
    let ended = finish(update);
    assert_eq!(status(&board, "firmware"), env!("CARGO_PKG_VERSION"));
    assert_eq!(status(&board, "update"), "power cut");
    let sent = crate::common::run(["send", &board.address.to_string(), "hi"]);
    assert_eq!(sent.stdout, b"Hello old");
    ended
}

#[test]
fn rollback_is_reported_with_its_reason() {
    let version = env!("CARGO_PKG_VERSION");
    let ended = update_with_power_cut(&["--json"]);
    assert_eq!(ended.code, 70, "{}", ended.stderr);
    let mut steps = events(&ended);
    steps.retain(|event| event != "progress");
    let expected = [
        "plan",
        "written",
        "verified",
        "restarting",
        "rolled_back",
        "error",
    ];
    assert_eq!(steps, expected);
    let objects = ended.objects();
    let [.., rolled_back, error] = &objects[..] else {
        panic!("{objects:?}");
    };
    assert_eq!(
        (&rolled_back["version"], &rolled_back["reason"]),
        (&version.into(), &"power cut".into())
    );
    assert_eq!(
        (&error["kind"], &error["exit_code"]),
        (&"device".into(), &70.into())
    );

    let ended = update_with_power_cut(&[]);
    assert_eq!(ended.code, 70, "{}", ended.stderr);
    let text = String::from_utf8(ended.stdout).unwrap();
    let last = text.lines().last().unwrap();
    assert_eq!(last, format!("rolled back to version {version}: power cut"));
    let error = format!("the board returned to version {version}: power cut");
    assert!(ended.stderr.contains(&error), "{}", ended.stderr);
}

/// Runs a command whose standard output is a file with room for `room` bytes.
fn with_room(lab: &str, command: &Command, room: usize) -> Ended {
    // Blocks of 512 bytes (POSIX, `ulimit -f`).
    const BLOCKS: usize = 8;
    const LIMIT: usize = BLOCKS * 512;
    std::fs::write(lab, vec![b'\n'; LIMIT - room]).unwrap();
    let file = OpenOptions::new().append(true).open(lab).unwrap();
    let script = format!("trap '' XFSZ; ulimit -f {BLOCKS}; exec \"$@\"");
    let mut limited = Command::new("sh");
    limited
        .args(["-c", &script, "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .stdin(std::process::Stdio::null())
        .stdout(file)
        .stderr(std::process::Stdio::piped());
    finish(limited.spawn().unwrap())
}

/// The plan fits the file, and nothing after it.
#[test]
fn full_disk_does_not_stop_an_update_that_has_begun() {
    let workshop = Workshop::new();
    let board = workshop.start(&[]);
    let target = board.address.to_string();
    let image = workshop.image("0.2.0", 4096);
    let full = workshop.path("full");
    let options = [&target, "--firmware", &image];
    let plan = workshop.update(&[&options[..], &["--dry-run"]].concat());
    let command = workshop.command(&[&options[..], &["--json"]].concat());

    // The update has not begun.
    let ended = with_room(&full, &command, 10);
    assert_eq!(ended.code, 70, "{}", ended.stderr);
    assert_eq!(status(&board, "firmware"), env!("CARGO_PKG_VERSION"));

    // `false` is longer than `true`.
    let ended = with_room(&full, &command, plan.stdout.len() + 1);
    assert_eq!(ended.code, 70, "{}", ended.stderr);
    let text = std::fs::read_to_string(&full).unwrap();
    assert!(text.ends_with("\"dry_run\":false}\n"), "{text}");
    assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
    assert_eq!(status(&board, "firmware"), "0.2.0");
    assert_eq!(status(&board, "update"), serde_json::Value::Null);
}

#[test]
fn full_disk_does_not_stop_a_change_that_has_begun() {
    let lab = Lab::new();
    let board = lab.start();
    let target = board.address.to_string();
    let options = ["--workers", "2", "--json"];
    let plan = lab.configure(&target, &[&options[..], &["--dry-run"]].concat(), "");
    let command = lab.command(&target, &options);

    let ended = with_room(&lab.path("full"), &command, 10);
    assert_eq!(ended.code, 70, "{}", ended.stderr);
    assert_eq!(lab.show(&board)["trial"], serde_json::Value::Null);

    let ended = with_room(&lab.path("full"), &command, plan.stdout.len() + 1);
    assert_eq!(ended.code, 70, "{}", ended.stderr);
    assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
    let shown = lab.show(&board);
    assert_eq!(shown["settings"]["workers"], "2");
    assert_eq!(shown["trial"]["state"], "confirmed");
}
