//! Static charts in a page, with links to their files.

use super::folder::OutputFolder;
use super::html::escape;
use crate::error::ReportError;
use crate::plot::{self, Chart, InteractivePlot, Placement, Size};

/// Charts inside the page: one size for wide screens, one for phones, px. The style shows one of them.
const WIDE: Size = Size { width: 960, height: 500 };
const NARROW: Size = Size { width: 400, height: 430 };

/// Writes charts to files and returns them as figures in both sizes, with captions and links.
pub(super) fn figures<N: AsRef<str> + Sync>(
    charts: &[(N, Chart)],
    out: &mut OutputFolder,
) -> Result<String, ReportError> {
    out.charts(charts)?;
    charts.iter().map(|(file, chart)| figure(file.as_ref(), chart)).collect()
}

fn figure(file: &str, chart: &Chart) -> Result<String, ReportError> {
    Ok(format!(
        "<figure>\n<h3>{}</h3>\n<div class=\"wide\">\n{}</div>\n<div class=\"narrow\">\n{}</div>\n\
         <figcaption>{} {}</figcaption>\n</figure>\n",
        escape(&heading(chart)),
        drawn(file, chart, WIDE)?,
        drawn(file, chart, NARROW)?,
        chart.caption.iter().map(|c| escape(c)).collect::<Vec<_>>().join("<br>"),
        links(file),
    ))
}

/// An interactive plot, and the charts of its axes: as files, and in the page for readers without scripts.
pub(super) fn interactive(
    plot: &InteractivePlot,
    element: &str,
    source: &str,
    out: &mut OutputFolder,
) -> Result<String, ReportError> {
    let mut charts = plot.charts();
    charts.iter_mut().for_each(|(_, chart)| chart.caption.push(source.to_owned()));
    out.charts(&charts)?;
    let (mut statics, mut files) = (String::new(), Vec::new());
    for (file, chart) in &charts {
        let (heading, svg) = (escape(&heading(chart)), drawn(file, &chart.thinned(), WIDE)?);
        statics += &format!("<figure>\n<h3>{heading}</h3>\n{svg}</figure>\n");
        files.push(format!("{file}: {}", links(file)));
    }
    let files = if files.is_empty() { String::new() } else { format!("<p class=\"small\">{}</p>\n", files.join("; ")) };
    Ok(format!("{element}<noscript>\n{statics}</noscript>\n<p class=\"small\">{}</p>\n{files}", escape(source)))
}

fn drawn(file: &str, chart: &Chart, size: Size) -> Result<String, ReportError> {
    plot::svg(&plot::picture(chart, size, Placement::Embedded), &chart.title)
        .map_err(|why| ReportError::Plot { name: file.to_owned(), why })
}

/// The chart's title without the name of its run.
fn heading(chart: &Chart) -> String {
    let heading = chart.title.rsplit_once(": ").map_or(chart.title.as_str(), |(_, heading)| heading);
    heading.chars().take(1).flat_map(char::to_uppercase).chain(heading.chars().skip(1)).collect()
}

/// Links to a chart's files.
fn links(file: &str) -> String {
    let one = |extension: &str, name: &str| format!("<a href=\"{file}{extension}\">{name}</a>");
    [one(".svg", "SVG"), one(".png", "PNG"), one("@2x.png", "PNG, double size")].join(" · ")
}
