//! The formats that ship with the tool.
/// A format that needs no declaration.
pub struct Preset {
    /// As written in a configuration.
    pub name: &'static str,
    /// One sentence: who writes it.
    pub about: &'static str,
}
/// Every preset, in the order in which discovery tries them.
pub fn presets() -> &'static [Preset] {
    unimplemented!()
}
