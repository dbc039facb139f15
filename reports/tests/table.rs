//! The table of trials as CSV and Parquet.

use crate::synthetic;

use mobilenas_record::run::{JournalRow, Origin, TrialOutcome};
use mobilenas_reports::flat::{Flat, Values};
use mobilenas_reports::{read, table};
use synthetic::SyntheticRun;

fn trials(rows: &[JournalRow]) -> Flat {
    let dir = tempfile::tempdir().unwrap();
    synthetic::write(dir.path(), &synthetic::text(rows));
    table::trials(&read(dir.path()).unwrap())
}

fn csv(table: &Flat) -> String {
    String::from_utf8(table.csv("trials.csv").unwrap()).unwrap()
}

fn small() -> Vec<JournalRow> {
    synthetic::rows(&SyntheticRun { trials: 13, variants: &["mobilevit_xxs"], retrained: 2, ..SyntheticRun::default() })
}

#[test]
fn csv_of_a_small_run() {
    insta::assert_snapshot!(csv(&trials(&small())));
}

#[test]
fn parquet_reads_back_as_the_table() {
    let table = trials(&small());
    let back = Flat::from_parquet("trials", &table.parquet("trials").unwrap()).unwrap();
    assert_eq!(back, table);
    assert_eq!(back.columns[0].1.len(), 13);
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
    let table = trials(&rows);
    let csv = csv(&table);
    let cells: Vec<&str> = csv.lines().skip(1).flat_map(|l| l.split(',')).map(|c| c.trim_start_matches('"')).collect();
    assert!(cells.iter().all(|c| !c.starts_with(['=', '+', '@', '\t', '\r'])), "{csv}");
    assert!(cells.iter().all(|c| !c.starts_with('-') || c.parse::<f64>().is_ok()), "{csv}");
    assert!(csv.contains("'=1+1") && csv.contains("'-2"));
    // Parquet knows text from numbers and keeps it as it was.
    let Some(Values::Text(why)) = table.column("why") else { panic!("no text in `why`") };
    assert_eq!(why[0].as_deref(), Some("=1+1"));
}

#[test]
fn a_run_without_trials_is_a_table_without_rows() {
    let table = trials(&small()[..1]);
    let csv = csv(&table);
    assert_eq!(csv.lines().count(), 1);
    assert!(csv.starts_with("id,origin,variant,digest,status,why,params,"));
    assert!(table.columns[0].1.is_empty() && !table.parquet("trials").unwrap().is_empty());
}
