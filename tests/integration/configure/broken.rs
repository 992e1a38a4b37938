//! Connections that break while settings are sent or confirmed.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::lab::{Lab, events};
use crate::common::{Ended, Server};
use crate::processes::Board;

/// The part of an exchange that is lost. The connection ends with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    Request,
    Answer,
    /// The request is lost, with a reset.
    Reset,
}

/// The address of a board's management channel.
pub(crate) fn management(board: &Board) -> SocketAddr {
    let status = crate::common::run(["send", &board.address.to_string(), "status"]);
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    let port = status["management"]["port"].as_u64().unwrap();
    SocketAddr::new(board.address.ip(), port.try_into().unwrap())
}

/// Runs `configure` through a relay that loses the first exchange which `is_lost` names by the numbers of
/// the connection and of the client's message.
fn configure(
    lab: &Lab,
    board: &Board,
    options: &[&str],
    loss: Loss,
    is_lost: fn(usize, usize) -> bool,
) -> Ended {
    let server = management(board);
    let connections = Arc::new(AtomicUsize::new(0));
    let was_lost = Arc::new(AtomicBool::new(false));
    let done = was_lost.clone();
    let relay = Server::start(move |client| {
        let connection = connections.fetch_add(1, Ordering::Relaxed);
        let lose = |message| is_lost(connection, message) && !done.swap(true, Ordering::Relaxed);
        relay(client, server, loss, lose);
    });
    let port = relay.address.port().to_string();
    let options = [options, &["--json", "--management-port", &port]].concat();
    let ended = lab.configure(&board.address.to_string(), &options, "");
    assert!(was_lost.load(Ordering::Relaxed), "{}", ended.stderr);
    ended
}

fn relay(mut client: TcpStream, server: SocketAddr, loss: Loss, lose: impl Fn(usize) -> bool) {
    let Ok(mut board) = TcpStream::connect(server) else {
        return;
    };
    let (mut from, mut to) = (board.try_clone().unwrap(), client.try_clone().unwrap());
    let answers = thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        // Closing in order would come before the reset.
        if loss != Loss::Reset {
            let _ = to.shutdown(Shutdown::Both);
        }
    });
    let mut chunk = [0; 8192];
    for message in 0.. {
        let Ok(count @ 1..) = client.read(&mut chunk) else {
            break;
        };
        let is_lost = lose(message);
        if is_lost && loss == Loss::Answer {
            let _ = client.shutdown(Shutdown::Both);
        } else if is_lost {
            if loss == Loss::Reset {
                let socket = socket2::SockRef::from(&client);
                socket.set_linger(Some(Duration::ZERO)).unwrap();
            } else {
                let _ = client.shutdown(Shutdown::Both);
            }
            break;
        }
        if board.write_all(&chunk[..count]).is_err() || is_lost {
            break;
        }
    }
    if loss == Loss::Reset {
        // Both descriptors must be closed for the reset.
        let _ = board.shutdown(Shutdown::Both);
        return;
    }
    let _ = board.shutdown(Shutdown::Write);
    let _ = answers.join();
}

/// The message after the handshake and `Show`, once the board runs the trial.
const CONFIRMATION: fn(usize, usize) -> bool = |connection, message| connection > 1 && message == 2;
/// The message after the handshake of the second session. The client may have to reconnect, because
/// the board serves one session at a time.
const TRIAL: fn(usize, usize) -> bool = |connection, message| connection >= 1 && message == 1;

#[test]
fn broken_connection_during_the_confirmation_is_made_again() {
    for loss in [Loss::Request, Loss::Answer] {
        let lab = Lab::new();
        let board = lab.start();
        let ended = configure(&lab, &board, &["--workers", "2"], loss, CONFIRMATION);
        assert_eq!(ended.code, 0, "{loss:?}: {}", ended.stderr);
        let expected = ["plan", "sent", "restarting", "back", "confirmed"];
        assert_eq!(events(&ended), expected, "{loss:?}");
        let shown = lab.show(&board);
        assert_eq!(shown["settings"]["workers"], "2");
        assert_eq!(shown["trial"]["state"], "confirmed");
    }
}

#[test]
fn board_is_looked_for_after_a_lost_answer_to_the_trial() {
    let lab = Lab::new();
    let board = lab.start();
    let ended = configure(&lab, &board, &["--workers", "2"], Loss::Answer, TRIAL);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(events(&ended), ["plan", "back", "confirmed"]);
    assert!(ended.stderr.contains("looking for it"), "{}", ended.stderr);
    assert_eq!(lab.show(&board)["trial"]["state"], "confirmed");
}

#[test]
fn lost_trial_changes_nothing() {
    let lab = Lab::new();
    let board = lab.start();
    let ended = configure(&lab, &board, &["--workers", "2"], Loss::Request, TRIAL);
    assert_eq!(ended.code, 56, "{}", ended.stderr);
    assert_eq!(events(&ended), ["plan", "error"]);
    assert!(
        ended.stderr.contains("nothing has changed"),
        "{}",
        ended.stderr
    );
    assert_eq!(lab.show(&board)["trial"], json!(null));
}

#[test]
fn reset_during_the_handshake_is_not_a_wrong_key() {
    let lab = Lab::new();
    let board = lab.start();
    let first = |connection, message| connection == 0 && message == 0;
    let ended = configure(&lab, &board, &["--show"], Loss::Reset, first);
    assert_eq!(ended.code, 56, "{}", ended.stderr);
    assert!(!ended.stderr.contains("key file"), "{}", ended.stderr);
}
