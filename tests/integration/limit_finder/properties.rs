//! Any server of the kinds that are known, with any numbers: the answer is its numbers.

use std::time::Duration;

use proptest::prelude::*;

use super::matrix::{Truth, brief, find, plan};
use super::server::{App, Beyond, Leaver, Server, Stack};

fn servers() -> impl Strategy<Value = Server> {
    let beyond = prop_oneof![
        Just(Beyond::Fin),
        Just(Beyond::Reset),
        Just(Beyond::Stall),
        Just(Beyond::Evict)
    ];
    let kind = prop_oneof![
        (0..100_usize, 0..20_usize).prop_map(|(k, workers)| Server::linux(k, workers)),
        (1..30_usize, 1..20_usize)
            .prop_map(|(k, workers)| Server::new(Stack::Lwip { k }, App::Workers(workers))),
        (1..20_usize, 0..20_usize).prop_map(|(workers, backlog)| Server::greeter(workers, backlog)),
        (2..40_usize, beyond).prop_map(|(n, beyond)| Server::cap(n, beyond)),
    ];
    let service = prop_oneof![0..50_u64, 100..300_u64];
    let leaver = prop_oneof![
        Just(Leaver::LetGo),
        Just(Leaver::LetGoByTheRuntime),
        Just(Leaver::Served)
    ];
    let manners = (service, leaver, any::<bool>());
    let path = (50..3_000_u64, any::<u64>());
    (kind, manners, path).prop_map(
        |(server, (service, leaver, closes), (latency, seed))| Server {
            service: Duration::from_millis(service),
            leaver,
            closes,
            latency: Duration::from_micros(latency),
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
    fn the_answer_is_the_truth(server in servers()) {
        let found = find(server, &plan());
        let hit = found.as_ref().is_ok_and(|finding| Truth::of(&server).is_told_by(finding));
        prop_assert!(hit, "{}", brief(&found));
    }

    #[test]
    fn on_a_path_that_loses_a_lot_nothing_is_left_and_nothing_panics(
        server in servers(),
        loss in 0.0..0.3,
        late in 1..6_u32,
        others in proptest::option::of(5..500_u64),
    ) {
        let server = Server {
            loss,
            late,
            others: others.map(Duration::from_millis),
            ..server
        };
        let _ = find(server, &plan());
    }
}
