//! Finds the knee: the number of connections beyond which more do not help.
//!
//! By Little's law (L = λW) a closed loop of n connections with X replies per second has a mean
//! response time of n/X. As long as X grows with n, the response time stays the same. Once X is
//! flat, each further connection only adds waiting for all. That bend is the "knee capacity" of
//! Jain, "The Art of Computer Systems Performance Analysis" (1991), section 3.3. It is searched in
//! the rate, which is more stable in a step of a second than the 99th percentile.

use super::cause::is_client_busy;
use crate::bench::report::{CauseKind, Step};

/// A rate that is higher by less than this share counts as equal: two runs of the same step differ
/// by a few percent.
pub const FLAT: f64 = 0.1;

/// The knee: the first step after which no step serves [`FLAT`] more, or the last step before
/// connections fail, whichever comes first. `None` if the ramp shows neither.
pub(super) fn at(steps: &[Step]) -> Option<usize> {
    let flat = (0..steps.len().saturating_sub(1)).find(|at| {
        let (here, later) = (steps[*at].served_per_s, &steps[at + 1..]);
        later
            .iter()
            .all(|step| step.served_per_s < here * (1.0 + FLAT))
    });
    let last_before_trouble = (0..steps.len())
        .find(|at| is_too_many(&steps[..=*at]))
        .map(|at| at.saturating_sub(1));
    [flat, last_before_trouble].into_iter().flatten().min()
}

/// Whether connections fail in the last of these steps because there are too many. Failures that a
/// schedule has as well come from the path (or from the server at any load), and so do SYNs that
/// are retransmitted in later steps. Failures on a busy computer may be its own.
fn is_too_many(steps: &[Step]) -> bool {
    let is_any_pace = |step: &Step| {
        step.cause
            .is_some_and(|cause| cause.kind == CauseKind::AnyPace)
    };
    let Some((last, before)) = steps.split_last() else {
        return false;
    };
    if before.iter().any(is_any_pace) {
        return last.failed >= 2 && last.failed * 100 >= last.requests;
    }
    last.is_troubled() && !is_any_pace(last) && !is_caused_by_client(last)
}

/// Whether this computer may have caused the failures of a step.
fn is_caused_by_client(step: &Step) -> bool {
    step.cause
        .is_some_and(|cause| cause.kind == CauseKind::ClientBusy)
}

/// Whether the knee is certain: the last two steps are beyond it and the connections have doubled
/// since. A step in which this computer was busy is no proof that the server was not faster. The ramp
/// also shows what happens to connections that the server does not hold. Where that number is not
/// known, it continues to four times the knee, or until connections fail in two steps.
pub(super) fn is_certain(steps: &[Step], held: Option<usize>) -> bool {
    let Some(at) = at(steps) else {
        return false;
    };
    let (knee, past) = (steps[at].connections, &steps[at + 1..]);
    let [.., before, last] = past else {
        return false;
    };
    let fails = |step: &Step| step.is_troubled() && !is_caused_by_client(step);
    let fail = fails(before) && fails(last);
    (fails(last) || !is_client_busy(last))
        && last.connections >= 2 * knee
        && match held {
            Some(held) => last.connections > held as u64,
            None => fail || last.connections >= 4 * knee,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(steps: &[(u64, f64, u64)]) -> Vec<Step> {
        let step = |&(connections, served_per_s, failed)| Step {
            connections,
            served_per_s,
            failed,
            refused: failed,
            requests: 1_000,
            ..Step::default()
        };
        steps.iter().map(step).collect()
    }

    fn knee(steps: &[(u64, f64, u64)]) -> Option<u64> {
        let steps = ramp(steps);
        at(&steps).map(|at| steps[at].connections)
    }

    #[test]
    fn knee_is_where_the_rate_becomes_flat() {
        let steps = [
            (1, 100.0, 0),
            (2, 200.0, 0),
            (3, 290.0, 0),
            (4, 300.0, 0),
            (6, 305.0, 0),
        ];
        assert_eq!(knee(&steps), Some(3));
        // A dip before a rise is not a knee.
        let steps = [(1, 100.0, 0), (2, 95.0, 0), (3, 290.0, 0), (4, 300.0, 0)];
        assert_eq!(knee(&steps), Some(3));
        // The end of a ramp that still rises is not a knee either.
        assert_eq!(knee(&[(1, 100.0, 0), (2, 200.0, 0), (4, 400.0, 0)]), None);
        assert_eq!(knee(&[(1, 100.0, 0)]), None);
        assert_eq!(knee(&[]), None);
    }

    #[test]
    fn knee_is_the_last_step_before_failures() {
        let steps = [
            (1, 100.0, 0),
            (2, 200.0, 0),
            (4, 390.0, 100),
            (8, 800.0, 200),
        ];
        assert_eq!(knee(&steps), Some(2));
        // One of a thousand may be chance.
        let steps = [(1, 100.0, 0), (2, 200.0, 1), (4, 390.0, 1)];
        assert_eq!(knee(&steps), None);
        assert_eq!(knee(&[(1, 100.0, 400)]), Some(1));
    }

    #[test]
    fn losses_on_the_path_are_no_knee() {
        let mut steps = ramp(&[(1, 100.0, 0), (2, 200.0, 0), (4, 400.0, 0)]);
        for step in &mut steps {
            step.syn_retransmissions = Some(30);
        }
        assert_eq!(at(&steps), Some(0));
        let mut cause = crate::bench::example::reconnect_race();
        cause.kind = CauseKind::AnyPace;
        steps[0].cause = Some(cause);
        assert_eq!(at(&steps), None);
        // Refusals that start with the third step do not come from the path.
        steps[2].failed = 100;
        assert_eq!(at(&steps), Some(1));
    }

    #[test]
    fn ramp_continues_until_the_knee_is_certain() {
        let steps = ramp(&[
            (1, 100.0, 0),
            (2, 200.0, 0),
            (3, 200.0, 0),
            (4, 200.0, 0),
            (6, 200.0, 0),
            (8, 200.0, 0),
        ]);
        let clear = |upto: usize, held| is_certain(&steps[..upto], held);
        assert!(!clear(3, None), "one step past it may be chance");
        assert!(!clear(5, None) && clear(6, None), "four times the knee");
        assert!(
            !clear(5, Some(6)) && clear(6, Some(6)),
            "what it does not hold"
        );
        assert!(clear(4, Some(3)));
        let failing = ramp(&[(1, 100.0, 0), (2, 200.0, 0), (3, 200.0, 50), (4, 200.0, 50)]);
        assert!(is_certain(&failing, None));
        // A busy computer may be why the last step was slow, but not why the server refused.
        let busy = |mut steps: Vec<Step>| {
            steps.last_mut().unwrap().client_wait_share = Some(0.3);
            is_certain(&steps, None)
        };
        assert!(!busy(steps.clone()));
        assert!(busy(failing));
    }
}
