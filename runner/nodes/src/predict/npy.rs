//! NPY files: a matrix of numbers as NumPy writes it (format versions 1 to 3 of NEP 1).
//! Knows nothing of records or categories.

/// First bytes of every NPY file.
const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// Bytes from the start of a file that hold the header of any matrix.
pub(super) const HEADER_BYTES: u64 = 1 << 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Single,
    Double,
}

/// What the header says: rows, columns and the type of the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub rows: usize,
    pub columns: usize,
    number: Number,
    /// Where the numbers begin.
    start: usize,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NpyError {
    #[error("it is no NPY file")]
    NoNpy,
    #[error("its header cannot be read: {0}")]
    Header(String),
    #[error("its numbers are of type `{0}`; float32 (`<f4`) or float64 (`<f8`) is needed")]
    Type(String),
    #[error("it is in Fortran order; write it with `np.ascontiguousarray`")]
    FortranOrder,
    #[error("its shape is {0}; [rows, categories] is needed")]
    Shape(String),
    #[error("it holds {found} bytes of numbers where its shape needs {needed}")]
    Length { found: usize, needed: usize },
}

impl Header {
    /// Reads the header from the first bytes of a file.
    pub fn read(bytes: &[u8]) -> Result<Header, NpyError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(NpyError::NoNpy)?;
        let cut = || NpyError::Header("it is cut short".into());
        let (version, rest) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
        let (length, text) = match version[0] {
            1 => {
                let (length, text) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
                (u16::from_le_bytes(*length) as usize, text)
            }
            2 | 3 => {
                let (length, text) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
                (u32::from_le_bytes(*length) as usize, text)
            }
            other => return Err(NpyError::Header(format!("format version {other} is unknown"))),
        };
        let start = bytes.len() - text.len() + length;
        let text = std::str::from_utf8(text.get(..length).ok_or_else(cut)?)
            .map_err(|_| NpyError::Header("it is no text".into()))?;
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        for (key, value) in entries(text)? {
            match key {
                "descr" => descr = Some(value),
                "fortran_order" => fortran = Some(value),
                "shape" => shape = Some(value),
                _ => return Err(NpyError::Header(format!("unknown key `{key}`"))),
            }
        }
        let missing = |key: &str| NpyError::Header(format!("`{key}` is missing"));
        let descr = descr.ok_or_else(|| missing("descr"))?;
        let number = match descr.trim_matches(['\'', '"']) {
            "<f4" => Number::Single,
            "<f8" => Number::Double,
            other => return Err(NpyError::Type(other.to_owned())),
        };
        match fortran.ok_or_else(|| missing("fortran_order"))? {
            "False" => {}
            "True" => return Err(NpyError::FortranOrder),
            other => return Err(NpyError::Header(format!("`fortran_order` is {other}"))),
        }
        let shape = shape.ok_or_else(|| missing("shape"))?;
        let wrong = || NpyError::Shape(shape.to_owned());
        let inner = shape.strip_prefix('(').and_then(|s| s.strip_suffix(')')).ok_or_else(wrong)?;
        let sizes = inner.split(',').map(str::trim).filter(|size| !size.is_empty());
        let sizes: Vec<usize> =
            sizes.map(|size| size.parse().map_err(|_| wrong())).collect::<Result<_, _>>()?;
        let [rows, columns] = sizes.as_slice() else { return Err(wrong()) };
        Ok(Header { rows: *rows, columns: *columns, number, start })
    }

    pub fn is_double(&self) -> bool {
        self.number == Number::Double
    }

    /// The numbers of the whole file, row by row.
    ///
    /// # Errors
    ///
    /// If there are more or fewer bytes than the shape needs.
    pub fn values<'a>(&self, bytes: &'a [u8]) -> Result<Values<'a>, NpyError> {
        let numbers = bytes.get(self.start..).unwrap_or_default();
        let size = if self.number == Number::Single { 4 } else { 8 };
        let needed = self.rows.saturating_mul(self.columns).saturating_mul(size);
        if numbers.len() != needed {
            return Err(NpyError::Length { found: numbers.len(), needed });
        }
        Ok(Values { numbers, number: self.number, columns: self.columns })
    }
}

