use super::*;
use crate::discover::connections::Word;
use crate::discover::plan::Serial;
use crate::discover::registry::{Key, Sighting};
use crate::discover::report::Event;
use crate::mdns::Origin;
use crate::mdns::message::DnsName;
use crate::serial::Usb;

fn plan(serial: Serial) -> Plan {
    Plan {
        service_type: None,
        mdns_port: 5353,
        serial,
        gateway: false,
        probe: None,
        interface: None,
        ending: Ending::Never,
    }
}

/// A C3 on its own USB, a board behind a bridge, a printer, and a port of the main board.
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

fn told(session: &mut Session<'_>) -> Vec<(Event, String, Option<&'static str>)> {
    let news = session.registry.news(false).into_iter();
    news.map(|it| {
        let usb = it.board.usb.as_ref();
        let adapter = usb.and_then(|usb| usb.adapter);
        (it.event, it.board.serial_port.unwrap(), adapter)
    })
    .collect()
}

#[test]
fn ports_that_boards_are_known_to_be_on_are_told_of() {
    let plan = plan(Serial::Boards);
    let mut session = Session::new(&plan);
    session.ports(Ok(ports()));
    let own = Some("Espressif USB JTAG/serial");
    assert_eq!(
        told(&mut session),
        [
            (Event::Found, "/dev/ttyACM990".into(), own),
            (Event::Found, "/dev/ttyUSB990".into(), Some("CP210x")),
        ]
    );
    let mac = session.registry.boards().next().unwrap().report().mac;
    assert_eq!(mac.as_deref(), Some("7c:df:a1:b2:c3:d4"));
    assert_eq!(session.registry.count(), 2);
    // Nobody has plugged these in here, and so nobody may open them.
    assert_eq!(
        session.forbidden_ports,
        ["/dev/ttyACM990", "/dev/ttyUSB990"]
    );
    // The same again is no news; one that is unplugged is gone.
    session.ports(Ok(ports()));
    assert_eq!(told(&mut session), []);
    session.ports(Ok(ports().split_off(1)));
    let lost = (Event::Lost, "/dev/ttyACM990".into(), own);
    assert_eq!(told(&mut session), [lost]);
    // What can't be listed is said, and harms nobody.
    session.ports(Err(std::io::Error::other("no")));
    assert_eq!(told(&mut session), []);
    assert_eq!(session.problems, ["the serial ports can't be listed: no"]);
}

#[test]
fn a_board_that_is_swapped_for_another_between_two_looks_is_lost_and_the_other_found() {
    let plan = plan(Serial::Boards);
    let mut session = Session::new(&plan);
    session.ports(Ok(ports()));
    assert_eq!(told(&mut session).len(), 2);
    let mut swapped = ports();
    swapped[0].usb.as_mut().unwrap().serial_number = Some("7C:DF:A1:00:00:01".to_owned());
    session.ports(Ok(swapped));
    let own = Some("Espressif USB JTAG/serial");
    assert_eq!(
        told(&mut session),
        [
            (Event::Lost, "/dev/ttyACM990".into(), own),
            (Event::Found, "/dev/ttyACM990".into(), own),
        ]
    );
    let macs = session.registry.boards().filter_map(|it| it.report().mac);
    assert_eq!(macs.collect::<Vec<_>>(), ["7c:df:a1:00:00:01"]);
    assert_eq!(session.forbidden_ports.len(), 2, "each is told of once");
}

#[test]
fn ports_of_no_known_kind_are_told_of_where_all_are_wanted_and_are_no_boards() {
    let plan = plan(Serial::All);
    let mut session = Session::new(&plan);
    session.ports(Ok(ports()));
    let unknown = session.registry.boards().map(|it| {
        let report = it.report();
        let unknown = report.is_unknown_serial();
        (report.serial_port.unwrap(), unknown)
    });
    let unknown: Vec<_> = unknown.filter(|it| it.1).map(|it| it.0).collect();
    assert_eq!(unknown, ["/dev/ttyUSB991", "/dev/ttyS990"]);
    assert_eq!(told(&mut session).len(), 4);
    assert_eq!(session.registry.count(), 2);
}

#[test]
fn a_board_that_waits_while_its_place_is_checked_is_told_of_afterwards() {
    let plan = plan(Serial::None);
    for (reached, status) in [
        (
            Reached::Yes {
                address: "10.0.0.7:3000".parse().unwrap(),
                rtt: Duration::from_millis(2),
            },
            Status::Online,
        ),
        (Reached::No, Status::Unreachable),
    ] {
        let mut session = Session::new(&plan);
        let see = |session: &mut Session<'_>, name: &str| {
            let instance = DnsName::of_text(&format!("{name}._tcpctl._tcp.local")).unwrap();
            let sighting = Sighting {
                name: Some(name.to_owned()),
                addresses: vec!["10.0.0.7:3000".parse().unwrap()],
                ..Sighting::new(Key::Mdns(Origin {
                    interface: 1,
                    instance,
                }))
            };
            session.see(sighting, Word::Own);
            session.registry.boards().last().unwrap().id
        };
        let old = see(&mut session, "old");
        let (_, way) = session.connections.start().unwrap();
        session.take(Outcome::Connected(old, way.clone(), Reached::No));
        assert_eq!(session.registry.news(false).len(), 1);
        // It has fallen silent, and is checked when another name comes up where it was.
        assert!(session.connections.begin(old, way.clone(), Word::Own));
        let new = see(&mut session, "new");
        assert_eq!(
            session.connections.start(),
            None,
            "one connection at a time"
        );
        session.take(Outcome::Checked(old, way, reached));
        let board = session.registry.board(new).unwrap();
        assert_eq!(board.status(), Some(status));
        let told = session.registry.news(false);
        let is_new = |it: &DiscoverReport| it.board.name.as_deref() == Some("new");
        assert!(told.iter().any(|it| is_new(it) && it.event == Event::Found));
    }
}
