//! The measurements and their network namespace.

use std::cell::Cell;
use std::collections::HashSet;
use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tcpctl::mdns;
use tcpctl::mdns::announce::announce;
use tcpctl::net::interfaces;
use tcpctl_greeter::mdns::Identity;

use crate::Result;
use crate::spread::Spread;
use crate::table::Table;

/// The argument of a process inside the namespace; the section follows.
pub(crate) const INSIDE: &str = "--inside-the-namespace";
/// The argument of the announcer; the number of boards follows.
pub(crate) const ANNOUNCE: &str = "--announce-boards";

const TCPCTL: &str = env!("CARGO_BIN_EXE_tcpctl");
const RUNS: usize = 20;
const BOARDS: usize = 500;
/// A daemon reports at most 100 events at a time.
const BOARDS_PER_DAEMON: usize = 50;
/// Address of this end of the link. The boards' end is in a namespace of its own.
const HERE: &str = "10.79.0.1";
const THERE: &str = "10.79.0.2";

/// Runs a section inside an unnamed namespace with its own mounts.
pub(crate) fn run_inside(section: &str) -> Result<()> {
    let unshare = ["--net", "--mount"];
    let possible = Command::new("unshare").args(unshare).arg("true").output();
    if !possible.is_ok_and(|output| output.status.success()) {
        println!("{section}: skipped: needs root");
        return Ok(());
    }
    let status = Command::new("unshare")
        .args(unshare)
        .arg(env::current_exe()?)
        .args([INSIDE, section])
        .env("XDG_CACHE_HOME", "/proc/nowhere")
        .status()?;
    if !status.success() {
        return Err(format!("the part inside the namespace ended with {status}").into());
    }
    Ok(())
}

/// Runs a section inside the namespace.
pub(crate) fn inside(arguments: &[String]) -> Result<()> {
    shell("mount --make-rprivate /")?;
    shell("ip link set lo up")?;
    match arguments.get(2).map(String::as_str) {
        Some("first") => first(),
        Some("many") => many(),
        _ => watch(),
    }
}

/// After this the announcer multicasts its records again (RFC 6762 §6: at most once a second).
const PAUSE: Duration = Duration::from_millis(2200);

/// From the start of the program to the first board on its output.
fn first() -> Result<()> {
    const BROWSE: (&str, &[&str], &str) = ("avahi-browse", &["-rtp", "_tcpctl._tcp"], "=;");
    const DISCOVER: (&str, &[&str], &str) = (TCPCTL, &["discover", "--no-serial"], "board-0 ");
    let _boards = Announcer::start(1)?;
    // Compare with an Avahi that has just started and has an empty cache, as discover has.
    let mut alone = Vec::new();
    let mut cold = Vec::new();
    // Compare with an Avahi that has the board in its cache.
    let mut beside = Vec::new();
    let mut warm = Vec::new();
    let has_avahi = Command::new("avahi-browse").arg("--version").output();
    let has_avahi = has_avahi.is_ok();
    for _ in 0..RUNS {
        alone.push(until_line(DISCOVER)?);
        if has_avahi {
            thread::sleep(PAUSE);
            let _avahi = Avahi::start()?;
            // avahi-browse sometimes gives up before the first answer.
            cold.extend(until_line(BROWSE).ok());
        }
    }
    if has_avahi {
        thread::sleep(PAUSE);
        let _avahi = Avahi::start()?;
        until_line(BROWSE)?;
        for _ in 0..RUNS {
            beside.push(until_line(DISCOVER)?);
            warm.extend(until_line(BROWSE).ok());
        }
    }
    println!(
        "first: the first board after the start, {RUNS} alternating runs each, median (middle half)"
    );
    let mut table = Table::new(&["", "ms"]);
    let mut median = |name: &str, times: &[Duration]| {
        let spread = Spread::of(times.iter().map(|time| 1e3 * time.as_secs_f64()));
        table.row([name.to_owned(), format!("{spread:.1}")]);
        spread.median()
    };
    let discover = median("tcpctl discover", &alone);
    let mut ratios = Vec::new();
    if has_avahi {
        let cold = median("avahi-browse -rtp, daemon just started", &cold);
        let beside = median("tcpctl discover, warm daemon", &beside);
        let warm = median("avahi-browse -rtp, warm daemon", &warm);
        ratios = vec![("just started", discover / cold), ("warm", beside / warm)];
    }
    table.print();
    println!("  at most 150 ms: {}", crate::met(discover <= 150.0));
    for (service, ratio) in ratios {
        println!(
            "  {ratio:.3} times avahi-browse with its daemon {service}, at most 1: {}",
            crate::met(ratio <= 1.0)
        );
    }
    Ok(())
}

