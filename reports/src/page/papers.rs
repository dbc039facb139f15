//! `report/table.md` and `report/table.tex`: the front, the published variants and the winners, to paste into a paper.

use super::{Report, Site};
use crate::record::metric;
use crate::winners::{self, Interval};
use crate::{Entry, Frame, ReportError, score, text};

/// The table for papers in both formats.
pub struct Papers;

const HEADS: [&str; 8] =
    ["Network", "Kind", "Top-1, inherited (%)", "Test top-1 (%)", "Latency (ms)", "Params", "MACs", "MES"];

impl Report for Papers {
    fn name(&self) -> &str {
        "papers"
    }

    fn render(&self, f: &Frame, out: &mut Site) -> Result<(), ReportError> {
        out.write("report/table.md", markdown(f).as_bytes())?;
        out.write("report/table.tex", latex(f).as_bytes())
    }
}

/// The rows: winners, then the front, then the other published variants; each trial once.
fn rows(f: &Frame) -> Vec<[String; 8]> {
    let retrained = winners::winners(f);
    let mut listed: Vec<&Entry> = retrained.iter().filter_map(|w| f.trial(w.trial)).collect();
    let more = f.front().into_iter().chain(f.trials.iter().filter(|e| e.variant().is_some() && e.is_scored()));
    for entry in more {
        if !listed.iter().any(|e| e.trial.id == entry.trial.id) {
            listed.push(entry);
        }
    }
    let test = |e: &Entry| retrained.iter().find(|w| w.trial == e.trial.id).and_then(|w| w.top1);
    listed.into_iter().map(|e| row(e, test(e))).collect()
}

fn row(e: &Entry, test: Option<Interval>) -> [String; 8] {
    let number = |metric: &str, show: &dyn Fn(f64) -> String| e.metric(metric).map_or_else(|| "–".to_owned(), show);
    let kind = match (e.variant().is_some(), e.on_front) {
        (true, true) => "published, front",
        (true, false) => "published",
        (false, true) => "front",
        (false, false) => "found",
    };
    let bar = |t: Interval| format!("{:.2} ({:.2}–{:.2})", t.value, t.low, t.high);
    [
        e.label(),
        kind.to_owned(),
        number(metric::TOP1, &|v| format!("{v:.2}")),
        test.map_or_else(|| "–".to_owned(), bar),
        number(metric::LATENCY, &|v| text::significant(v, 3)),
        number(metric::PARAMS, &text::count),
        number(metric::MACS, &text::count),
        number(metric::MES, &|v| format!("{v:.1}")),
    ]
}

/// What stands below the table.
fn notes(f: &Frame) -> Vec<String> {
    vec![
        super::pareto::provenance(f),
        format!(
            "Top-1, inherited: {} images held out of the training set, weights of the supernet. Test top-1: {} test \
             images, retrained from scratch. {}",
            text::thousands(f.run.dataset.scoring_images() as u64),
            text::thousands(f.run.dataset.test as u64),
            winners::BARS
        ),
        score::formula(&f.run.mes, f.unit_latency_ms()),
    ]
}

/// The table as Markdown.
pub fn markdown(f: &Frame) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule: Vec<String> = (0..HEADS.len()).map(|i| if i < 2 { "---" } else { "---:" }.to_owned()).collect();
    let mut out = format!("# {}\n\n", in_markdown(&f.run.name));
    out += &line(&HEADS.map(str::to_owned));
    out += &line(&rule);
    rows(f).iter().for_each(|r| out += &line(&r.clone().map(|c| in_markdown(&c))));
    notes(f).iter().for_each(|n| out += &format!("\n{}\n", in_markdown(n)));
    out
}

/// The table as LaTeX, for the package booktabs.
pub fn latex(f: &Frame) -> String {
    let line = |cells: &[String]| format!("{} \\\\\n", cells.join(" & "));
    let mut out = format!(
        "% {}; needs \\usepackage{{booktabs}} and an engine that reads UTF-8\n\\begin{{tabular}}{{ll{}}}\n\\toprule\n",
        in_latex(&f.run.name),
        "r".repeat(HEADS.len() - 2)
    );
    out += &line(&HEADS.map(in_latex));
    out += "\\midrule\n";
    rows(f).iter().for_each(|r| out += &line(&r.clone().map(|c| in_latex(&c))));
    out += "\\bottomrule\n\\end{tabular}\n";
    notes(f).iter().for_each(|n| out += &format!("% {}\n", in_latex(n)));
    out
}

/// Text that Markdown shows as it is, on one line.
fn in_markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' | '!' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Text that LaTeX prints as it is, on one line.
fn in_latex(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\textbackslash{}"),
            '{' | '}' | '$' | '&' | '#' | '_' | '%' => out.extend(['\\', c]),
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '–' => out.push_str("--"),
            '×' => out.push_str("$\\times$"),
            '±' => out.push_str("$\\pm$"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_a_command() {
        let evil = "\\input{/etc/passwd} $x$ 50% a_b #1 & ~^ |\n**b** <script> `c`";
        assert_eq!(
            in_latex(evil),
            "\\textbackslash{}input\\{/etc/passwd\\} \\$x\\$ 50\\% a\\_b \\#1 \\& \\textasciitilde{}\\textasciicircum{} | \
             **b** <script> `c`"
        );
        assert_eq!(
            in_markdown(evil),
            "\\\\input{/etc/passwd} \\$x\\$ 50% a\\_b #1 &amp; \\~^ \\| \\*\\*b\\*\\* &lt;script&gt; \\`c\\`"
        );
    }
}
