//! Refuses options that would have no effect.

use std::num::NonZeroUsize;

use crate::bench::report::Parts;
use crate::bench::throughput::MAX_STREAMS;
use crate::cli::BenchArgs;
use crate::failure::Failure;

/// Refuses options that no part of the run uses.
pub(super) fn refuse(args: &BenchArgs, parts: Parts) -> Result<(), Failure> {
    let Parts {
        limits,
        latency,
        ramp,
        throughput,
    } = parts;
    let streams = args.connections.map_or(0, NonZeroUsize::get);
    if throughput && streams > MAX_STREAMS {
        return Err(Failure::usage(format!(
            "--connections {streams}: throughput uses at most {MAX_STREAMS} streams"
        ))
        .hint("measure latency in a separate run"));
    }
    let load = latency || ramp;
    let options = [
        ("--duration", args.duration.is_some(), latency || throughput),
        ("--requests", args.requests.is_some(), latency),
        ("--rate", args.rate.is_some(), latency),
        ("--warmup", args.warmup.is_some(), latency || throughput),
        ("--hdr-log", args.hdr_log.is_some(), latency),
        (
            "--connections",
            args.connections.is_some(),
            load || throughput,
        ),
        ("--keep-alive", args.keep_alive, load),
        ("--expect", args.expect.is_some(), load),
        ("--lines", args.lines.is_some(), load),
        ("--idle", args.idle.is_some(), load),
        ("--close", args.close.is_some(), load),
        ("--threads", args.threads.is_some(), load),
        (
            "--reply-timeout",
            args.reply_timeout.is_some(),
            load || throughput,
        ),
        (
            "--max-connections",
            args.max_connections.is_some(),
            limits || ramp,
        ),
        ("--budget", args.budget.is_some(), limits || ramp),
    ];
    let unused = |(_, given, used): &(&str, bool, bool)| *given && !used;
    let Some((option, _, _)) = options.into_iter().find(unused) else {
        return Ok(());
    };
    let needs = match option {
        "--max-connections" | "--budget" => "limits or ramp",
        "--requests" | "--rate" | "--hdr-log" => "latency",
        "--duration" | "--warmup" => "latency or throughput",
        "--connections" | "--reply-timeout" => "latency, ramp or throughput",
        _ => "latency or ramp",
    };
    Err(Failure::usage(format!(
        "{option} has no effect: this run does not measure {needs}"
    ))
    .hint(format!(
        "leave out {option}, or add a part with --only or --ramp"
    )))
}
