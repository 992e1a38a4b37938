//! The text of `tcpctl --version`: version, commit and bundled firmware. Uses no network.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

use super::firmware::Bundled;

/// Writes `version.txt`.
pub(crate) fn write(firmware: &[Bundled]) -> io::Result<()> {
    let variable = |name| env::var_os(name).unwrap_or_default();
    let source = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let version = variable("CARGO_PKG_VERSION");
    let commit = match checkout(&source).or_else(|| package(&source)) {
        Some(commit) => format!("commit {commit}"),
        None => "not built in a checkout".to_owned(),
    };
    let text = format!(
        "{} ({commit})\n{}",
        version.to_string_lossy(),
        firmware_summary(firmware)
    );
    fs::write(PathBuf::from(variable("OUT_DIR")).join("version.txt"), text)
}

/// The chips, grouped by the version of their firmware.
pub(crate) fn firmware_summary(firmware: &[Bundled]) -> String {
    let mut versions: Vec<_> = firmware.iter().map(|it| it.version.as_deref()).collect();
    versions.sort_unstable();
    versions.dedup();
    let groups: Vec<String> = versions
        .into_iter()
        .map(|version| {
            let chips = firmware
                .iter()
                .filter(|it| it.version.as_deref() == version);
            let chips: Vec<_> = chips.map(|it| it.chip.as_str()).collect();
            let version = version.unwrap_or("unversioned");
            format!("{version} for {}", chips.join(", "))
        })
        .collect();
    if groups.is_empty() {
        "firmware: none built in".to_owned()
    } else {
        format!("firmware: {}", groups.join("; "))
    }
}

/// The commit of the checkout whose top directory is `source`. Cargo reruns the build script when
/// the commit changes.
fn checkout(source: &Path) -> Option<String> {
    // A package unpacked inside another checkout does not come from that one.
    let top = fs::canonicalize(git(source, &["rev-parse", "--show-toplevel"])?).ok()?;
    if top != fs::canonicalize(source).ok()? {
        return None;
    }
    let commit = git(source, &["rev-parse", "--short=12", "HEAD"])?;
    let branch = git(source, &["symbolic-ref", "--quiet", "HEAD"]);
    let moving = ["HEAD", "packed-refs"].into_iter().chain(branch.as_deref());
    for name in moving {
        let path = git(source, &["rev-parse", "--git-path", name]).map(|path| source.join(path));
        // Watching a missing path would rebuild every time.
        if let Some(path) = path.filter(|path| path.exists()) {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    Some(commit)
}

/// The output of a git command; `None` without git or a checkout.
fn git(source: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(source)
        .args(arguments)
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim_end().to_owned())
}

/// The commit that `cargo package` recorded.
fn package(source: &Path) -> Option<String> {
    let path = source.join(".cargo_vcs_info.json");
    let text = fs::read_to_string(path).ok()?;
    let (_, rest) = text.split_once("\"sha1\"")?;
    let commit = rest.split('"').nth(1)?;
    let is_commit = commit.len() >= 12 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_commit.then(|| commit[..12].to_owned())
}
