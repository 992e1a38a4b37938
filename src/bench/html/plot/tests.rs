use super::*;
use crate::bench::example;

#[test]
fn ticks_are_round_numbers_inside_the_axis() {
    assert_eq!(linear_ticks(0.0, 504.0), [0.0, 200.0, 400.0]);
    assert_eq!(
        logarithmic_ticks(2_000.0, 50_000.0),
        [2e3, 5e3, 1e4, 2e4, 5e4]
    );
    assert!((nice(1_234.0, f64::floor) - 1_000.0).abs() < 1e-9);
    assert!((nice(1_234.0, f64::ceil) - 2_000.0).abs() < 1e-9);
    let times = Scale::time("time", [0.0, 2_500.0]);
    assert_eq!(times.show(2_000.0), "2 ms");
    assert_eq!(times.show(500.0), "500 us");
}

#[test]
fn percentile_curve_ends_at_the_maximum() {
    let histogram = example::spread(8_000_000, 2_500);
    let points = percentile_points(&histogram);
    assert!(points.windows(2).all(|pair| pair[0].1 <= pair[1].1));
    let (nines, highest) = *points.last().unwrap();
    assert!((nines - 2_500_f64.log10()).abs() < 1e-9);
    assert!((highest - histogram.max() as f64 / 1e3).abs() < 1e-9);
}

#[test]
fn values_stay_inside_the_drawing() {
    for values in [vec![], vec![5.0], vec![0.0, 0.0], vec![1e-3, 1e12]] {
        for scale in [
            Scale::linear("x", values.clone()),
            Scale::linear("x", values.clone()).with_zero(),
            Scale::time("x", values.clone()).logarithmic(),
            Scale::percentile(values.clone()),
        ] {
            for value in values.iter().chain(&[-1.0, 0.0, 1e15]) {
                let place = scale.place(*value);
                assert!((0.0..=1.0).contains(&place), "{scale:?} {value} {place}");
            }
            assert!(scale.ticks().len() < 45, "{scale:?}");
        }
    }
}
