//! The figures that `send` promises, as ratios to `nc` and `ncat`: `cargo bench --bench send`.
//!
//! A ratio is that of the medians of runs that take turns, so that what else the machine does
//! hits both alike.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const EXCHANGES: usize = 400;
const STREAMS: usize = 7;
const STREAM: u64 = 1 << 30;

fn main() -> io::Result<()> {
    let tcpctl = env!("CARGO_BIN_EXE_tcpctl");
    let directory = std::env::temp_dir();
    let message = directory.join(format!("tcpctl-bench-message-{}", std::process::id()));
    std::fs::write(&message, "hi\n")?;
    let stream = directory.join(format!("tcpctl-bench-stream-{}", std::process::id()));
    // A sparse file: a gibibyte that costs no disk.
    File::create(&stream)?.set_len(STREAM)?;

    let greeter = serve(|mut connection| {
        let _ = connection.read(&mut [0; 4096]);
        let _ = connection.write_all(b"Hello World");
    })?;
    let discard = serve(|mut connection| {
        let mut bytes = vec![0; 256 * 1024];
        while matches!(connection.read(&mut bytes), Ok(1..)) {}
    })?;
    let [host, port] = [greeter.ip().to_string(), greeter.port().to_string()];
    let target = greeter.to_string();
    compare(
        "one exchange, start to exit",
        &[tcpctl, "send", &target],
        &["nc", &host, &port],
        || File::open(&message),
        EXCHANGES,
        1.3,
    )?;
    let port = discard.port().to_string();
    let target = discard.to_string();
    compare(
        "1 GiB to a discard server",
        &[tcpctl, "send", "--no-reply", &target],
        &["ncat", "--send-only", &host, &port],
        || File::open(&stream),
        STREAMS,
        1.2,
    )?;
    if let Some(peak) = peak_memory(&[tcpctl, "send", "--no-reply", &target], &stream)? {
        println!("peak memory of that: {peak} kB, promised: less than 16384 kB");
    }
    std::fs::remove_file(message)?;
    std::fs::remove_file(stream)
}

/// A server on a thread of its own, one connection at a time.
fn serve(behaviour: impl Fn(TcpStream) + Send + 'static) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || listener.incoming().flatten().for_each(behaviour));
    Ok(address)
}

fn compare(
    what: &str,
    ours: &[&str],
    theirs: &[&str],
    input: impl Fn() -> io::Result<File>,
    runs: usize,
    promised: f64,
) -> io::Result<()> {
    let mut times = (Vec::new(), Vec::new());
    for _ in 0..runs {
        times.0.push(time(ours, input()?)?);
        match time(theirs, input()?) {
            Ok(took) => times.1.push(took),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                println!("{what}: there is no {} to compare with", theirs[0]);
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
    let (ours, other) = (median(times.0), median(times.1));
    println!(
        "{what}: {ours:.2?}, {} {other:.2?}: {:.2}x, promised: {promised}x",
        theirs[0],
        ours.as_secs_f64() / other.as_secs_f64()
    );
    Ok(())
}

fn time(command: &[&str], input: File) -> io::Result<Duration> {
    let begin = Instant::now();
    let status = Command::new(command[0])
        .args(&command[1..])
        .stdin(input)
        .stdout(Stdio::null())
        .status()?;
    let took = begin.elapsed();
    assert!(status.success(), "{command:?}: {status}");
    Ok(took)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// The most memory that a command had resident, in kB, where the system tells.
fn peak_memory(command: &[&str], input: &std::path::Path) -> io::Result<Option<u64>> {
    let mut child = Command::new(command[0])
        .args(&command[1..])
        .stdin(File::open(input)?)
        .spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak = None;
    while child.try_wait()?.is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak = now.max(peak);
        thread::sleep(Duration::from_millis(5));
    }
    Ok(peak)
}
