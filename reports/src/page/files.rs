//! The files beside the page: all trials, a table for papers, and how well proxies rank candidates.

use mobilenas_record::text;

use super::folder::OutputFolder;
use super::html::paragraph;
use super::paper_table;
use super::section::Section;
use crate::error::ReportError;
use crate::predictors::predictors;
use crate::run_data::RunData;
use crate::{journal, table};

pub(super) const SECTION: Section<RunData> = Section {
    name: "files",
    heading: "Files",
    help: "all trials as CSV and Parquet, and a table for papers in Markdown and LaTeX",
    render,
};

fn render(run: &RunData, out: &mut OutputFolder) -> Result<String, ReportError> {
    let trials = table::trials(run);
    let (csv, parquet) = rayon::join(|| trials.csv(table::CSV), || trials.parquet(table::PARQUET));
    out.write(table::CSV, &csv?)?;
    out.write(table::PARQUET, &parquet?)?;
    out.write("report/table.md", paper_table::markdown(run).as_bytes())?;
    out.write("report/table.tex", paper_table::latex(run).as_bytes())?;
    out.write("report/predictors.csv", predictors_csv(run).as_bytes())?;
    let note = format!("All {}, with every knob of every genome:", text::plural(run.trials.len(), "trial"));
    let link = |name: &str| format!("<li><a href=\"../{name}\">{name}</a></li>\n");
    let mut links = [table::CSV, table::PARQUET, journal::FILE].map(link).concat();
    for (name, what) in [
        ("table.md", "retrained networks, front and published variants in Markdown"),
        ("table.tex", "the same in LaTeX"),
        ("predictors.csv", "how well parameters, MACs and proxies rank the trials by accuracy"),
    ] {
        links += &format!("<li><a href=\"{name}\">{name}</a>: {what}</li>\n");
    }
    Ok(format!("{}<ul>\n{links}</ul>\n", paragraph(&note)))
}

fn predictors_csv(run: &RunData) -> String {
    let number = |v: Option<f64>| v.map_or_else(String::new, |v| format!("{v:.4}"));
    let space = if run.header.spaces.is_empty() { "" } else { "space," };
    let mut text = format!("{space}metric,trials,kendall_{0},spearman_{0}\n", run.accuracy().name);
    let several = !run.header.spaces.is_empty();
    for (own, p) in run.by_space().iter().flat_map(|own| predictors(own).into_iter().map(move |p| (own, p))) {
        // Names of our metrics are plain words; a name that a spreadsheet could run is left out.
        if p.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            if several {
                text.push_str(&format!("{},", own.header.name));
            }
            text.push_str(&format!("{},{},{},{}\n", p.name, p.trials, number(p.kendall), number(p.spearman)));
        }
    }
    text
}
