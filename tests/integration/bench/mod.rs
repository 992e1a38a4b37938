//! `tcpctl bench` and `tcpctl merge`.

mod behaviors;
#[cfg(unix)]
mod browser;
mod endings;
mod files;
mod measuring;
mod ramp;
mod refusals;
#[cfg(unix)]
mod terminal;
mod throughput;

use serde_json::Value;

use crate::common::Ended;

/// A folder that is removed at the end of its test.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn file(&self, name: &str) -> String {
        self.0
            .path()
            .join(name)
            .to_str()
            .expect("a plain path")
            .to_owned()
    }
}

/// The kinds of the report's warnings.
fn warnings(report: &Value) -> Vec<&str> {
    let warnings = report["warnings"].as_array().expect("warnings");
    warnings
        .iter()
        .map(|warning| warning["kind"].as_str().expect("a kind"))
        .collect()
}

/// The texts of the report's verdict.
fn verdict(report: &Value) -> Vec<&str> {
    let lines = report["verdict"].as_array().expect("a verdict");
    lines
        .iter()
        .map(|line| line["text"].as_str().expect("a text"))
        .collect()
}

fn report(ended: &Ended) -> Value {
    let objects = ended.objects();
    assert!(!objects.is_empty(), "{ended:?}");
    objects[0].clone()
}
