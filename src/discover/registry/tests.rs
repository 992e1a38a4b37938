use super::*;
use crate::discover::report::Source;
use crate::mdns::message::DnsName;

fn announced(interface: u32, name: &str, mac: Option<&str>, address: &str) -> Observation {
    let origin = Origin {
        interface,
        instance: DnsName::of_text(&format!("{name}._tcpctl._tcp.local")).unwrap(),
    };
    Observation {
        name: Some(name.to_owned()),
        mac: mac.map(str::to_owned),
        addresses: vec![address.parse().unwrap()],
        ..Observation::new(SourceKey::Mdns(origin))
    }
}

fn on_serial_port(mac: Option<&str>) -> Observation {
    Observation {
        mac: mac.map(str::to_owned),
        ..Observation::new(SourceKey::Serial("/dev/ttyACM0".into()))
    }
}

fn not_ours(_: &SocketAddr) -> bool {
    false
}

const MAC: Option<&str> = Some("02:74:63:70:00:01");

fn online(registry: &mut Registry, id: BoardId, address: &str) {
    let address = address.parse().unwrap();
    let rtt = Duration::from_micros(321);
    registry.set_reachability(id, Reachability::Reachable { address, rtt }, Status::Online);
}

fn events(registry: &mut Registry) -> Vec<(Event, Option<String>, Vec<Source>)> {
    let events = registry.take_events().into_iter();
    events
        .map(|it| (it.event, it.board.name, it.board.sources))
        .collect()
}

#[test]
fn a_board_is_reported_once_it_was_connected_to() {
    let mut registry = Registry::default();
    let seen = announced(2, "a", MAC, "10.0.0.1:3000");
    let (id, connect) = registry.observe(seen.clone(), not_ours).unwrap();
    assert!(connect);
    assert!(registry.take_events().is_empty());
    online(&mut registry, id, "10.0.0.1:3000");
    let events = registry.take_events();
    let [found] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(found.event, Event::Found);
    assert_eq!(found.board.status, Status::Online);
    assert_eq!(found.board.rtt_us, Some(321));
    assert_eq!(registry.observe(seen, not_ours), Some((id, false)));
    assert!(registry.take_events().is_empty());
    assert_eq!(registry.count(), 1);
}

#[test]
fn serial_port_and_network_entry_are_merged_by_mac() {
    let mut registry = Registry::default();
    let (first, connect) = registry.observe(on_serial_port(MAC), not_ours).unwrap();
    assert!(!connect);
    assert_eq!(
        events(&mut registry),
        [(Event::Found, None, vec![Source::Serial])]
    );
    let seen = announced(2, "a", MAC, "10.0.0.1:3000");
    let (second, _) = registry.observe(seen, not_ours).unwrap();
    assert_eq!(first, second);
    online(&mut registry, second, "10.0.0.1:3000");
    let both = vec![Source::Mdns, Source::Serial];
    assert_eq!(
        events(&mut registry),
        [(Event::Updated, Some("a".into()), both)]
    );
}

#[test]
fn an_adapter_without_a_mac_is_a_board_of_its_own() {
    let mut registry = Registry::default();
    registry.observe(on_serial_port(None), not_ours);
    registry.observe(announced(2, "a", MAC, "10.0.0.1:3000"), not_ours);
    assert_eq!(registry.boards().count(), 2);
}

#[test]
fn two_interfaces_to_one_board_are_one_board() {
    let mut registry = Registry::default();
    registry.observe(announced(2, "a", MAC, "10.0.0.1:3000"), not_ours);
    registry.observe(announced(3, "a", MAC, "10.1.0.1:3000"), not_ours);
    registry.observe(announced(2, "b", None, "10.0.0.2:3000"), not_ours);
    registry.observe(announced(3, "b", None, "10.0.0.2:3000"), not_ours);
    assert_eq!(registry.boards().count(), 2);
}

#[test]
fn one_name_on_two_networks_is_two_boards() {
    let mut registry = Registry::default();
    let other = Some("02:74:63:70:00:02");
    registry.observe(announced(2, "a", MAC, "192.168.1.1:3000"), not_ours);
    registry.observe(announced(3, "a", other, "192.168.1.1:3000"), not_ours);
    registry.observe(announced(2, "b", None, "10.0.0.2:3000"), not_ours);
    registry.observe(announced(3, "b", None, "10.1.0.2:3000"), not_ours);
    assert_eq!(registry.boards().count(), 4);
    // Addresses of this computer are an exception.
    registry.observe(announced(2, "c", None, "10.0.0.3:3000"), |_| true);
    registry.observe(announced(3, "c", None, "10.1.0.3:3000"), |_| true);
    assert_eq!(registry.boards().count(), 5);
}

