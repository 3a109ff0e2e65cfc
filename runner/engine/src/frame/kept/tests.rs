//! Frames in and out of a cache.

use super::*;

const ROWS: usize = 250_000;

fn bench() -> (tempfile::TempDir, Cache) {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path().join("cache"));
    cache.prepare().unwrap();
    (folder, cache)
}

fn large() -> DataFrame {
    let texts: Vec<String> = (0..ROWS).map(|n| format!("the text of record {n}")).collect();
    let numbers: Vec<i64> = (0..ROWS as i64).collect();
    df!("text" => texts, "number" => numbers).unwrap()
}

fn put(cache: &Cache, frame: &DataFrame, known: &mut KnownColumns) -> OutputRecord {
    put_frame(cache, "", frame, known, 2).unwrap()
}

#[test]
fn a_frame_comes_back_whatever_it_is_kept_in() {
    let (_folder, cache) = bench();
    let large = large();
    for (frame, in_parts) in [(large.clone(), true), (large.head(Some(10)).clone(), false)] {
        // A slice shares the memory of the whole; as a frame of its own it is small.
        let frame = if in_parts { frame } else { df!("x" => [1, 2]).unwrap() };
        let output = put(&cache, &frame, &mut KnownColumns::default());
        assert_eq!((output.is_in_parts(), output.rows), (in_parts, Some(frame.height() as u64)));
        assert_eq!(output.logical, logical_digest(&frame).unwrap());
        assert!(frame.equals_missing(&load_frame(&cache, &output, None).unwrap()));
    }
}

#[test]
fn a_column_that_frames_share_is_kept_once() {
    let (_folder, cache) = bench();
    let first = large();
    let first_output = put(&cache, &first, &mut KnownColumns::default());
    let mut known = KnownColumns::default();
    known.add(&first, &first_output);
    let mut second = first.clone();
    second.rename("text", "words".into()).unwrap();
    let flags: Vec<bool> = (0..ROWS).map(|n| n % 3 == 0).collect();
    second.with_column(Column::new("flag".into(), flags)).unwrap();
    let output = put(&cache, &second, &mut known);
    assert_eq!(output.blobs[0].blob, first_output.blobs[0].blob);
    assert_eq!(output.blobs[0].part.as_deref(), Some("words"));
    assert_eq!(cache.inventory().unwrap().blobs.len(), 3);
    assert_eq!(output.logical, logical_digest(&second).unwrap());
    assert!(second.equals_missing(&load_frame(&cache, &output, None).unwrap()));

    // What is known and gone by now is written again.
    cache.remove_blob(&output.blobs[1].blob);
    let output = put(&cache, &second, &mut known);
    assert!(second.equals_missing(&load_frame(&cache, &output, None).unwrap()));
}

#[test]
fn columns_are_read_one_by_one_and_rows_of_the_rest_later() {
    let (_folder, cache) = bench();
    let frame = large();
    let output = put(&cache, &frame, &mut KnownColumns::default());
    let wanted = ["number".to_owned(), "no such".to_owned()];
    let (read, unread) = load_columns(&cache, &output, Some(&wanted), 2).unwrap();
    assert_eq!(read.get_column_names(), ["number"]);
    let rows = [5, 249_999];
    let some = unread.unwrap().rows(&read, &rows).unwrap();
    let places = IdxCa::from_vec("".into(), rows.to_vec());
    assert!(some.equals_missing(&frame.take(&places).unwrap()));
    let (nothing, unread) = load_columns(&cache, &output, Some(&[]), 2).unwrap();
    assert_eq!((nothing.height(), nothing.width(), unread.is_some()), (ROWS, 0, true));
}

#[test]
fn damage_in_a_column_is_found_when_it_is_read() {
    let (_folder, cache) = bench();
    let output = put(&cache, &large(), &mut KnownColumns::default());
    let path = cache.blob_path(&output.blobs[0].blob);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(load_frame(&cache, &output, None).unwrap_err().word(), "damaged");
    let number = ["number".to_owned()];
    let (read, unread) = load_columns(&cache, &output, Some(&number), 1).unwrap();
    assert_eq!(unread.unwrap().rows(&read, &[1]).unwrap_err().word(), "damaged");
    std::fs::remove_file(path).unwrap();
    assert_eq!(load_frame(&cache, &output, None).unwrap_err().word(), "missing");
}

#[test]
fn floats_are_read_in_pieces_wherever_they_are() {
    let (_folder, cache) = bench();
    let single: Vec<f32> = (0..ROWS).map(|n| n as f32 / 7.0).collect();
    let double: Vec<f64> = (0..ROWS).map(|n| n as f64 / 7.0).collect();
    let gaps: Vec<Option<f32>> = (0..ROWS).map(|n| (n > 0).then_some(1.0)).collect();
    let ids: Vec<i64> = (0..ROWS as i64).collect();
    let columns =
        df!("id" => &ids, "single" => &single, "double" => &double, "gaps" => gaps, "n" => &ids);
    let frame = columns.unwrap();
    let output = put(&cache, &frame, &mut KnownColumns::default());
    let wanted = ["n".to_owned()];
    let kept = load_columns(&cache, &output, Some(&wanted), 2).unwrap();
    let held = narrow(frame, Some(&wanted)).unwrap();
    for ((read, unread), in_memory) in [(kept, false), (held, true)] {
        let mut floats = unread.unwrap().floats(&read).unwrap().into_iter();
        let mut next = |name: &str| {
            let (found, column) = floats.next().unwrap();
            assert_eq!(found, name);
            column
        };
        assert!(next("id").is_none(), "it has no floats");
        let (one, two) = (next("single").unwrap(), next("double").unwrap());
        assert!(next("gaps").is_none() && one.is_single() && !two.is_single());
        assert_eq!((one.is_in_memory(), two.is_in_memory()), (in_memory, in_memory));
        let (mut few, mut many) = ([0.0_f32; 3], vec![0.0_f64; 40_000]);
        one.read(ROWS - 3, &mut few).unwrap();
        assert_eq!(few, single[ROWS - 3..]);
        assert!(one.read(ROWS - 2, &mut few).is_err(), "there are no such rows");
        two.read(100_000, &mut many).unwrap();
        assert_eq!(many, double[100_000..140_000]);
        one.read(100_000, &mut many).unwrap();
        assert_eq!(many[1], f64::from(single[100_001]));
        let mut all = vec![0.0_f32; ROWS];
        let one = one.into_memory().unwrap();
        one.read(0, &mut all).unwrap();
        assert!(one.is_in_memory() && all == single);
    }

    let blob = output.blobs.iter().find(|blob| blob.part.as_deref() == Some("double")).unwrap();
    let path = cache.blob_path(&blob.blob);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[1_000_000] ^= 1;
    std::fs::write(path, bytes).unwrap();
    let (read, unread) = load_columns(&cache, &output, Some(&wanted), 2).unwrap();
    assert_eq!(unread.unwrap().floats(&read).unwrap_err().word(), "damaged");
}
