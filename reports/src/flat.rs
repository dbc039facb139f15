//! Flat tables as CSV and Parquet: the only file that builds polars' data frames.

use std::borrow::Cow;
use std::io::Cursor;

use polars::prelude::{
    Column, CsvWriter, DataFrame, DataType, IntoColumn as _, NamedFrom as _, ParquetCompression, ParquetReader,
    ParquetWriter, PolarsResult, SerReader as _, SerWriter as _, Series,
};

use crate::error::ReportError;

/// The values of one column, one for each row.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Text.
    Text(Vec<Option<String>>),
    /// Numbers.
    Number(Vec<Option<f64>>),
    /// Counts.
    Whole(Vec<Option<u64>>),
    /// Integers that may be negative.
    Integer(Vec<Option<i64>>),
    /// True or false.
    Flag(Vec<Option<bool>>),
}

impl Values {
    /// Text of every row.
    pub fn text<'a>(values: impl Iterator<Item = &'a str>) -> Values {
        Values::Text(values.map(|v| Some(v.to_owned())).collect())
    }

    /// Numbers; what is not finite is null.
    pub fn number(values: impl Iterator<Item = Option<f64>>) -> Values {
        Values::Number(values.map(|v| v.filter(|v| v.is_finite())).collect())
    }

    /// Counts of every row.
    pub fn whole(values: impl Iterator<Item = u64>) -> Values {
        Values::Whole(values.map(Some).collect())
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Values::Text(v) => v.len(),
            Values::Number(v) => v.len(),
            Values::Whole(v) => v.len(),
            Values::Integer(v) => v.len(),
            Values::Flag(v) => v.len(),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn column(&self, name: &str, text: &impl Fn(&str) -> String) -> Column {
        let name = name.into();
        match self {
            Values::Text(v) => Series::new(name, v.iter().map(|t| t.as_deref().map(text)).collect::<Vec<_>>()),
            Values::Number(v) => Series::new(name, v.as_slice()),
            Values::Whole(v) => Series::new(name, v.as_slice()),
            Values::Integer(v) => Series::new(name, v.as_slice()),
            Values::Flag(v) => Series::new(name, v.as_slice()),
        }
        .into_column()
    }

    fn of(column: &Column) -> PolarsResult<Values> {
        let rows = 0..column.len();
        Ok(match column.dtype() {
            DataType::String => {
                let all = column.str()?;
                Values::Text(rows.map(|i| all.get(i).map(str::to_string)).collect())
            }
            DataType::UInt64 => {
                let all = column.u64()?;
                Values::Whole(rows.map(|i| all.get(i)).collect())
            }
            DataType::Int64 => {
                let all = column.i64()?;
                Values::Integer(rows.map(|i| all.get(i)).collect())
            }
            DataType::Boolean => {
                let all = column.bool()?;
                Values::Flag(rows.map(|i| all.get(i)).collect())
            }
            _ => {
                let all = column.f64()?;
                Values::Number(rows.map(|i| all.get(i)).collect())
            }
        })
    }
}

/// A table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flat {
    /// Columns in order, by name.
    pub columns: Vec<(String, Values)>,
}

impl Flat {
    /// Appends a column.
    pub fn push(&mut self, name: impl Into<String>, values: Values) {
        self.columns.push((name.into(), values));
    }

    /// The values of a column.
    pub fn column(&self, name: &str) -> Option<&Values> {
        self.columns.iter().find(|(n, _)| n == name).map(|(_, values)| values)
    }

    fn frame(&self, text: impl Fn(&str) -> String) -> PolarsResult<DataFrame> {
        let rows = self.columns.first().map_or(0, |(_, values)| values.len());
        DataFrame::new(rows, self.columns.iter().map(|(name, values)| values.column(name, &text)).collect())
    }

    /// The table as CSV, UTF-8, nulls as empty cells, one header line. Text that a spreadsheet would run is defused.
    ///
    /// # Errors
    /// If polars refuses the columns.
    pub fn csv(&self, name: &'static str) -> Result<Vec<u8>, ReportError> {
        let encode = || {
            let mut bytes = Vec::new();
            CsvWriter::new(&mut bytes).n_threads(1).finish(&mut self.frame(|t| defused(t).into_owned())?)?;
            Ok(bytes)
        };
        encode().map_err(|source| ReportError::Table { name, source })
    }

    /// The table as Parquet with zstd compression.
    ///
    /// # Errors
    /// If polars refuses the columns or cannot encode them.
    pub fn parquet(&self, name: &'static str) -> Result<Vec<u8>, ReportError> {
        let encode = || {
            let (mut bytes, mut frame) = (Vec::new(), self.frame(str::to_string)?);
            let writer = ParquetWriter::new(&mut bytes).with_compression(ParquetCompression::Zstd(None));
            writer.set_parallel(false).finish(&mut frame)?;
            Ok(bytes)
        };
        encode().map_err(|source| ReportError::Table { name, source })
    }

    /// Reads a table back from Parquet.
    ///
    /// # Errors
    /// If it is not Parquet, or has columns of other types.
    pub fn from_parquet(name: &'static str, bytes: &[u8]) -> Result<Flat, ReportError> {
        let decode = || {
            let frame = ParquetReader::new(Cursor::new(bytes)).finish()?;
            let read = |c: &Column| Ok((c.name().to_string(), Values::of(c)?));
            Ok(Flat { columns: frame.columns().iter().map(read).collect::<PolarsResult<_>>()? })
        };
        decode().map_err(|source| ReportError::Table { name, source })
    }
}

/// Text that no spreadsheet takes for a formula: an apostrophe goes before a leading `=`, `+`, `-`, `@`, tab or return.
fn defused(text: &str) -> Cow<'_, str> {
    match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r') => Cow::Owned(format!("'{text}")),
        _ => Cow::Borrowed(text),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn table() -> Flat {
        let columns = vec![
            ("name".to_string(), Values::Text(vec![Some("a,b".into()), None, Some("=1+1".into())])),
            ("ms".to_string(), Values::Number(vec![Some(0.5), None, Some(2.0)])),
            ("bytes".to_string(), Values::Whole(vec![None, Some(7), Some(u64::MAX)])),
            ("knob".to_string(), Values::Integer(vec![Some(-1), None, Some(3)])),
            ("front".to_string(), Values::Flag(vec![Some(true), Some(false), None])),
        ];
        Flat { columns }
    }

    #[test]
    fn a_table_reads_back_from_parquet() {
        let bytes = table().parquet("t").unwrap();
        assert_eq!(Flat::from_parquet("t", &bytes).unwrap(), table());
        assert!(Flat::from_parquet("t", b"no parquet").is_err());
    }

    #[test]
    fn csv_has_empty_cells_and_no_formulas() {
        let text = String::from_utf8(table().csv("t").unwrap()).unwrap();
        insta::assert_snapshot!(text, @r#"
        name,ms,bytes,knob,front
        "a,b",0.5,,-1,true
        ,,7,,false
        '=1+1,2.0,18446744073709551615,3,
        "#);
    }

    #[test]
    fn a_table_without_rows_keeps_its_columns() {
        let empty = Flat { columns: vec![("ms".into(), Values::Number(vec![]))] };
        assert_eq!(Flat::from_parquet("t", &empty.parquet("t").unwrap()).unwrap(), empty);
    }
}
