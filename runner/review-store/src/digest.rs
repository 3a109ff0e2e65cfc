//! Digests of the store: BLAKE3 over a canonical encoding in which every length comes before its
//! contents, so that no two different values have the same bytes.

/// Returns the digest of a record's text, as items and ledger rows carry it.
pub fn text_digest(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// Gathers fields into one digest. The domain keeps digests of different things apart.
pub(crate) struct FieldHasher(blake3::Hasher);

impl FieldHasher {
    pub(crate) fn new(domain: &str) -> FieldHasher {
        let mut hasher = FieldHasher(blake3::Hasher::new());
        hasher.bytes(domain.as_bytes());
        hasher
    }

    pub(crate) fn text(&mut self, value: &str) -> &mut FieldHasher {
        self.bytes(value.as_bytes())
    }

    pub(crate) fn number(&mut self, value: u64) -> &mut FieldHasher {
        self.0.update(&value.to_le_bytes());
        self
    }

    /// Hashes the bits, so that equal means identical.
    pub(crate) fn float(&mut self, value: f64) -> &mut FieldHasher {
        self.number(value.to_bits())
    }

    pub(crate) fn optional<T>(
        &mut self,
        value: Option<T>,
        hash: impl FnOnce(&mut FieldHasher, T),
    ) -> &mut FieldHasher {
        self.number(u64::from(value.is_some()));
        if let Some(value) = value {
            hash(self, value);
        }
        self
    }

    pub(crate) fn optional_text(&mut self, value: Option<&str>) -> &mut FieldHasher {
        self.optional(value, |hasher, value| {
            hasher.text(value);
        })
    }

    pub(crate) fn finish(&self) -> String {
        self.0.finalize().to_hex().to_string()
    }

    fn bytes(&mut self, value: &[u8]) -> &mut FieldHasher {
        self.number(value.len() as u64);
        self.0.update(value);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_border_between_fields_counts() {
        let digest = |fields: &[&str]| {
            let mut hasher = FieldHasher::new("test");
            for field in fields {
                hasher.text(field);
            }
            hasher.finish()
        };
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
        assert_ne!(digest(&["", "a"]), digest(&["a", ""]));
    }

    #[test]
    fn absent_is_not_empty() {
        let absent = FieldHasher::new("test").optional_text(None).finish();
        let empty = FieldHasher::new("test").optional_text(Some("")).finish();
        assert_ne!(absent, empty);
    }

    #[test]
    fn the_text_digest_is_plain_blake3() {
        let of_nothing = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(text_digest(""), of_nothing);
    }
}
