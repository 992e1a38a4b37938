//! The tokio runtime for concurrent commands.

use crate::failure::{Failure, Kind, reason};

/// Runs a future on this thread until it is done.
///
/// Blocking work that is still running, such as name resolution or reading standard input, is
/// abandoned.
///
/// # Errors
/// The system has no resources for a runtime.
pub(crate) fn block_on<F: Future>(future: F) -> Result<F::Output, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::new(
                Kind::Internal,
                format!("cannot start the async runtime: {}", reason(&error)),
            )
        })?;
    let output = runtime.block_on(future);
    runtime.shutdown_background();
    Ok(output)
}
