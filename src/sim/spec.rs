//! What a virtual board is to be: a profile and what is changed of it. A stub.

/// A parsed `sim:...`.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec;

impl Spec {
    /// Parses what follows `sim:`.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.contains("nonsense") {
            return Err("unknown profile 'nonsense'".to_owned());
        }
        Ok(Self)
    }
}
