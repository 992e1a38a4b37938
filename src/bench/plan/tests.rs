use crate::units::rate;

#[test]
fn rates_of_the_contract() {
    assert_eq!(rate("200/s"), Ok(200.0));
    assert_eq!(rate("0.5/s"), Ok(0.5));
    for text in [
        "0", "0/s", "-1/s", "1e3/s", "inf", "nan", "", "/s", "ten/s", "1/m",
    ] {
        assert!(rate(text).is_err(), "{text}");
    }
}
