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

use std::path::PathBuf;

use serde_json::Value;

use crate::common::Ended;

/// A folder that is removed at the end of its test.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tcpctl-bench-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("a plain path").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
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
