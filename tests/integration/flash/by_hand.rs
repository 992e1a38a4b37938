//! A board for manual tests: run `cargo test --test integration by_hand -- --ignored --nocapture`,
//! and in another terminal `tcpctl flash --port` with the printed path.

use std::io::BufRead;

use crate::common::loader::{Board, Fault};

#[test]
#[ignore = "it waits for somebody who types"]
fn by_hand() {
    let board = Board::new();
    println!(
        "The board is on {}. Enter presses BOOT and RESET: before each flash.",
        board.port()
    );
    println!("Flash a sample image, or build the firmware by omitting --firmware:");
    println!("  cargo run --example sample_image -- esp32c3 0.2.0 300000 fw.bin");
    println!(
        "  tcpctl flash --port {} --mode ap --firmware fw.bin",
        board.port()
    );
    println!(
        "Faults: silent, garbage, refuses-stub, noisy, dies N, unplugged N, bad N, sound. Ctrl-D ends."
    );
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let (word, number) = line.split_once(' ').unwrap_or((&line, "0"));
        let number = number.parse().unwrap_or_default();
        let fault = match word {
            "silent" => Some(Fault::Silent),
            "garbage" => Some(Fault::Garbage),
            "refuses-stub" => Some(Fault::RefusesStub),
            "noisy" => Some(Fault::NoisyWhenFast),
            "dies" => Some(Fault::DiesAfter(number)),
            "unplugged" => Some(Fault::UnpluggedAfter(number)),
            "bad" => Some(Fault::BadCell(number)),
            "sound" => Some(Fault::None),
            _ => None,
        };
        if let Some(fault) = fault {
            board.state().kind.fault = fault;
        }
        let commands = board.state().commands.len();
        println!("{commands} commands received; in its loader again");
        board.press_boot_and_reset();
    }
}
