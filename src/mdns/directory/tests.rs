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
        goodbye: false,
        data,
    }
}

fn pointer(number: usize) -> Answer {
    record(name("_tcpctl._tcp.local"), Data::Instance(instance(number)))
}

fn place(number: usize) -> Answer {
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

const SENDER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9));

fn directory() -> Directory {
    Directory::new(name("_tcpctl._tcp.local"))
}

#[test]
fn a_service_without_an_address_is_awaited_and_asked_for() {
    let now = Instant::now();
    let mut directory = directory();
    directory.learn(now, SENDER, vec![pointer(1)]);
    assert_eq!(directory.missing(9), [(instance(1), Ask::Everything)]);
    directory.learn(now, SENDER, vec![place(1)]);
    assert_eq!(directory.service(&instance(1)), None);
    let host = name("board-1.local");
    let asked = directory.missing(9);
    assert_eq!(asked, [(host.clone(), Ask::V4), (host, Ask::V6)]);
    let news = directory.learn(now, SENDER, vec![address(1, "10.0.0.1")]);
    assert_eq!(news.changed, HashSet::from([instance(1)]));
    assert_eq!(addresses(&directory, 1), ["10.0.0.1"]);
}

#[test]
fn a_new_address_takes_the_place_of_the_old_one_of_its_family() {
    let now = Instant::now();
    let mut directory = directory();
    let all = vec![
        address(1, "fe80::1"),
        address(1, "10.0.0.1"),
        pointer(1),
        place(1),
    ];
    directory.learn(now, SENDER, all);
    assert_eq!(addresses(&directory, 1), ["10.0.0.1", "fe80::1"]);
    let news = directory.learn(now, SENDER, vec![address(1, "10.0.0.2")]);
    assert_eq!(news.changed.len(), 1);
    assert_eq!(addresses(&directory, 1), ["10.0.0.2", "fe80::1"]);
    let news = directory.learn(now, SENDER, vec![address(1, "10.0.0.2")]);
    assert_eq!(news, News::default());
}

#[test]
fn a_goodbye_is_news_and_no_change() {
    let now = Instant::now();
    let mut directory = directory();
    directory.learn(
        now,
        SENDER,
        vec![pointer(1), place(1), address(1, "10.0.0.1")],
    );
    let mut goodbye = pointer(1);
    goodbye.goodbye = true;
    let news = directory.learn(now, SENDER, vec![goodbye]);
    assert_eq!(news.leaving, HashSet::from([instance(1)]));
    assert!(news.changed.is_empty());
    assert!(directory.service(&instance(1)).is_some());
    directory.forget(&instance(1));
    assert_eq!(directory.service(&instance(1)), None);
    assert!(directory.hosts.is_empty() && directory.senders.is_empty());
}

#[test]
fn a_flood_from_one_sender_is_bounded_and_hides_no_other() {
    let now = Instant::now();
    let mut directory = directory();
    for number in 0..20_000 {
        let told = vec![pointer(number), place(number), address(number, "10.0.0.1")];
        directory.learn(now, SENDER, told);
    }
    assert_eq!(directory.services.len(), MAX_OF_ONE_SENDER);
    assert!(directory.hosts.len() <= MAX_OF_ONE_SENDER);
    let other: IpAddr = "10.0.0.8".parse().unwrap();
    let told = vec![pointer(90_000), place(90_000), address(90_000, "10.0.0.8")];
    directory.learn(now, other, told);
    assert_eq!(addresses(&directory, 90_000), ["10.0.0.8"]);
}

#[test]
fn a_service_that_moves_from_host_to_host_keeps_the_last_one_only() {
    let now = Instant::now();
    let mut directory = directory();
    let on = |number: usize| {
        let host = name(&format!("host-{number}.local"));
        let address = Data::Address("10.0.0.1".parse().unwrap());
        let place = Data::Service {
            host: host.clone(),
            port: 3000,
        };
        vec![record(instance(1), place), record(host, address)]
    };
    directory.learn(
        now,
        SENDER,
        vec![pointer(2), place(2), address(2, "10.0.0.2")],
    );
    for number in 0..1000 {
        let news = directory.learn(now, SENDER, on(number));
        assert!(news.changed.contains(&instance(1)));
    }
    assert_eq!(directory.hosts.len(), 2, "its own, and the neighbour's");
    let host = directory.service(&instance(1)).unwrap().host;
    assert_eq!(host, name("host-999.local"));
    assert_eq!(addresses(&directory, 2), ["10.0.0.2"]);
}

#[test]
fn what_never_becomes_complete_is_forgotten() {
    let begin = Instant::now();
    let mut directory = directory();
    let told = vec![pointer(1), pointer(2), place(2), address(2, "10.0.0.2")];
    directory.learn(begin, SENDER, told);
    let silence = Duration::from_secs(10);
    directory.prune(begin + silence, silence);
    assert_eq!(directory.instances().count(), 2);
    directory.prune(begin + silence * 2, silence);
    assert_eq!(directory.instances().count(), 1);
    assert!(directory.service(&instance(2)).is_some());
}

#[test]
fn what_is_of_another_type_or_another_host_is_not_kept() {
    let now = Instant::now();
    let mut directory = directory();
    let other = name("printer._ipp._tcp.local");
    let told = vec![
        record(name("_ipp._tcp.local"), Data::Instance(other.clone())),
        record(name("_tcpctl._tcp.local"), Data::Instance(other.clone())),
        record(other, Data::Text(Vec::new())),
        address(5, "10.0.0.5"),
    ];
    assert_eq!(directory.learn(now, SENDER, told), News::default());
    assert_eq!(directory.instances().count(), 0);
    assert!(directory.hosts.is_empty());
}
