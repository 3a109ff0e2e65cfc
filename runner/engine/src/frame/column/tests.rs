//! Columns to bytes and back.

use super::*;

fn bytes(column: &Column) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(column.as_materialized_series(), &mut bytes).unwrap();
    bytes
}

/// One column of every type, with and without nulls, with few and with many different strings.
fn columns() -> Vec<Column> {
    let count = 300;
    let gap = |n: i64| n % 7 != 3;
    let numbers = Column::new("n".into(), (0..count).map(|n| n % 100 - 20).collect::<Vec<i64>>());
    let gaps: Vec<Option<i64>> = (0..count).map(|n| gap(n).then_some(n % 100)).collect();
    let gaps = Column::new("gaps".into(), gaps);
    let mut columns = Vec::new();
    for (name, dtype) in types() {
        if matches!(dtype, DataType::String | DataType::Boolean) {
            continue;
        }
        let source = if name.starts_with('u') { &gaps } else { &numbers };
        columns.push(source.cast(&dtype).unwrap().with_name(name.into()));
        columns.push(gaps.cast(&dtype).unwrap().with_name(format!("{name} gaps").into()));
    }
    let text = |n: i64, different: i64| match n % different {
        1 => String::new(),
        m => format!("ünï {m} and more than twelve bytes").repeat(1 + (m % 3) as usize),
    };
    for (name, different) in [("few", 5), ("hundreds", 70), ("all", 1000), ("one", 1)] {
        let whole: Vec<String> = (0..count).map(|n| text(n, different)).collect();
        columns.push(Column::new(name.into(), whole));
        let some: Vec<Option<String>> =
            (0..count).map(|n| gap(n).then(|| text(n, different))).collect();
        columns.push(Column::new(format!("{name} gaps").into(), some));
    }
    let flags: Vec<Option<bool>> = (0..count).map(|n| gap(n).then_some(n % 3 == 0)).collect();
    columns.push(Column::new("flags".into(), flags));
    columns.push(Column::new("all flags".into(), (0..count).map(|n| n > 5).collect::<Vec<_>>()));
    columns.extend(columns.clone().iter().map(|column| column.slice(0, 0)));
    columns
}

#[test]
fn a_column_comes_back_from_its_bytes() {
    for column in columns() {
        let back = decode(column.name(), &bytes(&column), Rows::All).unwrap();
        assert!(column.equals_missing(&back), "{column:?} {back:?}");
        assert_eq!(column.dtype(), back.dtype());
        assert_eq!(bytes(&column), bytes(&back));
    }
}

#[test]
fn chosen_rows_come_back_and_rows_that_are_not_there_are_told() {
    let rows = [299, 0, 3, 3, 17];
    for column in columns().iter().filter(|column| column.len() == 300) {
        let back = decode(column.name(), &bytes(column), Rows::These(&rows)).unwrap();
        let taken = column.take(&IdxCa::from_vec("".into(), rows.to_vec())).unwrap();
        assert!(taken.equals_missing(&back), "{taken:?} {back:?}");
        assert!(decode("c", &bytes(column), Rows::These(&[300])).is_err());
    }
}

#[test]
fn the_bytes_are_of_the_content_and_not_of_its_layout() {
    for column in columns().iter().filter(|column| column.len() == 300) {
        let mut parts = column.slice(0, 100);
        parts.append(&column.slice(100, 200)).unwrap();
        assert_eq!(bytes(column), bytes(&parts), "{}", column.name());
    }
    let nulls = Column::new("n".into(), [Some(1), None]);
    assert_ne!(bytes(&nulls), bytes(&Column::new("n".into(), [1, 0])));
    let texts = |texts: [&str; 2]| bytes(&Column::new("t".into(), texts));
    assert_ne!(texts(["ab", "c"]), texts(["a", "bc"]));
}

#[test]
fn no_bytes_are_a_panic() {
    for column in columns() {
        let whole = bytes(&column);
        for end in 0..whole.len().min(200) {
            assert!(decode("c", &whole[..end], Rows::All).is_err());
        }
        for at in 0..whole.len().min(600) {
            let mut other = whole.clone();
            other[at] ^= 0x81;
            // Wrong or not, it is told or read; what reads a file checks its digest first.
            let _ = decode("c", &other, Rows::All);
        }
        let longer = [whole.as_slice(), &[0]].concat();
        assert!(decode("c", &longer, Rows::All).is_err());
    }
}

#[test]
fn what_is_shared_has_one_place() {
    for column in columns().iter().filter(|column| column.len() == 300) {
        let place_of = |column: &Column| place(column.as_materialized_series()).unwrap();
        let renamed = column.clone().with_name("other".into());
        assert_eq!(place_of(column), place_of(&renamed), "{}", column.name());
        let copy = column.take(&IdxCa::from_vec("".into(), (0..300).collect())).unwrap();
        assert_ne!(place_of(column), place_of(&copy), "{}", column.name());
        assert_ne!(place_of(column), place_of(&column.slice(0, 299)));
    }
}
