//! Servers of all kinds with random numbers.

use std::time::Duration;

use proptest::prelude::*;

use super::matrix::{Truth, brief, find, plan};
use super::server::{App, Beyond, OnFin, Server, Stack};

fn servers() -> impl Strategy<Value = Server> {
    let beyond = prop_oneof![
        Just(Beyond::Fin),
        Just(Beyond::Reset),
        Just(Beyond::Stall),
        Just(Beyond::Evict(1))
    ];
    let kind = prop_oneof![
        (0..100_usize, 0..20_usize).prop_map(|(k, workers)| Server::linux(k, workers)),
        (1..30_usize, 1..20_usize)
            .prop_map(|(k, workers)| Server::new(Stack::Lwip { k }, App::Workers(workers))),
        (1..20_usize, 0..20_usize).prop_map(|(workers, backlog)| Server::greeter(workers, backlog)),
        (2..40_usize, beyond).prop_map(|(n, beyond)| Server::cap(n, beyond)),
    ];
    let service = prop_oneof![0..50_u64, 100..300_u64];
    let on_fin = prop_oneof![
        Just(OnFin::Closes),
        Just(OnFin::RuntimeCloses),
        Just(OnFin::Serves)
    ];
    let behavior = (service, on_fin, any::<bool>());
    let path = (50..3_000_u64, any::<u64>());
    (kind, behavior, path).prop_map(
        |(server, (service, on_fin, closes), (delay, seed))| Server {
            service: Duration::from_millis(service),
            on_fin,
            closes,
            delay: Duration::from_micros(delay),
            seed,
            ..server
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn limits_of_any_server_are_exact(server in servers()) {
        let found = find(server, &plan());
        let hit = found.as_ref().is_ok_and(|finding| Truth::of(&server).matches(finding));
        prop_assert!(hit, "{}", brief(&found));
    }

    #[test]
    fn any_path_leaves_no_connection_open(
        server in servers(),
        loss in 0.0..0.3,
        max_slowdown in 1..6_u32,
        others in proptest::option::of(5..500_u64),
    ) {
        let server = Server {
            loss,
            max_slowdown,
            others: others.map(Duration::from_millis),
            ..server
        };
        let _ = find(server, &plan());
    }
}
