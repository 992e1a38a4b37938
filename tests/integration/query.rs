//! `status` and `read`: boards that answer, boards that do not, and every output format.

use std::io::Write;

use serde_json::Value;

use crate::common::{Ended, Server, closed_port, read_all, read_some, run, run_with_input};

fn text(ended: &Ended) -> String {
    String::from_utf8(ended.stdout.clone()).unwrap()
}

#[test]
fn read_prints_name_value_and_unit() {
    let ended = run(["read", "sim"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let table = text(&ended);
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows[0][0], "temperature");
    assert_eq!(rows[0][2], "Cel");
    assert_eq!((rows[1][0], rows[1][2]), ("uptime", "s"));
    assert_eq!(
        run(["read", "sim", "uptime"])
            .stdout
            .iter()
            .filter(|byte| **byte == b'\n')
            .count(),
        1
    );
}

#[test]
fn json_matches_the_schemas() {
    assert_eq!(run(["read", "sim", "--json"]).objects().len(), 2);
    let status = &run(["status", "sim:tutorial", "--json"]).objects()[0];
    assert_eq!(status["target"], "sim:tutorial");
    assert_eq!(status["chip"], "virtual");
    assert!(status["rtt_us"].as_u64().unwrap() > 0);
}

#[test]
fn dead_board_does_not_hide_the_others() {
    let (_reserved, closed) = closed_port();
    let closed = closed.to_string();
    let list = format!("sim\n{closed}\nsim:ideal\n");
    let ended = run_with_input(["read", "--targets", "-", "temperature"], list.as_bytes());
    assert_eq!(ended.code, 7);
    let table = text(&ended);
    let boards: Vec<_> = table
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(boards, ["sim", "sim:ideal"]);
    assert!(ended.stderr.contains(&closed), "{}", ended.stderr);
    let ended = run(["status", "sim", &closed, "--json"]);
    assert_eq!(ended.code, 7);
    let objects = ended.objects();
    assert_eq!(objects[0]["schema"], "tcpctl.status/1");
    assert_eq!(objects.last().unwrap()["schema"], "tcpctl.error/1");
}

#[test]
fn unknown_sensor_exits_1_and_lists_the_others() {
    let ended = run(["read", "sim", "humidity"]);
    assert_eq!(ended.code, 1);
    assert!(
        ended.stderr.contains("no sensor 'humidity'"),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("temperature, uptime"),
        "{}",
        ended.stderr
    );
    let ended = run(["read", "sim:esp32,status=off"]);
    assert_eq!(ended.code, 1);
}

#[test]
fn other_servers_are_not_boards() {
    let endless = Server::start(|mut connection| {
        read_some(&mut connection);
        while connection.write_all(&[b'x'; 1024]).is_ok() {}
    });
    let greeter = Server::greeter(b"\x1b[2JHello World");
    for server in [&endless, &greeter] {
        for command in ["read", "status"] {
            let ended = run([command, &server.target()]);
            assert_eq!(ended.code, 1, "{}", ended.stderr);
            assert!(
                ended.stderr.contains("is not an answer"),
                "{}",
                ended.stderr
            );
            assert!(!ended.stderr.contains('\x1b'));
        }
    }
    let silent = Server::start(|mut connection| {
        read_all(&mut connection);
    });
    let ended = run(["read", &silent.target(), "--timeout", "200ms"]);
    assert_eq!(ended.code, 28, "{}", ended.stderr);
}

#[test]
fn csv_has_one_header_for_all_rounds() {
    let ended = run([
        "read", "sim", "uptime", "--csv", "--watch", "10ms", "--count", "3",
    ]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let csv = text(&ended);
    let lines: Vec<_> = csv.lines().collect();
    assert_eq!(lines.len(), 4, "{csv}");
    assert_eq!(lines[0], "time,target,name,value,unit");
    assert!(lines[3].contains(",sim,uptime,"), "{csv}");
}

#[test]
fn prometheus_lists_dead_boards_as_down() {
    let (_reserved, closed) = closed_port();
    let closed = closed.to_string();
    let list = format!("sim\n{closed}\n");
    let ended = run_with_input(["read", "--targets", "-", "--prometheus"], list.as_bytes());
    let metrics = text(&ended);
    assert!(
        metrics.contains("tcpctl_up{target=\"sim\"} 1\n"),
        "{metrics}"
    );
    let down = format!("tcpctl_up{{target=\"{closed}\"}} 0\n");
    assert!(metrics.contains(&down), "{metrics}");
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let (_, value) = line.rsplit_once("} ").unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
}

#[test]
fn senml_is_printed_as_received() {
    let ended = run(["read", "sim", "--senml"]);
    let records: Value = serde_json::from_str(&text(&ended)).unwrap();
    let name = records[0]["bn"].as_str().unwrap();
    assert!(name.starts_with("urn:dev:mac:"), "{name}");
}

#[test]
fn commands_that_change_something_need_the_setting() {
    let refused = run(["send", "sim", "led on"]);
    assert_eq!(text(&refused), "error: the setting commands is off\n");
    let accepted = run(["send", "sim:esp32,commands=on", "led on"]);
    assert_eq!(text(&accepted), "ok\n");
}

#[test]
fn setting_status_turns_off_reports_and_no_other_command() {
    let off = "sim:esp32,status=off,commands=on";
    assert_eq!(text(&run(["send", off, "led on"])), "ok\n");
    for report in ["status", "readings"] {
        assert_eq!(text(&run(["send", off, report])), "Hello World", "{report}");
    }
}

#[test]
fn every_missing_sensor_is_named_in_one_failure_per_board() {
    let list = b"sim\nsim:ideal\n";
    let arguments = ["read", "--targets", "-", "humidity", "pressure", "--json"];
    let ended = run_with_input(arguments, list);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    let objects = ended.objects();
    let last = objects.last().unwrap()["message"].as_str().unwrap();
    assert!(last.starts_with("2 of 2 boards failed"), "{last}");
    assert!(last.contains("'humidity', 'pressure'"), "{last}");
}

#[cfg(unix)]
#[test]
fn interrupted_count_is_not_a_success() {
    let mut child = crate::common::tcpctl(["read", "sim", "uptime", "--csv", "--count", "1000"])
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    std::io::Read::read_exact(&mut stdout, &mut [0; 1]).unwrap();
    crate::common::signal(&child, rustix::process::Signal::INT);
    assert_eq!(crate::common::finish(child).code, 130);
}

#[cfg(unix)]
#[test]
fn interrupted_round_prints_the_answers_so_far() {
    let (sender, asked) = std::sync::mpsc::channel();
    let silent = Server::start(move |mut connection| {
        read_some(&mut connection);
        let _ = sender.send(());
        read_all(&mut connection);
    });
    let child = crate::common::tcpctl(["status", "sim", &silent.target(), "--parallel", "1"])
        .spawn()
        .unwrap();
    asked.recv().unwrap();
    crate::common::signal(&child, rustix::process::Signal::INT);
    let ended = crate::common::finish(child);
    assert_eq!(ended.code, 130, "{}", ended.stderr);
    let table = text(&ended);
    assert!(
        table.lines().any(|line| line.starts_with("sim ")),
        "{table}"
    );
}

#[test]
fn no_connection_hints_at_an_option_of_the_command() {
    let ended = run(["status", "sim:esp32,outage=5s@0s", "--timeout", "200ms"]);
    assert_eq!(ended.code, 7, "{}", ended.stderr);
    assert!(
        !ended.stderr.contains("--connect-timeout"),
        "{}",
        ended.stderr
    );
}

#[cfg(unix)]
#[test]
fn watch_on_a_dumb_terminal_moves_no_cursor() {
    use crate::common::terminal::Terminal;

    let sensors = ["read", "sim", "--watch", "10ms", "--count", "2"];
    let (terminal, child) = Terminal::start_dumb(crate::common::tcpctl(sensors));
    let (code, seen) = terminal.finish(child);
    assert_eq!(code, 0, "{seen}");
    assert_eq!(seen.matches("uptime").count(), 2, "{seen}");
    assert!(!seen.contains('\x1b'), "{seen:?}");
    assert!(!seen.replace("\r\n", "\n").contains('\r'), "{seen:?}");
}

#[cfg(unix)]
#[test]
fn failure_under_a_watched_table_is_not_erased() {
    use crate::common::terminal::Terminal;

    let (_reserved, closed) = closed_port();
    let boards = ["status", "sim", &closed.to_string(), "--watch", "20ms"];
    let (mut terminal, child) = Terminal::start(crate::common::tcpctl(boards));
    terminal.wait_for("\x1b[J");
    crate::common::signal(&child, rustix::process::Signal::INT);
    let (code, seen) = terminal.finish(child);
    assert_eq!(code, 0, "{seen}");
    let (kept, _) = seen.split_once("\x1b[2A\x1b[J").unwrap();
    let (first, second) = kept.split_once("connection refused").unwrap();
    assert!(first.contains("TARGET "), "{seen}");
    assert!(second.contains("TARGET "), "{seen}");
}

#[cfg(unix)]
#[test]
fn status_fits_a_terminal_of_80_columns() {
    use crate::common::terminal::Terminal;

    let (terminal, child) =
        Terminal::start_in(80, crate::common::tcpctl(["status", "sim", "sim:ideal"]));
    let (code, seen) = terminal.finish(child);
    assert_eq!(code, 0, "{seen}");
    assert!(seen.lines().all(|line| line.len() <= 80), "{seen}");
    let headings = seen.lines().next().unwrap();
    assert!(headings.ends_with(" REFUSED"), "{seen}");
    // A virtual board has no heap, so the table has no such column. A pipe gets all columns.
    assert!(!headings.contains("HEAP"), "{seen}");
    assert!(text(&run(["status", "sim"])).contains(" HEAP "));
}
