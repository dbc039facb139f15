//! Any flat table as CSV and Parquet: columns in, bytes out.

use std::io::Cursor;

use polars::prelude::{
    Column, CsvWriter, DataFrame, ParquetCompression, ParquetReader, ParquetWriter, PolarsResult, SerReader as _,
    SerWriter as _,
};

use crate::ReportError;
use crate::table::{column, defused};

/// The values of one column, one for each row.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Text.
    Text(Vec<Option<String>>),
    /// Numbers.
    Number(Vec<Option<f64>>),
    /// Whole numbers.
    Whole(Vec<Option<u64>>),
}

/// A table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flat {
    /// Columns in order, by name.
    pub columns: Vec<(String, Values)>,
}

impl Flat {
    fn frame(&self, text: impl Fn(&str) -> String) -> PolarsResult<DataFrame> {
        let made = |(name, values): &(String, Values)| -> Column {
            match values {
                Values::Text(v) => {
                    let safe: Vec<Option<String>> = v.iter().map(|t| t.as_deref().map(&text)).collect();
                    column(name, safe)
                }
                Values::Number(v) => column(name, v.as_slice()),
                Values::Whole(v) => column(name, v.as_slice()),
            }
        };
        let rows = self.columns.first().map_or(0, |(_, values)| match values {
            Values::Text(v) => v.len(),
            Values::Number(v) => v.len(),
            Values::Whole(v) => v.len(),
        });
        DataFrame::new(rows, self.columns.iter().map(made).collect())
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
    /// If it is no Parquet, or has columns of other types.
    pub fn from_parquet(name: &'static str, bytes: &[u8]) -> Result<Flat, ReportError> {
        let decode = || {
            let frame = ParquetReader::new(Cursor::new(bytes)).finish()?;
            let read = |c: &Column| -> PolarsResult<(String, Values)> {
                let values = match c.str() {
                    Ok(text) => Values::Text((0..text.len()).map(|i| text.get(i).map(str::to_string)).collect()),
                    Err(_) => match c.u64() {
                        Ok(whole) => Values::Whole((0..whole.len()).map(|i| whole.get(i)).collect()),
                        Err(_) => {
                            let number = c.f64()?;
                            Values::Number((0..number.len()).map(|i| number.get(i)).collect())
                        }
                    },
                };
                Ok((c.name().to_string(), values))
            };
            let columns = frame.columns().iter().map(read).collect::<PolarsResult<_>>()?;
            Ok(Flat { columns })
        };
        decode().map_err(|source| ReportError::Table { name, source })
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
        name,ms,bytes
        "a,b",0.5,
        ,,7
        '=1+1,2.0,18446744073709551615
        "#);
    }

    #[test]
    fn a_table_of_no_rows_is_one() {
        let empty = Flat { columns: vec![("ms".into(), Values::Number(vec![]))] };
        assert_eq!(Flat::from_parquet("t", &empty.parquet("t").unwrap()).unwrap(), empty);
    }
}
