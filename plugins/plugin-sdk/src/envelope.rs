//! The frame around saved models: who wrote them, how many classes, and a checksum.
//!
//! | bytes | content |
//! | --- | --- |
//! | 8 | `RLBLMDL` and the format, 1 |
//! | 1 + n | length and bytes of the plugin's name |
//! | 4 | class count, little endian |
//! | 8 | length of the payload, little endian |
//! | 8 | checksum of class count and payload, little endian |
//! | rest | payload, the plugin's own |
//!
//! Old reader with new data: a format above 1 is refused by name. New reader with old data: format
//! 1 stays readable.

use crate::error::Error;

const MAGIC: &[u8; 7] = b"RLBLMDL";
const FORMAT: u8 = 1;

pub(crate) fn wrap(plugin: &str, class_count: u32, payload: &[u8]) -> Vec<u8> {
    let name_length = u8::try_from(plugin.len()).expect("plugin names are short");
    let mut bytes = Vec::with_capacity(payload.len() + plugin.len() + 32);
    bytes.extend_from_slice(MAGIC);
    bytes.push(FORMAT);
    bytes.push(name_length);
    bytes.extend_from_slice(plugin.as_bytes());
    bytes.extend_from_slice(&class_count.to_le_bytes());
    bytes.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&checksum(class_count, payload).to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

pub(crate) fn unwrap<'a>(plugin: &str, bytes: &'a [u8]) -> Result<(u32, &'a [u8]), Error> {
    let mut rest = bytes;
    if take(&mut rest, MAGIC.len())? != MAGIC {
        return Err(Error::new("these bytes are no saved model"));
    }
    let format = take(&mut rest, 1)?[0];
    if format != FORMAT {
        return Err(Error::new(format!("the saved model has format {format}, not {FORMAT}")));
    }
    let name_length = take(&mut rest, 1)?[0];
    let name = take(&mut rest, name_length as usize)?;
    if name != plugin.as_bytes() {
        let name = String::from_utf8_lossy(name);
        return Err(Error::new(format!("the saved model is one of plugin `{name}`")));
    }
    let class_count = u32::from_le_bytes(take_array(&mut rest)?);
    let length = u64::from_le_bytes(take_array(&mut rest)?);
    let expected = u64::from_le_bytes(take_array(&mut rest)?);
    if length != rest.len() as u64 {
        return Err(Error::new("the saved model is cut short or has bytes too many"));
    }
    if checksum(class_count, rest) != expected {
        return Err(Error::new("the saved model is damaged: its checksum differs"));
    }
    if class_count < 2 {
        return Err(Error::new("the saved model has fewer than two classes"));
    }
    Ok((class_count, rest))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Error> {
    let Some((head, tail)) = rest.split_at_checked(length) else {
        return Err(Error::new("these bytes are too short for a saved model"));
    };
    *rest = tail;
    Ok(head)
}

fn take_array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Error> {
    Ok(take(rest, N)?.try_into().expect("take gives as many bytes as asked for"))
}

/// FNV-1a over eight bytes at a time: finds damage, and is no protection against malice.
fn checksum(class_count: u32, payload: &[u8]) -> u64 {
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ u64::from(class_count);
    let (words, tail) = payload.as_chunks::<8>();
    for word in words {
        hash = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(PRIME);
        hash ^= hash >> 29;
    }
    for &byte in tail {
        hash = (hash ^ u64::from(byte)).wrapping_mul(PRIME);
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrapped_comes_back() {
        let bytes = wrap("tiny", 3, b"payload");
        assert_eq!(unwrap("tiny", &bytes), Ok((3, b"payload".as_slice())));
        assert!(unwrap("other", &bytes).unwrap_err().to_string().contains("`tiny`"));
    }

    #[test]
    fn every_damage_is_an_error() {
        let bytes = wrap("tiny", 3, b"some payload of more than eight bytes");
        for end in 0..bytes.len() {
            assert!(unwrap("tiny", &bytes[..end]).is_err(), "cut at {end}");
        }
        for position in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[position] ^= 0x40;
            assert!(unwrap("tiny", &damaged).is_err(), "damaged at {position}");
        }
    }
}
