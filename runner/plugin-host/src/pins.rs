//! Which file each plugin has to be: names and digests, as `plugins.lock` has them.
//! Knows nothing of where they are written down.

use std::collections::BTreeMap;

/// The digest that each plugin must have, by the name or path it is asked for by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins(BTreeMap<String, String>);

impl Pins {
    /// `pins` maps a name or path, exactly as a caller will ask for it, to 64 hexadecimal digits.
    pub fn new(pins: BTreeMap<String, String>) -> Pins {
        Pins(pins)
    }

    /// Fails, with the reason, when the plugin asked for as `name` may not be the file with this
    /// digest.
    pub(crate) fn check(&self, name: &str, digest: &str) -> Result<(), String> {
        match self.0.get(name) {
            Some(pinned) if pinned == digest => Ok(()),
            Some(pinned) => Err(format!("its digest is {digest}, plugins.lock has {pinned}")),
            None => Err(format!("its digest is {digest}, plugins.lock does not have it")),
        }
    }
}
