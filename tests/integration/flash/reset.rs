//! Reset lines: `tests/integration/common/loader/modem.c` gives a pseudo-terminal such lines, and
//! the board's wiring determines their effect. No BOOT button is pressed by hand.

use super::scene::Scene;
use crate::common::Ended;
use crate::common::loader::{Board, Fault, Kind, Lines, Start, Wiring};
use crate::processes::{Need, skipped};

fn wired(wiring: Wiring) -> Kind {
    Kind {
        wiring,
        ..Kind::default()
    }
}

fn text(ended: &Ended) -> String {
    format!("{}{}", String::from_utf8_lossy(&ended.stdout), ended.stderr)
}

fn starts(scene: &Scene) -> Vec<Start> {
    scene.board.state().starts.clone()
}

fn no_compiler() -> bool {
    skipped(&[Need::Program("cc")])
}

#[test]
fn running_board_is_reset_into_and_out_of_its_loader() {
    if no_compiler() {
        return;
    }
    for (wiring, before) in [
        (Wiring::Bridge, "default-reset"),
        (Wiring::UsbJtag, "usb-reset"),
    ] {
        let scene = Scene::new(Board::of(wired(wiring)));
        let ended = scene.flash(&["--before", before]);
        let printed = text(&ended);
        assert_eq!(ended.code, 0, "{wiring:?}: {printed}");
        assert!(printed.contains("reset      hard-reset"), "{printed}");
        assert!(printed.contains("Hello World in"), "{printed}");
        assert!(!printed.contains("no reset lines"), "{printed}");
        let starts = starts(&scene);
        assert_eq!(starts.first(), Some(&Start::Loader), "{starts:?}");
        assert_eq!(starts.last(), Some(&Start::Program), "{starts:?}");
        // Both lines are released, or the next opening of the port would be a reset.
        let lines = scene.board.state().lines.clone();
        assert_eq!(lines.last(), Some(&Lines::default()));
    }
}

#[test]
fn the_wrong_sequence_for_the_wiring_finds_no_loader() {
    if no_compiler() {
        return;
    }
    let scene = Scene::new(Board::of(wired(Wiring::Bridge)));
    let ended = scene.flash(&["--before", "no-reset"]);
    assert_eq!(ended.code, 70, "{}", ended.stderr);
    assert!(ended.stderr.contains("hold BOOT"), "{}", ended.stderr);
    assert!(!starts(&scene).contains(&Start::Loader));
    assert!(scene.board.is_untouched());
}

#[test]
fn each_after_option_works() {
    if no_compiler() {
        return;
    }
    let options = [
        ("hard-reset", "hard-reset", Start::Program),
        ("watchdog-reset", "watchdog-reset", Start::Loader),
        ("no-reset", "stays in its loader", Start::Loader),
        ("no-reset-stub", "stays in its loader", Start::Loader),
    ];
    crate::common::in_parallel(options, |(after, expected, last)| {
        let scene = Scene::new(Board::of(wired(Wiring::Bridge)));
        let ended = scene.flash(&["--after", after, "--no-wait"]);
        let printed = text(&ended);
        assert_eq!(ended.code, 0, "{after}: {printed}");
        assert!(printed.contains(expected), "{after}: {printed}");
        // The last start that the lines caused. The watchdog's reset is the chip's own.
        assert_eq!(starts(&scene).last(), Some(&last), "{after}");
    });
}

#[test]
fn board_is_reset_with_both_lines_asserted() {
    if no_compiler() {
        return;
    }
    let scene = Scene::new(Board::of(wired(Wiring::Bridge)));
    scene.board.press_boot_and_reset();
    let ended = scene.flash(&["--before", "no-reset"]);
    let printed = text(&ended);
    assert_eq!(ended.code, 0, "{printed}");
    assert!(printed.contains("Hello World in"), "{printed}");
    assert_eq!(starts(&scene), [Start::Program]);
}

#[test]
fn a_board_that_is_refused_runs_its_program_again() {
    if no_compiler() {
        return;
    }
    let kind = Kind {
        chip_id: 13,
        ..wired(Wiring::Bridge)
    };
    let scene = Scene::new(Board::of(kind));
    let ended = scene.flash(&[]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert_eq!(starts(&scene), [Start::Loader, Start::Program]);
    assert!(scene.board.is_untouched());
}

#[test]
fn failing_baud_rate_is_lowered_where_the_board_can_be_reset() {
    if no_compiler() {
        return;
    }
    let kind = Kind {
        fault: Fault::DeafWhenFast,
        ..wired(Wiring::Bridge)
    };
    let scene = Scene::new(Board::of(kind));
    let ended = scene.flash(&["--no-wait"]);
    let printed = text(&ended);
    assert_eq!(ended.code, 0, "{printed}");
    assert!(printed.contains("using 115200"), "{printed}");
}

#[test]
fn failing_baud_rate_is_named_without_reset_lines() {
    let scene = Scene::new(Board::with(Fault::DeafWhenFast));
    let ended = scene.flash(&["--no-wait"]);
    assert_eq!(ended.code, 70, "{}", ended.stderr);
    assert!(ended.stderr.contains("--baud 115200"), "{}", ended.stderr);
    assert!(scene.board.is_untouched());
}
