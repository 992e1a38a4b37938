pub use self::inner::Thing as Renamed;
mod inner;
use super::b::{self, Unused};
fn f() -> Unused { println!("{}", b::f()) }
#[cfg(test)]
mod tests { use crate::b::g; }
