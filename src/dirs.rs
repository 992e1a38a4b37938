//! The user's directories, by the XDG base directory specification.

use std::env;
use std::path::PathBuf;

/// The directory for one kind of file: the environment variable `xdg`, else `in_home` below the
/// home directory, else the variable `on_windows`. `None` if none of them is set.
///
/// The specification ignores relative paths. An empty `HOME` counts as relative: otherwise the files would
/// belong to the working directory.
pub fn user_directory(xdg: &str, in_home: &str, on_windows: &str) -> Option<PathBuf> {
    let directory = |name| {
        let path = env::var_os(name).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    directory(xdg)
        .or_else(|| directory("HOME").map(|home| home.join(in_home)))
        .or_else(|| directory(on_windows))
}
