//! Throughput.

use super::{Folder, report};
use crate::common::{Server, closed_port, run};

#[test]
fn only_throughput_measures_nothing_else() {
    let folder = Folder::new();
    let (save, page) = (folder.file("run.json"), folder.file("run.html"));
    let bench = [
        "bench",
        "sim:ideal,services=on",
        "--only",
        "throughput",
        "-d",
        "200ms",
        "-q",
        "--json",
    ];
    let more = ["-c", "2", "--save", &save, "--html", &page];
    let ended = run(bench.into_iter().chain(more));
    assert_eq!(ended.code, 0, "{ended:?}");
    let json = report(&ended);
    assert!(json["limits"].is_null() && json["latency"].is_null());
    for name in ["upload", "download", "echo"] {
        let flow = &json["throughput"][name];
        assert!(flow["bytes_per_s"].as_f64() > Some(0.0), "{json}");
        assert_eq!(flow["streams"], 2, "{json}");
        assert_eq!(flow["single"]["streams"], 1, "{json}");
        assert_eq!(flow["via"], "service");
    }
    let schema = run(["schema", "bench"]).stdout;
    let schema = serde_json::from_slice(&schema).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    assert!(validator.is_valid(&json), "{json}");
    let page = std::fs::read_to_string(page).expect("the page was written");
    assert!(page.contains("Throughput"), "{page:.300}");
    let conditions = [
        "--compare",
        &save,
        "--fail-if",
        "throughput.echo.bytes_per_s < 100M",
    ];
    let ended = run(bench.into_iter().chain(["-c", "2"]).chain(conditions));
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(
        ended.stderr.contains("throughput.echo.bytes_per_s"),
        "{ended:?}"
    );
    let upload = &report(&ended)["comparison"]["upload_bytes"];
    assert_eq!(upload["finding"], "too_few", "{ended:?}");
}

#[test]
fn without_services_the_own_port_is_measured() {
    let server = Server::greeter(b"Hello World");
    let target = server.target();
    let bench = ["bench", &target, "--only", "throughput", "-d", "300ms"];
    let ended = run(bench);
    let text = String::from_utf8_lossy(&ended.stdout);
    // This computer may run the services.
    let has_none = text.contains("chargen is not offered");
    if has_none {
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(text.contains(" in replies"), "{text}");
    }
    let (_guard, closed) = closed_port();
    let target = closed.to_string();
    let ended = run(["bench", &target, "--only", "throughput", "-d", "300ms"]);
    if has_none {
        assert_eq!(ended.code, 7, "{ended:?}");
        assert!(ended.stderr.contains("9 (discard)"), "{ended:?}");
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_reports_the_throughput_so_far() {
    let bench = [
        "bench",
        "sim:ideal,services=on",
        "--only",
        "throughput",
        "-d",
        "50s",
        "--json",
    ];
    let mut child = crate::common::tcpctl(bench).spawn().expect("it starts");
    // The first note comes after the signal handlers are installed.
    let mut note = [0; 16];
    let errors = child.stderr.as_mut().expect("piped");
    std::io::Read::read_exact(errors, &mut note).expect("it says what it does");
    crate::common::signal(&child, rustix::process::Signal::INT);
    let ended = crate::common::finish(child);
    assert_eq!(ended.code, 130, "{ended:?}");
    let report = report(&ended);
    // The first flow alone takes 51 s.
    let throughput = &report["throughput"];
    let stopped = "the run was stopped before";
    assert_eq!(throughput["echo"], serde_json::Value::Null, "{report}");
    assert_eq!(
        throughput["evidence"]["echo"]["detail"], stopped,
        "{report}"
    );
    assert_eq!(
        throughput["evidence"]["download"]["detail"], stopped,
        "{report}"
    );
}
