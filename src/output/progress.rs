//! A progress bar and status lines on standard error.

use std::cell::RefCell;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A progress bar; does nothing where it would not be visible.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(super) fn new(shown: bool, label: &str, total: u64) -> Self {
        let bar = shown.then(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template(
                "{prefix:16} {bar:30} {percent:>3}%  {decimal_bytes_per_sec}, {eta} left",
            ) {
                bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
            }
            bar.set_prefix(label.to_owned());
            bar
        });
        // indicatif hides the bar on a dumb terminal.
        Self {
            bar: bar.filter(|bar| !bar.is_hidden()),
        }
    }

    /// An invisible bar, e.g. for one of several concurrent boards.
    pub fn hidden() -> Self {
        Self { bar: None }
    }

    /// Whether the bar is visible.
    pub fn is_shown(&self) -> bool {
        self.bar.is_some()
    }

    /// Sets the number of bytes done.
    pub fn set(&self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        }
    }

    /// Removes the bar.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

/// Lines that each call of [`Status::show`] replaces.
#[derive(Debug, Default)]
pub(super) struct Status {
    bar: RefCell<Option<ProgressBar>>,
}

impl Status {
    /// Shows lines in place of the previous ones. None may be wider than the terminal.
    pub(super) fn show(&self, text: String) {
        let mut bar = self.bar.borrow_mut();
        let bar = bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{msg}") {
                bar.set_style(style);
            }
            bar
        });
        bar.set_message(text);
    }

    /// Removes the lines.
    pub(super) fn end(&self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Prints something above the lines.
    pub(super) fn above<T>(&self, print: impl FnOnce() -> T) -> T {
        match &*self.bar.borrow() {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}
