//! Where records stand in a draw: by a hash of their id, which no order of rows changes.

use engine::Digest;

/// A draw of its own for each beginning, such as a seed.
#[derive(Clone)]
pub(crate) struct Draw {
    /// The beginning, and room for an id after it.
    bytes: Vec<u8>,
    beginning: usize,
}

impl Draw {
    pub fn new(beginning: &[u8]) -> Draw {
        Draw { bytes: beginning.to_vec(), beginning: beginning.len() }
    }

    pub fn place(&mut self, id: &str) -> Digest {
        self.bytes.truncate(self.beginning);
        self.bytes.extend_from_slice(id.as_bytes());
        Digest::of(&self.bytes)
    }
}
