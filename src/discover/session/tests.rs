use super::*;
use crate::discover::connections::Claim;
use crate::discover::plan::SerialPorts;
use crate::discover::registry::{Observation, SourceKey};
use crate::discover::report::Event;
use crate::mdns::Origin;
use crate::mdns::message::DnsName;
use crate::serial::Usb;

fn plan(serial: SerialPorts) -> DiscoverPlan {
    DiscoverPlan {
        service_type: None,
        mdns_port: 5353,
        serial,
        gateway: false,
        probe: None,
        interface: None,
        ending: Ending::Never,
    }
}

/// A C3 with native USB, a board behind an adapter, a printer, and a port of the main board.
fn ports() -> Vec<Port> {
    let usb = |path: &str, vendor, product, serial: Option<&str>| Port {
        path: path.to_owned(),
        usb: Some(Usb {
            vendor,
            product,
            serial_number: serial.map(str::to_owned),
            ..Usb::default()
        }),
    };
    vec![
        usb("/dev/ttyACM990", 0x303a, 0x1001, Some("7C:DF:A1:B2:C3:D4")),
        usb("/dev/ttyUSB990", 0x10c4, 0xea60, Some("0001")),
        usb("/dev/ttyUSB991", 0x1234, 0x5678, None),
        Port {
            path: "/dev/ttyS990".to_owned(),
            usb: None,
        },
    ]
}

fn reported(session: &mut Session<'_>) -> Vec<(Event, String, Option<&'static str>)> {
    let events = session.registry.take_events().into_iter();
    events
        .map(|it| {
            let usb = it.board.usb.as_ref();
            let adapter = usb.and_then(|usb| usb.adapter);
            (it.event, it.board.serial_port.unwrap(), adapter)
        })
        .collect()
}

#[test]
fn ports_with_known_adapters_are_reported() {
    let plan = plan(SerialPorts::Boards);
    let mut session = Session::new(&plan);
    session.ports(Ok(ports()));
    let own = Some("Espressif USB JTAG/serial");
    assert_eq!(
        reported(&mut session),
        [
            (Event::Found, "/dev/ttyACM990".into(), own),
            (Event::Found, "/dev/ttyUSB990".into(), Some("CP210x")),
        ]
    );
    let mac = session.registry.boards().next().unwrap().report().mac;
    assert_eq!(mac.as_deref(), Some("7c:df:a1:b2:c3:d4"));
    assert_eq!(session.registry.count(), 2);
    // These ports do not exist on this computer, so they cannot be opened. Windows has no such
    // permissions.
    if cfg!(unix) {
        let forbidden = ["/dev/ttyACM990", "/dev/ttyUSB990"];
        assert_eq!(session.forbidden_ports, forbidden);
    }
    // The same list changes nothing. A missing port is lost.
    session.ports(Ok(ports()));
    assert_eq!(reported(&mut session), []);
    session.ports(Ok(ports().split_off(1)));
    let lost = (Event::Lost, "/dev/ttyACM990".into(), own);
    assert_eq!(reported(&mut session), [lost]);
    // A failed listing is reported and changes nothing.
    session.ports(Err(std::io::Error::other("no")));
    assert_eq!(reported(&mut session), []);
    assert_eq!(session.problems, ["cannot list the serial ports: no"]);
}

#[test]
fn a_swapped_board_is_lost_and_the_other_found() {
    let plan = plan(SerialPorts::Boards);
    let mut session = Session::new(&plan);
    session.ports(Ok(ports()));
    assert_eq!(reported(&mut session).len(), 2);
    let mut swapped = ports();
    swapped[0].usb.as_mut().unwrap().serial_number = Some("7C:DF:A1:00:00:01".to_owned());
    session.ports(Ok(swapped));
    let own = Some("Espressif USB JTAG/serial");
    assert_eq!(
        reported(&mut session),
        [
            (Event::Lost, "/dev/ttyACM990".into(), own),
            (Event::Found, "/dev/ttyACM990".into(), own),
        ]
    );
    let macs = session.registry.boards().filter_map(|it| it.report().mac);
    assert_eq!(macs.collect::<Vec<_>>(), ["7c:df:a1:00:00:01"]);
    let expected = if cfg!(unix) { 2 } else { 0 };
    assert_eq!(
        session.forbidden_ports.len(),
        expected,
        "each is listed once"
    );
}

#[test]
fn unknown_ports_are_listed_and_do_not_count() {
    let plan = plan(SerialPorts::All);
    let mut session = Session::new(&plan);
    session.ports(Ok(ports()));
    let unknown = session.registry.boards().map(|it| {
        let report = it.report();
        let unknown = report.is_unknown_serial();
        (report.serial_port.unwrap(), unknown)
    });
    let unknown: Vec<_> = unknown.filter(|it| it.1).map(|it| it.0).collect();
    assert_eq!(unknown, ["/dev/ttyUSB991", "/dev/ttyS990"]);
    assert_eq!(reported(&mut session).len(), 4);
    assert_eq!(session.registry.count(), 2);
}

#[test]
fn a_board_gets_the_result_of_a_check_at_its_address() {
    let plan = plan(SerialPorts::None);
    for (reached, status) in [
        (
            Reachability::Reachable {
                address: "10.0.0.7:3000".parse().unwrap(),
                rtt: Duration::from_millis(2),
            },
            Status::Online,
        ),
        (Reachability::Unreachable, Status::Unreachable),
    ] {
        let mut session = Session::new(&plan);
        let see = |session: &mut Session<'_>, name: &str| {
            let instance = DnsName::of_text(&format!("{name}._tcpctl._tcp.local")).unwrap();
            let observation = Observation {
                name: Some(name.to_owned()),
                addresses: vec!["10.0.0.7:3000".parse().unwrap()],
                ..Observation::new(SourceKey::Mdns(Origin {
                    interface: 1,
                    instance,
                }))
            };
            session.observe(observation, Claim::Direct);
            session.registry.boards().last().unwrap().id
        };
        let old = see(&mut session, "old");
        let (_, route) = session.connections.start_next().unwrap();
        session.take(TaskResult::Connected(
            old,
            route.clone(),
            Reachability::Unreachable,
        ));
        assert_eq!(session.registry.take_events().len(), 1);
        // The board is silent. While it is checked, another name appears at its address.
        assert!(session.connections.start(old, route.clone(), Claim::Direct));
        let new = see(&mut session, "new");
        assert_eq!(
            session.connections.start_next(),
            None,
            "one connection at a time"
        );
        session.take(TaskResult::Checked(old, route, reached));
        let board = session.registry.board(new).unwrap();
        assert_eq!(board.status(), Some(status));
        let events = session.registry.take_events();
        let has_changed = |it: &DiscoverReport| it.board.name.as_deref() == Some("new");
        assert!(
            events
                .iter()
                .any(|it| has_changed(it) && it.event == Event::Found)
        );
    }
}
