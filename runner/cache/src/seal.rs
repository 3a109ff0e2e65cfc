//! Records as bytes: JSON that begins with the digest of its rest, so that no changed bit goes unseen.

use crate::digest::Digest;
use crate::store::UnitRecord;

/// What is before and after the digest; the whole is one JSON object still.
const SEAL: (&[u8], &[u8]) = (b"{\"seal\":\"", b"\",");

pub(crate) fn sealed(record: &UnitRecord) -> Vec<u8> {
    let json = serde_json::to_vec(record).expect("a record is plain data");
    // The object without the bracket that opens it.
    let rest = json.get(1..).unwrap_or_default();
    [SEAL.0, Digest::of(rest).to_hex().as_bytes(), SEAL.1, rest].concat()
}

/// The record, if every bit is as it was written.
pub(crate) fn unsealed(bytes: &[u8]) -> Option<UnitRecord> {
    let (seal, rest) = bytes.strip_prefix(SEAL.0)?.split_at_checked(2 * Digest::BYTES)?;
    let rest = rest.strip_prefix(SEAL.1)?;
    if seal != Digest::of(rest).to_hex().as_bytes() {
        return None;
    }
    serde_json::from_slice(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Facts;

    #[test]
    fn a_record_with_any_bit_changed_is_none() {
        let record = UnitRecord {
            schema_version: UnitRecord::SCHEMA_VERSION,
            key: Digest::of(b"key"),
            kind: "filter".into(),
            outputs: vec![],
            notes: vec![serde_json::json!({"note": "count", "text": "kept", "count": 15})],
            facts: Facts::new(),
            seconds: 0.5,
            run_id: "r".into(),
            finished_at: "t".into(),
        };
        let bytes = sealed(&record);
        assert!(serde_json::from_slice::<serde_json::Value>(&bytes).unwrap()["seal"].is_string());
        assert_eq!(unsealed(&bytes), Some(record));
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unsealed(&flipped), None, "bit {bit}");
        }
        assert!((0..bytes.len()).all(|length| unsealed(&bytes[..length]).is_none()));
    }
}
