//! Saving an image, whole or not at all.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// Writes a file so that it is there whole, or not at all.
pub(super) fn save(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let draft = file.with_file_name(name);
    if !file.exists() || file.is_file() {
        let written = write_privately(&draft, bytes).and_then(|()| fs::rename(&draft, file));
        return written.inspect_err(|_| {
            let _ = fs::remove_file(&draft);
        });
    }
    // A device or a pipe.
    fs::write(file, bytes)
}

/// Writes a new file that nobody else may read: the network's passphrase is in it.
fn write_privately(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)?.write_all(bytes)
}