#[test]
fn no_name_hides_another_at_its_address() {
    for (a, b) in [(None, None), (MAC, MAC), (MAC, None), (None, MAC)] {
        let mut registry = Registry::default();
        let address = "10.0.0.1:3000";
        registry.observe(announced(2, "evil", a, address), not_ours);
        registry.observe(announced(2, "good", b, address), not_ours);
        assert_eq!(registry.boards().count(), 2, "{a:?} {b:?}");
        // A probe of that address and a serial port do not merge them.
        let at = address.parse().unwrap();
        let probed = Observation {
            addresses: vec![at],
            ..Observation::new(SourceKey::Probe(at))
        };
        registry.observe(probed, not_ours);
        registry.observe(on_serial_port(MAC), not_ours);
        let names = registry.boards().filter_map(|it| it.report().name);
        assert_eq!(names.collect::<Vec<_>>(), ["evil", "good"], "{a:?} {b:?}");
    }
}

#[test]
fn two_servers_behind_one_mac_are_two_boards() {
    let mut registry = Registry::default();
    registry.observe(announced(1, "a", MAC, "127.0.0.1:3000"), |_| true);
    registry.observe(announced(1, "a-2", MAC, "127.0.0.1:3001"), |_| true);
    assert_eq!(registry.boards().count(), 2);
}

#[test]
fn a_new_address_replaces_the_old_one() {
    let mut registry = Registry::default();
    let (id, _) = registry
        .observe(announced(2, "a", MAC, "10.0.0.1:3000"), not_ours)
        .unwrap();
    online(&mut registry, id, "10.0.0.1:3000");
    registry.take_events();
    let moved = announced(2, "a", MAC, "10.0.0.2:3000");
    assert_eq!(registry.observe(moved, not_ours), Some((id, true)));
    online(&mut registry, id, "10.0.0.2:3000");
    let events = registry.take_events();
    assert_eq!(events[0].event, Event::Updated);
    assert_eq!(events[0].board.addresses, ["10.0.0.2"]);
}

#[test]
fn an_announcement_names_the_gateway() {
    let mut registry = Registry::default();
    let address = "192.168.1.1:3000".parse().unwrap();
    let gateway = Observation {
        addresses: vec![address],
        ..Observation::new(SourceKey::Gateway(address))
    };
    let (id, _) = registry.observe(gateway, not_ours).unwrap();
    online(&mut registry, id, "192.168.1.1:3000");
    registry.take_events();
    let seen = announced(2, "a", MAC, "192.168.1.1:3000");
    assert_eq!(registry.observe(seen, not_ours), Some((id, false)));
    let both = vec![Source::Mdns, Source::Gateway];
    assert_eq!(
        events(&mut registry),
        [(Event::Updated, Some("a".into()), both)]
    );
}

#[test]
fn merged_boards_keep_the_reported_number() {
    let mut registry = Registry::default();
    // One board is announced and not connected to yet; the other is on a serial port and reported.
    registry.observe(announced(2, "a", None, "10.0.0.1:3000"), not_ours);
    registry.observe(on_serial_port(MAC), not_ours);
    let reported = registry.take_events().remove(0).board;
    let (id, _) = registry
        .observe(announced(2, "a", MAC, "10.0.0.1:3000"), not_ours)
        .unwrap();
    online(&mut registry, id, "10.0.0.1:3000");
    let [now] = &registry.take_events()[..] else {
        panic!("one board")
    };
    assert_eq!((now.event, now.board.id), (Event::Updated, reported.id));
}

#[test]
fn a_board_is_lost_with_its_last_source() {
    let mut registry = Registry::default();
    let seen = announced(2, "a", MAC, "10.0.0.1:3000");
    let (id, _) = registry.observe(seen.clone(), not_ours).unwrap();
    registry.observe(on_serial_port(MAC), not_ours);
    online(&mut registry, id, "10.0.0.1:3000");
    registry.take_events();
    registry.forget(&seen.key);
    assert_eq!(
        events(&mut registry),
        [(Event::Updated, None, vec![Source::Serial])]
    );
    registry.forget(&SourceKey::Serial("/dev/ttyACM0".into()));
    assert_eq!(
        events(&mut registry),
        [(Event::Lost, None, vec![Source::Serial])]
    );
}

#[test]
fn pending_boards_are_reported_as_unconfirmed() {
    let mut registry = Registry::default();
    registry.observe(announced(2, "a", MAC, "10.0.0.1:3000"), not_ours);
    let events = registry.take_all_events();
    assert_eq!(events[0].board.status, Status::Unconfirmed);
    assert_eq!(registry.count(), 0);
}
