//! `source` on files larger than what is read at once, compressed or not.

use std::process::{Command, Stdio};

use crate::support::{Sandbox, repository};

const PIPELINE: &str = "version: 1\nnodes:\n  records: {kind: source, path: records.csv}\n";
const ROWS: usize = 20_000;

/// Two lines a row, with quotes, and characters of two bytes that a piece may end in.
fn rows() -> String {
    let row =
        |n: usize| format!("r{n},\"näme {n}\nsaid \"\"yes, it does\"\"\",{}\n", ["a", "b"][n % 2]);
    format!("record_id,text,label\n{}", (0..ROWS).map(row).collect::<String>())
}

fn gzipped(sandbox: &Sandbox, content: &str) -> Vec<u8> {
    sandbox.write("plain", content);
    let mut gzip = Command::new("gzip");
    let output = gzip.arg("-c").arg(sandbox.path("plain")).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success());
    output.stdout
}

fn sandbox(records: impl AsRef<[u8]>) -> Sandbox {
    let sandbox = Sandbox::empty();
    sandbox.write("relabel.yaml", PIPELINE);
    sandbox.write("records.csv", records);
    sandbox
}

#[test]
fn a_file_is_the_same_however_it_comes() {
    let packed = gzipped(&Sandbox::empty(), &rows());
    let with_mark = format!("\u{feff}{}", rows());
    let windows = rows().replace('\n', "\r\n");
    for (how, content) in
        [("plain", rows().into_bytes()), ("gzip", packed), ("byte order mark", with_mark.into())]
    {
        let sandbox = sandbox(content);
        sandbox.run(&[]);
        let records = sandbox.frame("records", &[]);
        assert_eq!(records.len(), ROWS, "{how}");
        for n in [0, 9_999, ROWS - 1] {
            assert_eq!(records[n]["record_id"], format!("r{n}"), "{how}");
            assert_eq!(records[n]["text"], format!("näme {n}\nsaid \"yes, it does\""), "{how}");
        }
    }
    let sandbox = sandbox(windows);
    sandbox.run(&[]);
    let records = sandbox.frame("records", &[]);
    assert_eq!((records.len(), records[5]["label"].as_str()), (ROWS, Some("b")));
}

#[test]
fn a_zstd_file_is_read_by_its_first_bytes() {
    let packed = std::fs::read(repository().join("tests/fixtures/three.csv.zst")).unwrap();
    let sandbox = sandbox(&packed);
    sandbox.run(&[]);
    let records = sandbox.frame("records", &[]);
    assert_eq!(records.len(), 3);
    assert_eq!(records[0]["text"], "one, and\n\"two\"");
    sandbox.write("records.csv", &packed[..packed.len() - 10]);
    // The header is out of reach already.
    let outcome = sandbox.relabel(&["run"]).code(2);
    outcome.says(&["cannot decompress `", "records.csv`", "hint: the file may be cut short"]);
}

#[test]
fn a_file_cut_short_is_no_shorter_file() {
    let packed = gzipped(&Sandbox::empty(), &rows());
    let sandbox = sandbox(&packed[..packed.len() / 2]);
    let outcome = sandbox.relabel(&["run"]).code(1);
    outcome.says(&["cannot decompress `", "records.csv`", "hint: the file may be cut short"]);
    assert_eq!(sandbox.relabel(&["show", "records"]).code(2).stdout, "");
}

#[test]
fn rows_that_cannot_be_read_are_named_by_their_lines() {
    let sandbox = sandbox(rows().replace(",\"näme 15000\n", ",too,many,\"näme 15000\n"));
    // Two lines a row, after the header.
    let line = 2 * 15_000 + 2;
    let outcome = sandbox.relabel(&["run"]).code(1);
    outcome.says(&[&format!("records.csv:{line}: 5 fields where the header has 3")]);
}
