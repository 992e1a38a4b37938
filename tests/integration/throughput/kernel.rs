//! Real sockets, against servers on free ports.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tcpctl::bench::report::{LimitedBy, Throughput};
use tcpctl::bench::throughput::{Ports, ThroughputPlan, measure};
use tcpctl_engine::kernel::KernelNetwork;

/// A server that treats every connection alike. It ends with the test process.
fn server(behavior: impl Fn(TcpStream) + Send + Sync + Clone + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let behavior = behavior.clone();
            thread::spawn(move || behavior(connection));
        }
    });
    port
}

fn discard(taken: &Arc<AtomicU64>) -> u16 {
    let taken = Arc::clone(taken);
    server(move |mut connection| {
        let mut buffer = vec![0; 128 * 1024];
        while let Ok(length @ 1..) = connection.read(&mut buffer) {
            taken.fetch_add(length as u64, Ordering::Relaxed);
        }
    })
}

fn chargen() -> u16 {
    let line = |start: u8| (0..72).map(move |at| b' ' + (start + at) % 95);
    let text: Vec<u8> = (0..95)
        .flat_map(|start| line(start).chain(*b"\r\n"))
        .collect();
    server(move |mut connection| while connection.write_all(&text).is_ok() {})
}

fn echo() -> u16 {
    server(|mut connection| {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = connection.read(&mut buffer) {
            if connection.write_all(&buffer[..length]).is_err() {
                return;
            }
        }
    })
}

/// A closed port, reserved as long as the socket exists.
fn closed() -> (socket2::Socket, u16) {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    socket.bind(&any.into()).expect("a port");
    let address = socket.local_addr().expect("bound");
    let port = address.as_socket().expect("IPv4").port();
    (socket, port)
}

fn run(ports: Ports, target: u16) -> Throughput {
    let plan = ThroughputPlan {
        ports,
        duration: Duration::from_millis(300),
        ..ThroughputPlan::new(([127, 0, 0, 1], target).into())
    };
    let mut network = KernelNetwork::new().expect("descriptors");
    measure(&mut network, &plan, &mut ()).report()
}

#[test]
fn three_services_are_measured_alone_and_together() {
    let taken = Arc::default();
    let ports = Ports {
        discard: discard(&taken),
        chargen: chargen(),
        echo: echo(),
    };
    let report = run(ports, 1);
    let (upload, download, echo) = (report.upload, report.download, report.echo);
    let flows = [upload, download, echo].map(|flow| flow.expect("a service"));
    for flow in &flows {
        assert_eq!(flow.streams, 4, "{:?}", report.evidence);
        assert!(flow.bytes_per_s > 1e6, "{flow:?}");
        let sum: u64 = flow.seconds.iter().sum();
        let rate = sum as f64 / (flow.duration_us / 1e6);
        assert!((rate / flow.bytes_per_s - 1.0).abs() < 1e-6, "{flow:?}");
        assert!(flow.single.as_ref().expect("alone").bytes_per_s > 1e6);
    }
    if cfg!(target_os = "linux") {
        assert!(flows[0].limited_by.is_some(), "{:?}", report.evidence);
        assert!(flows[0].retransmissions.is_some());
    }
    assert!(!report.evidence["download"].detail.contains("not chargen's"));
    // Acknowledged bytes were read, or are in the receive buffer of a server that was reset.
    let reported: u64 = flows[0].seconds.iter().sum();
    let buffers = 4 * 8 * 1024 * 1024;
    assert!(reported <= taken.load(Ordering::Relaxed) + buffers);
}

#[test]
fn slow_reader_is_named_as_the_bottleneck() {
    // The server reads 64 KiB per 5 ms: at most 13 MB/s on any machine.
    let slow = server(|mut connection| {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(1..) = connection.read(&mut buffer) {
            thread::sleep(Duration::from_millis(5));
        }
    });
    let (_keep, closed_port) = closed();
    let ports = Ports {
        discard: slow,
        chargen: closed_port,
        echo: closed_port,
    };
    let report = run(ports, closed_port);
    if cfg!(target_os = "linux") {
        let single = report.upload.expect("a service").single.expect("alone");
        assert_eq!(
            single.limited_by,
            Some(LimitedBy::ReceiverWindow),
            "{:?}",
            report.evidence
        );
    }
    assert!(report.evidence["download"].detail.contains("not offered"));
}

#[test]
fn changed_byte_in_an_echo_is_found() {
    let spoiling = server(|mut connection| {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = connection.read(&mut buffer) {
            buffer[length - 1] = b' ';
            if connection.write_all(&buffer[..length]).is_err() {
                return;
            }
        }
    });
    let (_keep, closed_port) = closed();
    let ports = Ports {
        discard: closed_port,
        chargen: closed_port,
        echo: spoiling,
    };
    let report = run(ports, closed_port);
    assert_eq!(report.echo, None);
    assert!(
        report.evidence["echo"].detail.contains("echo is wrong"),
        "{report:?}"
    );
}

#[test]
fn greeting_port_reports_its_reply_size() {
    let greeter = server(|mut connection| {
        let _ = connection.read(&mut [0; 512]);
        let _ = connection.write_all(b"Hello World");
    });
    let (_keep, closed_port) = closed();
    let ports = Ports {
        discard: closed_port,
        chargen: closed_port,
        echo: closed_port,
    };
    let report = run(ports, greeter);
    // The rate depends on the machine. The text shows that replies were counted.
    let how = &report.evidence["download"].detail;
    assert!(how.contains("of 11 bytes"), "{how}");
}
