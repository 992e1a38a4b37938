use super::*;
use crate::discover::report::Source;
use crate::mdns::message::DnsName;

fn announced(interface: u32, name: &str, mac: Option<&str>, address: &str) -> Sighting {
    let origin = Origin {
        interface,
        instance: DnsName::of_text(&format!("{name}._tcpctl._tcp.local")).unwrap(),
    };
    Sighting {
        name: Some(name.to_owned()),
        mac: mac.map(str::to_owned),
        addresses: vec![address.parse().unwrap()],
        ..Sighting::new(Key::Mdns(origin))
    }
}

fn on_cable(mac: Option<&str>) -> Sighting {
    Sighting {
        mac: mac.map(str::to_owned),
        ..Sighting::new(Key::Serial("/dev/ttyACM0".into()))
    }
}

fn nobody(_: &SocketAddr) -> bool {
    false
}

const MAC: Option<&str> = Some("02:74:63:70:00:01");

fn online(registry: &mut Registry, id: Id, address: &str) {
    let address = address.parse().unwrap();
    let rtt = Duration::from_micros(321);
    registry.reached(id, Reached::Yes { address, rtt }, Status::Online);
}

fn events(registry: &mut Registry) -> Vec<(Event, Option<String>, Vec<Source>)> {
    let news = registry.news(false).into_iter();
    news.map(|it| (it.event, it.board.name, it.board.sources))
        .collect()
}

#[test]
fn a_board_is_told_of_once_it_was_connected_to() {
    let mut registry = Registry::default();
    let seen = announced(2, "a", MAC, "10.0.0.1:3000");
    let (id, connect) = registry.see(seen.clone(), nobody).unwrap();
    assert!(connect);
    assert!(registry.news(false).is_empty());
    online(&mut registry, id, "10.0.0.1:3000");
    let news = registry.news(false);
    let [found] = &news[..] else {
        panic!("{news:?}")
    };
    assert_eq!(found.event, Event::Found);
    assert_eq!(found.board.status, Status::Online);
    assert_eq!(found.board.rtt_us, Some(321));
    assert_eq!(registry.see(seen, nobody), Some((id, false)));
    assert!(registry.news(false).is_empty());
    assert_eq!(registry.count(), 1);
}

#[test]
fn the_cable_and_the_network_are_one_board_by_its_mac() {
    let mut registry = Registry::default();
    let (first, connect) = registry.see(on_cable(MAC), nobody).unwrap();
    assert!(!connect);
    assert_eq!(
        events(&mut registry),
        [(Event::Found, None, vec![Source::Serial])]
    );
    let seen = announced(2, "a", MAC, "10.0.0.1:3000");
    let (second, _) = registry.see(seen, nobody).unwrap();
    assert_eq!(first, second);
    online(&mut registry, second, "10.0.0.1:3000");
    let both = vec![Source::Mdns, Source::Serial];
    assert_eq!(
        events(&mut registry),
        [(Event::Updated, Some("a".into()), both)]
    );
}

#[test]
fn a_bridge_without_a_mac_stays_a_board_of_its_own() {
    let mut registry = Registry::default();
    registry.see(on_cable(None), nobody);
    registry.see(announced(2, "a", MAC, "10.0.0.1:3000"), nobody);
    assert_eq!(registry.boards().count(), 2);
}

#[test]
fn two_interfaces_to_one_board_are_one_board() {
    let mut registry = Registry::default();
    registry.see(announced(2, "a", MAC, "10.0.0.1:3000"), nobody);
    registry.see(announced(3, "a", MAC, "10.1.0.1:3000"), nobody);
    registry.see(announced(2, "b", None, "10.0.0.2:3000"), nobody);
    registry.see(announced(3, "b", None, "10.0.0.2:3000"), nobody);
    assert_eq!(registry.boards().count(), 2);
}

#[test]
fn one_name_on_two_networks_is_two_boards() {
    let mut registry = Registry::default();
    let other = Some("02:74:63:70:00:02");
    registry.see(announced(2, "a", MAC, "192.168.1.1:3000"), nobody);
    registry.see(announced(3, "a", other, "192.168.1.1:3000"), nobody);
    registry.see(announced(2, "b", None, "10.0.0.2:3000"), nobody);
    registry.see(announced(3, "b", None, "10.1.0.2:3000"), nobody);
    assert_eq!(registry.boards().count(), 4);
    // Unless both are this computer.
    registry.see(announced(2, "c", None, "10.0.0.3:3000"), |_| true);
    registry.see(announced(3, "c", None, "10.1.0.3:3000"), |_| true);
    assert_eq!(registry.boards().count(), 5);
}