/// Five hundred boards: time, memory, and duplicates.
fn many() -> Result<()> {
    let _boards = Announcer::start(BOARDS)?;
    let mut times = Vec::new();
    let mut memory: f64 = 0.0;
    let mut wrong = 0;
    for _ in 0..5 {
        let begin = Instant::now();
        let count = BOARDS.to_string();
        let output = Command::new("/usr/bin/env")
            .args(["sh", "-c"])
            // The last VmHWM that /proc reports is the peak.
            .arg(format!(
                "{TCPCTL} discover --json --no-serial --timeout 3s --expect-count {count} & p=$!; \
                 peak=0; while kill -0 $p 2>/dev/null; do \
                 now=$(sed -n 's/^VmHWM:[^0-9]*\\([0-9]*\\).*/\\1/p' /proc/$p/status 2>/dev/null); \
                 peak=${{now:-$peak}}; sleep 0.02; done; wait $p; echo \"peak $peak\""
            ))
            .output()?;
        times.push(begin.elapsed().as_secs_f64());
        let text = String::from_utf8(output.stdout)?;
        let names: Vec<_> = text
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter(|event| event["event"] == "found")
            .map(|event| event["name"].to_string())
            .collect();
        let once: HashSet<_> = names.iter().collect();
        wrong += names.len() - once.len() + BOARDS.abs_diff(once.len());
        let peak = text.lines().find_map(|line| line.strip_prefix("peak "));
        memory = memory.max(peak.unwrap_or("0").trim().parse::<f64>()? / 1024.0);
    }
    let spread = Spread::of(times);
    println!("many: {BOARDS} boards, 5 runs, median (middle half)");
    println!(
        "  all found after {spread:.2} s, at most 3 s: {}",
        crate::met(spread.median() <= 3.0)
    );
    println!(
        "  peak memory {memory:.1} MiB, under 64 MiB: {}",
        crate::met(memory < 64.0)
    );
    println!(
        "  missing or duplicate: {wrong}: {}",
        crate::met(wrong == 0)
    );
    Ok(())
}

/// A watch of one unchanging board.
fn watch() -> Result<()> {
    const LONG: Duration = Duration::from_secs(15);
    let _boards = Announcer::start(1)?;
    let mut watch = Command::new(TCPCTL)
        .args(["discover", "--watch"])
        .stdout(Stdio::null())
        .spawn()?;
    thread::sleep(Duration::from_secs(3));
    let before = cpu(&watch)?;
    thread::sleep(LONG);
    let used = cpu(&watch)? - before;
    watch.kill()?;
    watch.wait()?;
    let share = 100.0 * used / LONG.as_secs_f64();
    println!("watch: {} s of a watch with one board", LONG.as_secs());
    println!(
        "  {share:.2}% of a core, under 1%: {}",
        crate::met(share < 1.0)
    );
    Ok(())
}

/// CPU seconds of a process.
fn cpu(process: &Child) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{}/schedstat", process.id()))?;
    let nanoseconds: f64 = stat.split(' ').next().unwrap_or("0").parse()?;
    let mut total = nanoseconds;
    // Add the other threads.
    for task in fs::read_dir(format!("/proc/{}/task", process.id()))? {
        let task = task?.path();
        if task.file_name().and_then(|it| it.to_str()) != Some(&process.id().to_string()) {
            let stat = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
            total += stat.split(' ').next().unwrap_or("0").parse().unwrap_or(0.0);
        }
    }
    Ok(total / 1e9)
}

/// Starts a program and returns the time until its first line with the given start.
fn until_line((program, arguments, start): (&str, &[&str], &str)) -> Result<Duration> {
    let begin = Instant::now();
    let mut child = Command::new(program)
        .args(arguments)
        .env("DBUS_SYSTEM_BUS_ADDRESS", BUS)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let output = child.stdout.take().ok_or("no output")?;
    let mut took = None;
    for line in BufReader::new(output).lines() {
        if line?.starts_with(start) {
            took = Some(begin.elapsed());
            break;
        }
    }
    child.kill()?;
    child.wait()?;
    took.ok_or_else(|| format!("{program} found no board").into())
}

const BUS: &str = "unix:abstract=tcpctl-bench-bus";

/// An Avahi on this end of the link.
struct Avahi(Vec<Child>);

