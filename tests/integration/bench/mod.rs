//! `tcpctl bench` and `tcpctl merge` as scripts and people run them.

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

/// A folder of one test, which goes with it.
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

fn report(ended: &Ended) -> Value {
    let objects = ended.objects();
    assert!(!objects.is_empty(), "{ended:?}");
    objects[0].clone()
}
