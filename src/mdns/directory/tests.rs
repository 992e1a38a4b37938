use super::*;

fn name(text: &str) -> DnsName {
    DnsName::of_text(text).unwrap()
}

fn instance(number: usize) -> DnsName {
    name(&format!("board-{number}._tcpctl._tcp.local"))
}

fn record(owner: DnsName, data: Data) -> Answer {
    Answer {
        owner,
        is_goodbye: false,
        data,
    }
}

fn pointer(number: usize) -> Answer {
    record(name("_tcpctl._tcp.local"), Data::Instance(instance(number)))
}

fn location(number: usize) -> Answer {
    let host = name(&format!("board-{number}.local"));
    record(instance(number), Data::Service { host, port: 3000 })
}

fn address(number: usize, text: &str) -> Answer {
    let host = name(&format!("board-{number}.local"));
    record(host, Data::Address(text.parse().unwrap()))
}

fn addresses(directory: &Directory, number: usize) -> Vec<String> {
    let service = directory.service(&instance(number));
    let addresses = service.map(|service| service.addresses).unwrap_or_default();
    addresses.iter().map(IpAddr::to_string).collect()
}

const SENDER: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9)));

fn directory() -> Directory {
    Directory::new(name("_tcpctl._tcp.local"))
}

#[test]
fn a_service_without_an_address_is_asked_for() {
    let now = Instant::now();
    let mut directory = directory();
    directory.learn(now, SENDER, vec![pointer(1)]);
    assert_eq!(directory.missing(9), [(instance(1), Question::Everything)]);
    directory.learn(now, SENDER, vec![location(1)]);
    assert_eq!(directory.service(&instance(1)), None);
    let host = name("board-1.local");
    let asked = directory.missing(9);
    assert_eq!(asked, [(host.clone(), Question::V4), (host, Question::V6)]);
    let changes = directory.learn(now, SENDER, vec![address(1, "10.0.0.1")]);
    assert_eq!(changes.changed, HashSet::from([instance(1)]));
    assert_eq!(addresses(&directory, 1), ["10.0.0.1"]);
}

#[test]
fn a_new_address_replaces_those_of_its_family() {
    let now = Instant::now();
    let mut directory = directory();
    let all = vec![
        address(1, "fe80::1"),
        address(1, "10.0.0.1"),
        pointer(1),
        location(1),
    ];
    directory.learn(now, SENDER, all);
    assert_eq!(addresses(&directory, 1), ["10.0.0.1", "fe80::1"]);
    let changes = directory.learn(now, SENDER, vec![address(1, "10.0.0.2")]);
    assert_eq!(changes.changed.len(), 1);
    assert_eq!(addresses(&directory, 1), ["10.0.0.2", "fe80::1"]);
    let changes = directory.learn(now, SENDER, vec![address(1, "10.0.0.2")]);
    assert_eq!(changes, Changes::default());
}

#[test]
fn a_goodbye_changes_nothing_by_itself() {
    let now = Instant::now();
    let mut directory = directory();
    directory.learn(
        now,
        SENDER,
        vec![pointer(1), location(1), address(1, "10.0.0.1")],
    );
    let mut goodbye = pointer(1);
    goodbye.is_goodbye = true;
    let changes = directory.learn(now, SENDER, vec![goodbye]);
    assert_eq!(changes.leaving, HashSet::from([instance(1)]));
    assert!(changes.changed.is_empty());
    assert!(directory.service(&instance(1)).is_some());
    directory.forget(&instance(1));
    assert_eq!(directory.service(&instance(1)), None);
    assert!(directory.hosts.is_empty() && directory.senders.is_empty());
}

#[test]
fn a_flood_from_one_sender_hides_no_other() {
    let now = Instant::now();
    let mut directory = directory();
    for number in 0..20_000 {
        let records = vec![
            pointer(number),
            location(number),
            address(number, "10.0.0.1"),
        ];
        directory.learn(now, SENDER, records);
    }
    assert_eq!(directory.services.len(), MAX_PER_SENDER);
    assert!(directory.hosts.len() <= MAX_PER_SENDER);
    let other: IpAddr = "10.0.0.8".parse().unwrap();
    let records = vec![
        pointer(90_000),
        location(90_000),
        address(90_000, "10.0.0.8"),
    ];
    directory.learn(now, Some(other), records);
    assert_eq!(addresses(&directory, 90_000), ["10.0.0.8"]);
}

#[test]
fn a_service_that_moves_keeps_its_last_host_only() {
    let now = Instant::now();
    let mut directory = directory();
    let on = |number: usize| {
        let host = name(&format!("host-{number}.local"));
        let address = Data::Address("10.0.0.1".parse().unwrap());
        let location = Data::Service {
            host: host.clone(),
            port: 3000,
        };
        vec![record(instance(1), location), record(host, address)]
    };
    directory.learn(
        now,
        SENDER,
        vec![pointer(2), location(2), address(2, "10.0.0.2")],
    );
    for number in 0..1000 {
        let changes = directory.learn(now, SENDER, on(number));
        assert!(changes.changed.contains(&instance(1)));
    }
    assert_eq!(
        directory.hosts.len(),
        2,
        "its own, and that of the other service"
    );
    let host = directory.service(&instance(1)).unwrap().host;
    assert_eq!(host, name("host-999.local"));
    assert_eq!(addresses(&directory, 2), ["10.0.0.2"]);
}

#[test]
fn incomplete_services_are_forgotten() {
    let begin = Instant::now();
    let mut directory = directory();
    let records = vec![pointer(1), pointer(2), location(2), address(2, "10.0.0.2")];
    directory.learn(begin, SENDER, records);
    let silence = Duration::from_secs(10);
    directory.prune(begin + silence, silence);
    assert_eq!(directory.services.len(), 2);
    directory.prune(begin + silence * 2, silence);
    assert_eq!(directory.services.len(), 1);
    assert!(directory.service(&instance(2)).is_some());
}

#[test]
fn other_types_and_hosts_are_ignored() {
    let now = Instant::now();
    let mut directory = directory();
    let other = name("printer._ipp._tcp.local");
    let records = vec![
        record(name("_ipp._tcp.local"), Data::Instance(other.clone())),
        record(name("_tcpctl._tcp.local"), Data::Instance(other.clone())),
        record(other, Data::Text(Vec::new())),
        address(5, "10.0.0.5"),
    ];
    assert_eq!(directory.learn(now, SENDER, records), Changes::default());
    assert_eq!(directory.services.len(), 0);
    assert!(directory.hosts.is_empty());
}

#[test]
fn unconfirmed_addresses_are_asked_a_few_times() {
    let now = Instant::now();
    let mut directory = directory();
    for number in 0..1000 {
        let records = vec![
            location(number),
            address(number, &format!("10.0.{}.{}", number / 250, number % 250)),
        ];
        directory.learn(now, None, records);
    }
    let rounds: Vec<_> = (0..100).map(|_| directory.hosts_to_ask().len()).collect();
    assert!(rounds.iter().all(|asked| *asked <= MAX_UNCONFIRMED));
    assert_eq!(
        rounds.iter().sum::<usize>(),
        1000 * UNCONFIRMED_TRIES as usize
    );
    directory.learn(now, SENDER, vec![pointer(1), location(1)]);
    assert_eq!(directory.hosts_to_ask(), HashSet::from_iter(SENDER));
}
