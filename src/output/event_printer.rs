//! Prints the events of work that must continue if standard output fails.

use std::cell::RefCell;

use super::{BrokenPipe, Output, Render};

/// Prints events while a board changes. The first error is kept for the end, and nothing more is printed.
#[derive(Debug)]
pub struct EventPrinter<'o> {
    output: &'o Output,
    error: RefCell<Option<anyhow::Error>>,
}

impl<'o> EventPrinter<'o> {
    /// A printer to `output`.
    pub fn new(output: &'o Output) -> Self {
        Self {
            output,
            error: RefCell::default(),
        }
    }

    /// Prints an event.
    pub fn emit<R: Render>(&self, event: &R) {
        if !self.has_failed() {
            self.error.replace(self.output.print(event).err());
        }
    }

    /// Whether an event could not be printed.
    pub fn has_failed(&self) -> bool {
        self.error.borrow().is_some()
    }

    /// The result of the work, or the error of standard output if only that failed. A closed pipe is not
    /// an error.
    ///
    /// # Errors
    /// That of the work, or else that of standard output.
    pub fn finish<T>(&self, ended: anyhow::Result<T>) -> anyhow::Result<T> {
        let error = self.error.take();
        match error.filter(|error| !error.is::<BrokenPipe>()) {
            Some(error) => ended.and(Err(error)),
            None => ended,
        }
    }
}
