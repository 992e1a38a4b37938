use std::net::{Ipv4Addr, TcpListener};

use super::*;

const TIMEOUT: Duration = Duration::from_secs(10);

fn listener(backlog: i32) -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(&any.into()).unwrap();
    socket.listen(backlog).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

/// Waits for an event, at most for `timeout`.
fn next(network: &mut KernelNetwork, timeout: Duration) -> Vec<Event> {
    let mut events = Vec::new();
    let until = network.now() + timeout;
    while events.is_empty() && network.now() < until {
        network.wait(Some(until), &mut events).unwrap();
    }
    events
}

#[test]
#[cfg(target_os = "linux")]
fn loopback_connection_is_established_without_a_poll() {
    let (_listener, address) = listener(8);
    let mut network = KernelNetwork::new().unwrap();
    let id = network.connect(address, None).unwrap();
    let mut events = Vec::new();
    network.wait(Some(NetworkTime::ZERO), &mut events).unwrap();
    assert_eq!(events, [Event::Connected(id)]);
    assert_eq!(next(&mut network, Duration::from_millis(20)), []);
}

#[test]
#[cfg(target_os = "linux")]
fn full_accept_queue_leaves_the_connection_pending() {
    // listen(0) holds one connection; the next SYN is dropped.
    let (_listener, address) = listener(0);
    let mut network = KernelNetwork::new().unwrap();
    let first = network.connect(address, None).unwrap();
    network.connect(address, None).unwrap();
    let events = next(&mut network, Duration::from_millis(50));
    assert_eq!(events, [Event::Connected(first)]);
    assert_eq!(next(&mut network, Duration::from_millis(50)), []);
}

#[test]
fn closed_loopback_port_refuses() {
    let (socket, address) = listener(8);
    drop(socket);
    let mut network = KernelNetwork::new().unwrap();
    let id = network.connect(address, None).unwrap();
    let refused = Event::Failed(id, ConnectFailure::Refused);
    assert_eq!(next(&mut network, TIMEOUT), [refused]);
}

#[test]
fn released_connection_reports_no_event() {
    let (_listener, address) = listener(8);
    let mut network = KernelNetwork::new().unwrap();
    let gone = network.connect(address, None).unwrap();
    network.release(gone, Release::Reset);
    let again = network.connect(address, None).unwrap();
    assert_eq!(gone, again, "numbers are reused");
    assert_eq!(next(&mut network, TIMEOUT), [Event::Connected(again)]);
    assert_eq!(next(&mut network, Duration::from_millis(20)), []);
}

#[test]
#[cfg(target_os = "linux")]
fn other_events_arrive_with_immediate_connections() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let mut network = KernelNetwork::new().unwrap();
    let first = network.connect(address, None).unwrap();
    assert_eq!(next(&mut network, TIMEOUT), [Event::Connected(first)]);
    let (mut peer, _) = listener.accept().unwrap();
    peer.write_all(b"x").unwrap();
    let second = network.connect(address, None).unwrap();
    let mut events = Vec::new();
    network.wait(Some(NetworkTime::ZERO), &mut events).unwrap();
    assert_eq!(events, [Event::Connected(second), Event::Readable(first)]);
}

#[test]
fn short_write_continues_when_writable() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut network = KernelNetwork::new().unwrap();
    let id = network
        .connect(listener.local_addr().unwrap(), None)
        .unwrap();
    assert_eq!(next(&mut network, TIMEOUT), [Event::Connected(id)]);
    let (mut peer, _) = listener.accept().unwrap();
    let data = vec![7; 1 << 20];
    for _ in 0..3 {
        let mut sent = 0;
        loop {
            match network.write(id, &data) {
                Ok(length) => sent += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        let mut received = vec![0; sent];
        peer.read_exact(&mut received).unwrap();
        assert_eq!(next(&mut network, TIMEOUT), [Event::Writable(id)]);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn kept_connection_has_arrival_times_from_its_second_request_on() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut network = KernelNetwork::new().unwrap();
    // As after many connections in quick succession.
    network.arrivals.connects = Pace {
        last: 0,
        average_gap: 0,
        saturated_gap: u64::MAX,
    };
    let id = network
        .connect(listener.local_addr().unwrap(), None)
        .unwrap();
    assert_eq!(next(&mut network, TIMEOUT), [Event::Connected(id)]);
    let (mut peer, _) = listener.accept().unwrap();
    let mut buffer = [0; 8];
    let mut exchange = |network: &mut KernelNetwork| {
        network.write(id, b"x").unwrap();
        peer.write_all(b"y").unwrap();
        assert_eq!(next(network, TIMEOUT), [Event::Readable(id)]);
        assert_eq!(network.read(id, &mut buffer).unwrap(), 1);
        network.arrival()
    };
    assert_eq!(exchange(&mut network), None);
    // The kernel enables timestamps a moment after the request.
    let until = network.now() + TIMEOUT;
    let mut arrival = None;
    while arrival.is_none() && network.now() < until {
        arrival = exchange(&mut network);
    }
    let arrival = arrival.expect("supported on Linux");
    assert!(arrival <= network.now());
}
