/// crate::b::f in a comment and "crate::b::f" in a string are no use.
pub struct Thing;
impl Thing {
    fn g() { crate::b::f("crate::lib::f") }
}