/// The keys and values of the dictionary that a header is, values as they are written.
fn entries(text: &str) -> Result<Vec<(&str, &str)>, NpyError> {
    let wrong = || NpyError::Header("it is no dictionary".into());
    let text = text.trim();
    let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).ok_or_else(wrong)?;
    let mut found = Vec::new();
    let (mut depth, mut quote, mut from) = (0i32, None, 0);
    for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '(' | '[') => depth += 1,
            (None, ')' | ']') => depth -= 1,
            (None, ',') if depth == 0 => {
                let entry = inner[from..at].trim();
                from = (at + 1).min(inner.len());
                if entry.is_empty() {
                    continue;
                }
                let (key, value) = entry.split_once(':').ok_or_else(wrong)?;
                found.push((key.trim().trim_matches(['\'', '"']), value.trim()));
            }
            _ => {}
        }
    }
    Ok(found)
}

/// The numbers of a matrix.
#[derive(Debug, Clone, Copy)]
pub(super) struct Values<'a> {
    numbers: &'a [u8],
    number: Number,
    columns: usize,
}

impl Values<'_> {
    /// The number in a row and column that the header has; NaN elsewhere.
    pub fn get(&self, row: usize, column: usize) -> f64 {
        let at = row * self.columns + column;
        match self.number {
            Number::Single => {
                let bytes = self.numbers.get(at * 4..).and_then(|rest| rest.first_chunk());
                bytes.map_or(f64::NAN, |bytes| f64::from(f32::from_le_bytes(*bytes)))
            }
            Number::Double => {
                let bytes = self.numbers.get(at * 8..).and_then(|rest| rest.first_chunk());
                bytes.map_or(f64::NAN, |bytes| f64::from_le_bytes(*bytes))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, numbers: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(numbers);
        bytes
    }

    #[test]
    fn numbers_come_back() {
        let numbers: Vec<u8> = (0..6).flat_map(|n| (n as f32).to_le_bytes()).collect();
        let bytes =
            file("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }      \n", &numbers);
        let header = Header::read(&bytes).unwrap();
        assert_eq!((header.rows, header.columns), (3, 2));
        let values = header.values(&bytes).unwrap();
        assert_eq!((values.get(0, 1), values.get(2, 0)), (1.0, 4.0));
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(header.values(&longer).unwrap_err(), NpyError::Length { found: 25, needed: 24 });
    }

    #[test]
    fn other_matrices_are_refused_with_words() {
        let said = |header: &str| Header::read(&file(header, &[])).unwrap_err().to_string();
        let with = |descr: &str, order: &str, shape: &str| {
            said(&format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}}}"))
        };
        assert!(with("'<i8'", "False", "(3, 2)").contains("`<i8`"));
        assert!(with("'>f4'", "False", "(3, 2)").contains("`<f4`"));
        assert!(with("[('a', '<f4')]", "False", "(3,)").contains("of type"));
        assert!(with("'<f4'", "True", "(3, 2)").contains("np.ascontiguousarray"));
        assert!(with("'<f4'", "False", "(3,)").contains("(3,)"));
        assert!(with("'<f4'", "False", "(3, -2)").contains("(3, -2)"));
        assert!(said("{'descr': '<f4'}").contains("`fortran_order` is missing"));
        assert!(said("no dictionary").contains("no dictionary"));
        assert_eq!(Header::read(b"PK\x03\x04").unwrap_err(), NpyError::NoNpy);
    }

    #[test]
    fn a_header_cut_anywhere_is_an_error() {
        let bytes = file("{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1)}", &[0; 8]);
        for cut in 0..bytes.len() - 8 {
            assert!(Header::read(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let whole = Header::read(&bytes).unwrap();
        assert!(whole.values(&bytes[..bytes.len() - 1]).is_err());
    }
}
