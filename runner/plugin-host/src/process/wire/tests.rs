//! Sound messages come back; anything else is an error, at once and without memory for it.

use std::io::{self, Read};

use engine::classifier::{FitRequest, Texts};
use serde_json::json;

use super::*;
use crate::process::columns;

fn flat(header: &Value, batches: &[RecordBatch]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes, &encode(header, batches).unwrap()).unwrap();
    bytes
}

fn read(bytes: &[u8]) -> Result<Option<Message>, WireError> {
    read_message(&mut BufReader::new(bytes), &|| 1 << 30)
}

#[track_caller]
fn read_whole(bytes: &[u8]) -> Message {
    read(bytes).unwrap().unwrap()
}

fn reason(result: Result<Option<Message>, WireError>) -> String {
    match result {
        Err(WireError::Malformed(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

/// A message with all that a request can have.
fn training() -> Vec<u8> {
    let request = FitRequest {
        rows: &[3, 1, 2],
        labels: &[0, 1, 0],
        weights: Some(&[0.5, 1.0, 2.0]),
        class_count: 2,
        seed: u64::MAX,
    };
    let header = json!({ "request": 7, "seed": u64::MAX, "params": { "a": 0.1 } });
    flat(&header, &columns::training(&request).unwrap())
}

#[test]
fn what_is_written_is_read() {
    let bytes = training();
    let message = read_whole(&bytes);
    assert_eq!(message.header["seed"], u64::MAX);
    assert_eq!(message.header["params"]["a"], 0.1);
    assert_eq!(columns::read_integers(&message, "rows").unwrap(), [3, 1, 2]);
    assert_eq!(columns::read_integers(&message, "labels").unwrap(), [0, 1, 0]);
    assert_eq!(columns::read_weights(&message).unwrap().unwrap(), [0.5, 1.0, 2.0]);
    assert!(columns::read_integers(&message, "weights").unwrap_err().contains("Float32"));

    let message = read_whole(&flat(&json!({}), &[]));
    assert!(message.batches.is_empty());
    assert!(read(&[]).unwrap().is_none());

    let mut two = BufReader::new(io::Cursor::new([bytes.clone(), bytes].concat()));
    for _ in 0..2 {
        assert!(read_message(&mut two, &|| 1 << 20).unwrap().is_some());
    }
    assert!(read_message(&mut two, &|| 1 << 20).unwrap().is_none());
}

#[test]
fn texts_cross_in_pieces() {
    let long = "ß".repeat(3 << 20);
    for given in [vec![], vec![""], vec!["a", "", "c"], vec![&long, "b", &long, &long, "", "e"]] {
        let texts = Texts::from_strs(given.iter().map(|text| Some(*text)));
        let batches = columns::texts(&texts).unwrap();
        assert_eq!(batches.len(), if given.len() == 6 { 3 } else { 1 });
        let back = columns::read_texts(&read_whole(&flat(&json!({}), &batches))).unwrap();
        assert_eq!((back.offsets(), back.bytes()), (texts.offsets(), texts.bytes()));
    }
}

#[test]
fn scores_and_bytes_cross() {
    let message = read_whole(&flat(&json!({}), &columns::scores(vec![0.5; 6], 3).unwrap()));
    assert_eq!(columns::read_scores(&message, 2, 3).unwrap(), [0.5; 6]);
    let error = |rows, classes| columns::read_scores(&message, rows, classes).unwrap_err();
    assert_eq!(error(3, 2), "returned 2 rows of scores, not 3");
    assert_eq!(error(2, 4), "returned lists of 3 scores, not of 4");
    let none = read_whole(&flat(&json!({}), &[]));
    assert_eq!(columns::read_scores(&none, 0, 3).unwrap(), [0.0; 0]);
    assert!(columns::read_scores(&none, 1, 3).is_err());
    for bytes in [&[][..], &[0, 255]] {
        let message = read_whole(&flat(&json!({}), &columns::bytes(bytes).unwrap()));
        assert_eq!(columns::read_bytes(&message).unwrap(), bytes);
    }
    assert_eq!(columns::read_bytes(&none).unwrap_err(), "column `bytes` has 0 rows, not one");
}

#[test]
fn a_message_cut_short_is_broken_off() {
    let bytes = training();
    for end in 1..bytes.len() {
        match read(&bytes[..end]) {
            Err(WireError::BrokenOff) => {}
            other => panic!("cut at {end}: {other:?}"),
        }
    }
}

/// Whatever bit is wrong, the outcome is a message or an error: no panic, no wait, no memory.
#[test]
fn a_flipped_bit_never_panics() {
    let bytes = training();
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut bytes = bytes.clone();
            bytes[place] ^= 1 << bit;
            if let Ok(Some(message)) = read(&bytes) {
                let _ = columns::read_integers(&message, "rows");
                let _ = columns::read_scores(&message, 3, 2);
                let _ = columns::read_bytes(&message);
            }
        }
    }
}

#[test]
fn junk_is_shown_without_waiting_for_more() {
    /// Says one thing, and then must not be asked again.
    struct Once(Option<&'static [u8]>);
    impl Read for Once {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let text = self.0.take().expect("asked again");
            buffer[..text.len()].copy_from_slice(text);
            Ok(text.len())
        }
    }
    for text in [&b"x"[..], b"Loading model ... done\n", b"\xff\xff\xffx"] {
        let mut input = BufReader::new(Once(Some(text)));
        match read_message(&mut input, &|| 0) {
            Err(WireError::Junk(first)) => assert_eq!(first, text),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn lengths_are_not_believed() {
    let metadata = [[0xff; 4], [0xff, 0xff, 0xff, 0x7f]].concat();
    assert!(reason(read(&metadata)).contains("2147483647 bytes of metadata"));
    let bytes = training();
    let limited = read_message(&mut BufReader::new(&*bytes), &|| 100);
    assert!(reason(limited).ends_with("bytes of data, over 100"));
    // The length of the body stands in the metadata of the batch; a terabyte of it does not come.
    let body = root_as_message(&bytes[part_at(&bytes, 1)..]).unwrap().bodyLength();
    let needle = body.to_le_bytes();
    let place = bytes.windows(8).rposition(|window| window == needle).unwrap();
    let mut giant = bytes.clone();
    giant[place..place + 8].copy_from_slice(&(1_i64 << 40).to_le_bytes());
    let unlimited = read_message(&mut BufReader::new(&*giant), &|| u64::MAX);
    assert!(matches!(unlimited, Err(WireError::BrokenOff)), "{unlimited:?}");
    giant[place..place + 8].copy_from_slice(&(-1_i64).to_le_bytes());
    assert_eq!(reason(read(&giant)), "it announces a negative length");
}

/// Where the metadata of a part begins.
fn part_at(bytes: &[u8], part: usize) -> usize {
    let mut at = 0;
    for _ in 0..part {
        let length = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
        let body = root_as_message(&bytes[at + 8..at + 8 + length]).unwrap().bodyLength();
        at += 8 + length + body as usize;
    }
    at + 8
}

#[test]
fn a_header_is_a_json_object() {
    for (header, text) in [(json!([1]), "no JSON object"), (json!(null), "no JSON object")] {
        assert!(reason(read(&flat(&header, &[]))).contains(text));
    }
    let metadata = HashMap::from([("other".to_owned(), "{}".to_owned())]);
    let schema = Schema::new_with_metadata(Fields::empty(), metadata);
    let parts = StreamEncoder::try_new(&schema).unwrap().finish().unwrap();
    let mut bytes = Vec::new();
    write(&mut bytes, &parts).unwrap();
    assert_eq!(reason(read(&bytes)), "its schema has no header");
}

#[test]
fn other_types_are_not_even_decoded() {
    let field = arrow_schema::Field::new("x", DataType::Utf8, true);
    let metadata = HashMap::from([(HEADER_KEY.to_owned(), "{}".to_owned())]);
    let schema = Schema::new_with_metadata(vec![field], metadata);
    let parts = StreamEncoder::try_new(&schema).unwrap().finish().unwrap();
    let mut bytes = Vec::new();
    write(&mut bytes, &parts).unwrap();
    assert_eq!(reason(read(&bytes)), "its column `x` has type Utf8");
}
