//! The runtime of a command that is concurrent.

use crate::failure::{Failure, Kind};

/// Runs a command's concurrent part on this thread.
///
/// It returns when the future is done: a name that is still being resolved, or input that is
/// still being waited for, holds up nobody.
///
/// # Errors
/// The system gives no more of what a runtime needs.
pub(crate) fn block_on<F: Future>(future: F) -> Result<F::Output, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Kind::Internal, format!("the system is out of: {error}")))?;
    let output = runtime.block_on(future);
    runtime.shutdown_background();
    Ok(output)
}
