use crate::a;
pub struct Unused;
fn f() -> impl Sized {
    #[cfg(all(test, unix))] use crate::a::tests;
    vec![a::Renamed]
}
