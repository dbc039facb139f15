//! The table of trials as CSV and Parquet.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod synthetic;

use std::io::Cursor;

use mobilenas_record::run::{JournalRow, Origin, TrialOutcome};
use mobilenas_reports::{Frame, read, table};
use polars::prelude::{ParquetReader, SerReader};
use synthetic::Plan;

fn frame(rows: &[JournalRow]) -> Frame {
    let dir = tempfile::tempdir().unwrap();
    synthetic::write(dir.path(), &synthetic::text(rows));
    read(dir.path()).unwrap()
}

fn small() -> Vec<JournalRow> {
    synthetic::rows(&Plan { trials: 13, variants: &["mobilevit_xxs"], retrained: 2, ..Plan::default() })
}

#[test]
fn csv_of_a_small_run() {
    insta::assert_snapshot!(String::from_utf8(table::csv(&frame(&small())).unwrap()).unwrap());
}

#[test]
fn parquet_reads_back_as_the_table() {
    let frame = frame(&small());
    let back = ParquetReader::new(Cursor::new(table::parquet(&frame).unwrap())).finish().unwrap();
    let made = table::trials(&frame).unwrap();
    assert!(back.equals_missing(&made), "{back:?} {made:?}");
    assert_eq!(back.height(), 13);
}

#[test]
fn text_in_csv_is_never_a_formula() {
    let mut rows = small();
    let starts = ["=1+1", "+cmd", "-2", "@sum", "\tx", "\rx", "fine", ""];
    let mut next = starts.iter().cycle();
    for row in &mut rows {
        if let JournalRow::Trial(t) = row {
            let text = (*next.next().unwrap()).to_owned();
            t.digest = text.clone();
            t.origin = Origin::Variant(text.clone());
            t.outcome = TrialOutcome::Failed { why: text };
        }
    }
    let frame = frame(&rows);
    let csv = String::from_utf8(table::csv(&frame).unwrap()).unwrap();
    let cells: Vec<&str> = csv.lines().skip(1).flat_map(|l| l.split(',')).map(|c| c.trim_start_matches('"')).collect();
    assert!(cells.iter().all(|c| !c.starts_with(['=', '+', '@', '\t', '\r'])), "{csv}");
    assert!(cells.iter().all(|c| !c.starts_with('-') || c.parse::<f64>().is_ok()), "{csv}");
    assert!(csv.contains("'=1+1") && csv.contains("'-2"));
    // Parquet knows text from numbers and keeps it as it was.
    let made = table::trials(&frame).unwrap();
    assert_eq!(made.column("why").unwrap().str().unwrap().get(0), Some("=1+1"));
}

#[test]
fn a_run_without_trials_is_a_table_without_rows() {
    let frame = frame(&small()[..1]);
    let csv = String::from_utf8(table::csv(&frame).unwrap()).unwrap();
    assert_eq!(csv.lines().count(), 1);
    assert!(csv.starts_with("id,origin,variant,digest,status,why,params,"));
    assert_eq!(table::trials(&frame).unwrap().height(), 0);
    assert!(!table::parquet(&frame).unwrap().is_empty());
}