#[test]
fn no_name_hides_another_whatever_it_says_of_its_address() {
    for (a, b) in [(None, None), (MAC, MAC), (MAC, None), (None, MAC)] {
        let mut registry = Registry::default();
        let address = "10.0.0.1:3000";
        registry.see(announced(2, "evil", a, address), nobody);
        registry.see(announced(2, "good", b, address), nobody);
        assert_eq!(registry.boards().count(), 2, "{a:?} {b:?}");
        // What is found at that address, or on the cable, makes them no more one.
        let at = address.parse().unwrap();
        let probed = Sighting {
            addresses: vec![at],
            ..Sighting::new(Key::Probe(at))
        };
        registry.see(probed, nobody);
        registry.see(on_cable(MAC), nobody);
        let names = registry.boards().filter_map(|it| it.report().name);
        assert_eq!(names.collect::<Vec<_>>(), ["evil", "good"], "{a:?} {b:?}");
    }
}

#[test]
fn two_servers_behind_one_mac_are_two_boards() {
    let mut registry = Registry::default();
    registry.see(announced(1, "a", MAC, "127.0.0.1:3000"), |_| true);
    registry.see(announced(1, "a-2", MAC, "127.0.0.1:3001"), |_| true);
    assert_eq!(registry.boards().count(), 2);
}

#[test]
fn a_new_address_has_to_be_connected_to_and_the_old_one_is_gone() {
    let mut registry = Registry::default();
    let (id, _) = registry
        .see(announced(2, "a", MAC, "10.0.0.1:3000"), nobody)
        .unwrap();
    online(&mut registry, id, "10.0.0.1:3000");
    registry.news(false);
    let moved = announced(2, "a", MAC, "10.0.0.2:3000");
    assert_eq!(registry.see(moved, nobody), Some((id, true)));
    online(&mut registry, id, "10.0.0.2:3000");
    let news = registry.news(false);
    assert_eq!(news[0].event, Event::Updated);
    assert_eq!(news[0].board.addresses, ["10.0.0.2"]);
}

#[test]
fn what_the_gateway_was_is_known_when_it_tells_of_itself() {
    let mut registry = Registry::default();
    let address = "192.168.1.1:3000".parse().unwrap();
    let gateway = Sighting {
        addresses: vec![address],
        ..Sighting::new(Key::Gateway(address))
    };
    let (id, _) = registry.see(gateway, nobody).unwrap();
    online(&mut registry, id, "192.168.1.1:3000");
    registry.news(false);
    let seen = announced(2, "a", MAC, "192.168.1.1:3000");
    assert_eq!(registry.see(seen, nobody), Some((id, false)));
    let both = vec![Source::Mdns, Source::Gateway];
    assert_eq!(
        events(&mut registry),
        [(Event::Updated, Some("a".into()), both)]
    );
}

#[test]
fn what_turns_out_to_be_one_board_goes_on_under_the_number_that_was_told() {
    let mut registry = Registry::default();
    // Announced and not connected to yet; on the cable, and told of.
    registry.see(announced(2, "a", None, "10.0.0.1:3000"), nobody);
    registry.see(on_cable(MAC), nobody);
    let told = registry.news(false).remove(0).board;
    let (id, _) = registry
        .see(announced(2, "a", MAC, "10.0.0.1:3000"), nobody)
        .unwrap();
    online(&mut registry, id, "10.0.0.1:3000");
    let [now] = &registry.news(false)[..] else {
        panic!("one board")
    };
    assert_eq!((now.event, now.board.id), (Event::Updated, told.id));
}

#[test]
fn the_last_source_to_forget_it_loses_it() {
    let mut registry = Registry::default();
    let seen = announced(2, "a", MAC, "10.0.0.1:3000");
    let (id, _) = registry.see(seen.clone(), nobody).unwrap();
    registry.see(on_cable(MAC), nobody);
    online(&mut registry, id, "10.0.0.1:3000");
    registry.news(false);
    registry.forget(&seen.key);
    assert_eq!(
        events(&mut registry),
        [(Event::Updated, None, vec![Source::Serial])]
    );
    registry.forget(&Key::Serial("/dev/ttyACM0".into()));
    assert_eq!(
        events(&mut registry),
        [(Event::Lost, None, vec![Source::Serial])]
    );
}

#[test]
fn at_the_end_what_waits_for_a_connection_is_told_as_that() {
    let mut registry = Registry::default();
    registry.see(announced(2, "a", MAC, "10.0.0.1:3000"), nobody);
    let news = registry.news(true);
    assert_eq!(news[0].board.status, Status::Unconfirmed);
    assert_eq!(registry.count(), 0);
}
