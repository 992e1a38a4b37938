use super::{Spacing, choose};

#[test]
fn requests_are_spread_over_what_is_unknown_and_fit() {
    for most in 2..200 {
        for least in 1..most {
            for spacing in [Spacing::Lowest, Spacing::Even, Spacing::Doubled] {
                let chosen = choose(least, most, most, spacing);
                assert!(!chosen.is_empty(), "{least} {most}");
                for (earlier, &(index, ahead)) in chosen.iter().enumerate() {
                    assert_eq!(index, ahead + earlier, "so many silent ones are before it");
                    assert!((least..most).contains(&ahead) && index < most);
                }
            }
        }
    }
}
