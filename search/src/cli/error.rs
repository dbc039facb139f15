//! What a user is told of an error, and the exit code.

use mobilenas_bench::latency_table::TableError;
use mobilenas_bench::latency_table::builder::BuildError;
use mobilenas_bench::latency_table::import::ImportError;
use mobilenas_host::problems::printable;

/// Something wrong with the command line's values: the user's to mend.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Input(pub String);

/// The error and its causes on one line. A cause that the line already quotes is not repeated.
pub fn message(error: &anyhow::Error) -> String {
    let said = error.chain().map(ToString::to_string).fold(String::new(), |line, cause| match line.as_str() {
        "" => cause,
        quoting if quoting.contains(&cause) => line,
        _ => format!("{line}: {cause}"),
    });
    printable(&said)
}

/// Exit code of an error: 2 for what the user has to mend, 1 for a run that failed.
pub fn exit_code(error: &anyhow::Error) -> i32 {
    if let Some(e) = error.downcast_ref::<mobilenas_pipeline::pipeline::RunError>() {
        return e.exit_code();
    }
    let input = error.downcast_ref::<ImportError>().is_some_and(ImportError::is_input)
        || error.downcast_ref::<BuildError>().is_some_and(BuildError::is_input)
        || error.is::<TableError>()
        || error.is::<mobilenas_heads::HeadError>()
        || error.is::<mobilenas_pipeline::experiment::ExperimentError>()
        || error.is::<mobilenas_pipeline::config::ConfigError>()
        || error.is::<Input>();
    if input { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let system = || std::io::Error::from_raw_os_error(17);
        let table = anyhow::Error::from(system()).context("a.svg").context("no report");
        assert_eq!(message(&table), "no report: a.svg: File exists (os error 17)");
        let quoted =
            anyhow::Error::from(mobilenas_reports::ReportError::Write { path: "a.svg".into(), source: system() });
        assert_eq!(message(&quoted).matches("File exists").count(), 1, "{}", message(&quoted));
    }

    /// A terminal obeys control characters; a file may hold any.
    #[test]
    fn control_characters_that_a_message_quotes_are_escaped() {
        let quoting = anyhow::anyhow!("unknown field `a\u{1b}[2J`").context("b.json");
        assert_eq!(message(&quoting), "b.json: unknown field `a\\u{1b}[2J`");
    }
}