impl Avahi {
    fn start() -> Result<Self> {
        let folder = env::temp_dir().join(format!("tcpctl-bench-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let config = folder.join("bus.conf");
        fs::write(
            &config,
            format!(
                "<busconfig><listen>{BUS}</listen><auth>EXTERNAL</auth>\
                 <policy context='default'><allow send_destination='*' eavesdrop='true'/>\
                 <allow eavesdrop='true'/><allow own='*'/></policy></busconfig>"
            ),
        )?;
        let mut bus = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", config.display()))
            .args(["--nofork", "--print-address"])
            .stdout(Stdio::piped())
            .spawn()?;
        wait_for(bus.stdout.take(), "unix:")?;
        // The mount belongs to this namespace.
        shell("mount -t tmpfs none /run && mkdir /run/avahi-daemon")?;
        let settings = folder.join("avahi.conf");
        fs::write(&settings, "[publish]\ndisable-publishing=yes\n")?;
        let mut daemon = Command::new("avahi-daemon")
            .args(["--no-drop-root", "--no-chroot", "--no-rlimits", "-f"])
            .arg(&settings)
            .env("DBUS_SYSTEM_BUS_ADDRESS", BUS)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        wait_for(daemon.stderr.take(), "Server startup complete")?;
        Ok(Self(vec![daemon, bus]))
    }
}

impl Drop for Avahi {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // Both fail only for a process that has ended.
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = shell("umount /run");
        let folder = env::temp_dir().join(format!("tcpctl-bench-{}", std::process::id()));
        let _ = fs::remove_dir_all(folder);
    }
}

/// Waits for a line, and keeps reading so that the writer never blocks.
fn wait_for(output: Option<impl std::io::Read + Send + 'static>, part: &str) -> Result<()> {
    let mut lines = BufReader::new(output.ok_or("no output")?).lines();
    loop {
        match lines.next() {
            Some(line) if line.as_ref().is_ok_and(|line| line.contains(part)) => break,
            Some(Ok(_)) => {}
            _ => return Err(format!("no line with '{part}'").into()),
        }
    }
    thread::spawn(move || lines.for_each(drop));
    Ok(())
}

/// Boards in their own namespace, at the other end of the link.
struct Announcer(Child);

impl Announcer {
    fn start(count: usize) -> Result<Self> {
        let mut child = Command::new("unshare")
            .arg("--net")
            .arg(env::current_exe()?)
            .args([ANNOUNCE, &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take();
        let announcer = Self(child);
        let pid = announcer.0.id();
        // Its namespace exists once it prints a line.
        let mut lines = BufReader::new(output.ok_or("no output")?).lines();
        lines.next().ok_or("the announcer has ended")??;
        shell(&format!(
            "ip link add desk0 type veth peer name lab0 netns {pid}"
        ))?;
        shell(&format!(
            "ip addr add {HERE}/24 dev desk0 && ip link set desk0 up"
        ))?;
        lines.next().ok_or("the announcer has ended")??;
        thread::spawn(move || lines.for_each(drop));
        Ok(announcer)
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A board's server, which closes every connection. Returns only on failure to start.
async fn serve(listener: TcpListener) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        drop(listener.accept().await);
    }
}

/// Announces boards on the link until this process is killed.
pub(crate) fn announce_forever(arguments: &[String]) -> Result<()> {
    let count: u16 = arguments.get(2).map_or(Ok(1), |count| count.parse())?;
    println!("inside");
    while !fs::exists("/proc/self/net/dev_mcast")? || shell("ip link show lab0").is_err() {
        thread::sleep(Duration::from_millis(5));
    }
    shell(&format!(
        "ip addr add {THERE}/24 dev lab0 && ip link set lab0 up"
    ))?;
    // Duplicate address detection comes first.
    thread::sleep(Duration::from_secs(2));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // Each board has its own port, so that each one is connected to.
    let mut listeners = Vec::new();
    for _ in 0..count {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        listener.set_nonblocking(true)?;
        listeners.push(listener);
    }
    let ports: Vec<_> = listeners
        .iter()
        .map(|listener| Ok(listener.local_addr()?.port()))
        .collect::<Result<_>>()?;
    let names: Vec<_> = (0..count).map(|number| format!("board-{number}")).collect();
    let identities: Vec<_> = names
        .iter()
        .zip(&ports)
        .zip(0u16..)
        .map(|((name, port), number)| Identity {
            hostname: name,
            port: *port,
            chip: "virtual",
            mode: "ap",
            firmware: "1",
            mac: [2, 0, 0, 0, number.to_be_bytes()[0], number.to_be_bytes()[1]],
            management: None,
        })
        .collect();
    let interface = interfaces::list()?
        .into_iter()
        .find(|it| it.name == "lab0")
        .ok_or("the link is gone")?;
    let left = Cell::new(identities.len());
    let address = THERE.parse()?;
    runtime.block_on(async {
        let groups = identities.chunks(BOARDS_PER_DAEMON);
        let announcing = groups.map(|boards| {
            let announced = |_, _: &str| {
                left.set(left.get() - 1);
                if left.get() == 0 {
                    println!("announced");
                }
            };
            let never = std::future::pending();
            announce(&interface, address, mdns::PORT, boards, never, announced)
        });
        let announcing = futures_util::future::try_join_all(announcing);
        tokio::select! {
            ended = announcing => ended.map(drop),
            ended = futures_util::future::try_join_all(listeners.into_iter().map(serve)) => ended.map(drop),
        }
    })?;
    Ok(())
}

fn shell(line: &str) -> Result<()> {
    let output = Command::new("sh").arg("-c").arg(line).output()?;
    if output.status.success() {
        return Ok(());
    }
    let printed = String::from_utf8_lossy(&output.stderr);
    Err(format!("{line}: {}", printed.trim()).into())
}
