//! Runs the sections of a bench that the command line names, or all of them.

use std::error::Error;
use std::process::ExitCode;

/// Errors are only printed.
pub(crate) type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// Measures something and prints it.
pub(crate) type Section = fn() -> Result<()>;

/// Runs the named sections in order; without a name, all.
pub(crate) fn run(sections: &[(&str, Section)]) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --all-targets` runs benches too and must not wait for them.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let asked: Vec<&String> = arguments.iter().filter(|a| !a.starts_with('-')).collect();
    if let Some(unknown) = asked
        .iter()
        .find(|asked| sections.iter().all(|(name, _)| name != *asked))
    {
        let names: Vec<&str> = sections.iter().map(|(name, _)| *name).collect();
        eprintln!(
            "unknown section '{unknown}': choose from {}",
            names.join(", ")
        );
        return ExitCode::FAILURE;
    }
    for (name, section) in sections {
        if asked.is_empty() || asked.iter().any(|asked| asked == name) {
            let result = report(name, section());
            if result != ExitCode::SUCCESS {
                return result;
            }
            println!();
        }
    }
    ExitCode::SUCCESS
}

/// Prints why a section has no results.
pub(crate) fn report(section: &str, result: Result<()>) -> ExitCode {
    if let Err(error) = result {
        eprintln!("{section}: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// The result of comparing with a goal.
pub(crate) fn met(goal: bool) -> &'static str {
    if goal { "met" } else { "MISSED" }
}
