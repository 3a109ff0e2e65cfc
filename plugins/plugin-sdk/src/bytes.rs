//! Reads and writes the payload of saved models: little endian, lengths checked before allocation.
//! Knows nothing of what the numbers mean.

use crate::Error;
use crate::math::{LANES, Lanes};

/// Puts values one after the other.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// Starts with the number of the format.
    pub fn new(format: u32) -> Writer {
        let mut writer = Writer::default();
        writer.u32(format);
        writer
    }

    pub fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub fn u32(&mut self, value: u32) {
        self.raw(&value.to_le_bytes());
    }

    pub fn u64(&mut self, value: u64) {
        self.raw(&value.to_le_bytes());
    }

    pub fn f32(&mut self, value: f32) {
        self.raw(&value.to_le_bytes());
    }

    pub fn f32s(&mut self, values: &[f32]) {
        values.iter().for_each(|&value| self.f32(value));
    }

    /// Writes the first `count` values of a row of lanes; padding stays behind.
    pub fn lanes(&mut self, row: &[Lanes], count: usize) {
        for (lanes, start) in row.iter().zip((0..count).step_by(LANES)) {
            self.f32s(&lanes.0[..LANES.min(count - start)]);
        }
    }

    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Takes values off the front of some bytes that anybody may have written.
#[derive(Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Fails on any other format than `format`.
    pub fn new(bytes: &'a [u8], format: u32) -> Result<Reader<'a>, Error> {
        let mut reader = Reader(bytes);
        match reader.u32()? {
            found if found == format => Ok(reader),
            found => Err(Error::new(format!("the model has format {found}, not {format}"))),
        }
    }

    /// Returns how many bytes are left.
    pub fn left(&self) -> usize {
        self.0.len()
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let Some((head, rest)) = self.0.split_first_chunk() else { return Err(damaged()) };
        self.0 = rest;
        Ok(*head)
    }

    pub fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Result<u64, Error> {
        self.array().map(u64::from_le_bytes)
    }

    /// Reads a finite number.
    pub fn f32(&mut self) -> Result<f32, Error> {
        let value = self.array().map(f32::from_le_bytes)?;
        if value.is_finite() {
            Ok(value)
        } else {
            Err(Error::new("the model holds numbers that are not finite"))
        }
    }

    /// Reads a count of things of `size` bytes, of which at least that many bytes must be left.
    pub fn count(&mut self, size: usize) -> Result<usize, Error> {
        let count = self.u64()?;
        if u128::from(count) * size as u128 > self.left() as u128 {
            return Err(damaged());
        }
        Ok(count as usize)
    }

    /// Reads `count` finite numbers; nothing is allocated when there are fewer.
    pub fn f32s(&mut self, count: usize) -> Result<Vec<f32>, Error> {
        if count > self.left() / 4 {
            return Err(damaged());
        }
        (0..count).map(|_| self.f32()).collect()
    }

    /// Reads `count` finite numbers into a row of lanes that has room for them.
    pub fn lanes(&mut self, row: &mut [Lanes], count: usize) -> Result<(), Error> {
        for at in 0..count {
            row[at / LANES].0[at % LANES] = self.f32()?;
        }
        Ok(())
    }

    /// Fails when bytes are left.
    pub fn finish(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(damaged()) }
    }
}

/// What is said of bytes that do not fit together.
pub fn damaged() -> Error {
    Error::new("the model is cut short or damaged")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_comes_back() {
        let mut writer = Writer::new(7);
        writer.u64(2);
        writer.f32s(&[1.5, -2.0]);
        let bytes = writer.finish();
        let mut reader = Reader::new(&bytes, 7).unwrap();
        let count = reader.count(4).unwrap();
        assert_eq!(reader.f32s(count).unwrap(), [1.5, -2.0]);
        reader.finish().unwrap();
        assert!(Reader::new(&bytes, 8).is_err());
    }

    #[test]
    fn lengths_that_do_not_fit_are_errors() {
        let mut writer = Writer::new(7);
        writer.u64(u64::MAX);
        let bytes = writer.finish();
        assert!(Reader::new(&bytes, 7).unwrap().count(4).is_err());
        assert!(Reader::new(&bytes, 7).unwrap().f32s(usize::MAX).is_err());
        assert!(Reader::new(&bytes, 7).unwrap().finish().is_err());
        let nan = [7_u32.to_le_bytes(), f32::NAN.to_le_bytes()].concat();
        assert!(Reader::new(&nan, 7).unwrap().f32().is_err());
    }
}
