//! `report/table.md` and `report/table.tex`: the front, the published variants and the retrained networks, to paste into a
//! paper.

use mobilenas_record::{Interval, MetricInfo, text};

use super::about;
use crate::metrics;
use crate::retrained::{error_bars, retrained_networks};
use crate::run_data::{RunData, RunTrial};

/// What stands where a number is not known.
const NONE: &str = "–";

/// The heads and the rows: retrained networks, then the front, then the other published variants; each trial once. A metric
/// that no row has is left out.
fn rows(run: &RunData) -> Vec<Vec<String>> {
    let retrained = retrained_networks(run);
    let mut listed: Vec<&RunTrial> = retrained.iter().filter_map(|n| run.trial(n.trial)).collect();
    for trial in run.front().into_iter().chain(run.scored().filter(|t| t.variant().is_some())) {
        if !listed.iter().any(|t| t.trial.id == trial.trial.id) {
            listed.push(trial);
        }
    }
    let known = |m: &&MetricInfo| !metrics::is_optional(m) || listed.iter().any(|t| t.metric(m.name).is_some());
    let others: Vec<&MetricInfo> = metrics::OTHERS.iter().filter(known).collect();
    let inherited = format!("{}, inherited ({})", run.accuracy().label, run.accuracy().unit);
    let mut heads = vec!["Network".to_owned(), "Kind".to_owned(), inherited, metrics::head(run.final_accuracy())];
    heads.extend(others.iter().map(|m| metrics::head(m)));
    let accuracy = |t: &RunTrial| retrained.iter().find(|n| n.trial == t.trial.id).and_then(|n| n.accuracy);
    let rows = listed.into_iter().map(|t| row(run, t, accuracy(t), &others));
    [heads].into_iter().chain(rows).collect()
}

fn row(run: &RunData, t: &RunTrial, test: Option<Interval>, others: &[&MetricInfo]) -> Vec<String> {
    let number = |m: &MetricInfo| t.metric(m.name).map_or_else(|| NONE.to_owned(), |v| metrics::number(m, v));
    let kind = match (t.variant().is_some(), t.on_front) {
        (true, true) => "published, front",
        (true, false) => "published",
        (false, true) => "front",
        (false, false) => "found",
    };
    let bar = |a: Interval| format!("{:.2} ({:.2}–{:.2})", a.value, a.low, a.high);
    let mut row = vec![run.title(t), kind.to_owned(), number(run.accuracy())];
    row.push(test.map_or_else(|| NONE.to_owned(), bar));
    row.extend(others.iter().map(|m| number(m)));
    row
}

/// The notes below the table.
fn notes(run: &RunData) -> Vec<String> {
    vec![
        about::source(run),
        format!(
            "{}, inherited: {} images held out of the training set, weights of the supernet. {}: {} test images, {}. {}",
            run.accuracy().label,
            text::thousands(run.header.dataset.scoring_images() as u64),
            run.final_accuracy().label,
            text::thousands(run.header.dataset.test as u64),
            run.retraining(),
            error_bars(run),
        ),
        run.mes_formula(),
    ]
}

/// The table as Markdown.
pub fn markdown(run: &RunData) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut out = format!("# {}\n\n", in_markdown(&run.header.name));
    for (i, row) in rows(run).iter().enumerate() {
        let cells: Vec<String> = row.iter().map(|c| in_markdown(c)).collect();
        out += &line(&cells);
        if i == 0 {
            let rule = |i| if i < 2 { "---" } else { "---:" }.to_owned();
            out += &line(&(0..cells.len()).map(rule).collect::<Vec<_>>());
        }
    }
    notes(run).iter().for_each(|n| out += &format!("\n{}\n", in_markdown(n)));
    out
}

/// The table as LaTeX for the package booktabs.
pub fn latex(run: &RunData) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|c| in_latex(c)).collect();
        format!("{} \\\\\n", cells.join(" & "))
    };
    let rows = rows(run);
    let mut out = format!(
        "% {}; needs \\usepackage{{booktabs}}\n\\begin{{tabular}}{{ll{}}}\n\\toprule\n",
        in_latex(&run.header.name),
        "r".repeat(rows[0].len() - 2)
    );
    out += &line(&rows[0]);
    out += "\\midrule\n";
    rows[1..].iter().for_each(|r| out += &line(r));
    out += "\\bottomrule\n\\end{tabular}\n";
    notes(run).iter().for_each(|n| out += &format!("% {}\n", in_latex(n)));
    out
}

/// Text escaped for Markdown, on one line.
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

/// Text escaped for LaTeX, on one line. Characters that some engines lack are written as their code point.
fn in_latex(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\textbackslash{}"),
            '{' | '}' | '$' | '&' | '#' | '_' | '%' => out.extend(['\\', c]),
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '<' => out.push_str("\\textless{}"),
            '>' => out.push_str("\\textgreater{}"),
            '|' => out.push_str("\\textbar{}"),
            '"' => out.push_str("\\symbol{34}"),
            '`' => out.push_str("\\textasciigrave{}"),
            '\'' => out.push_str("\\textquotesingle{}"),
            // After the end of a row these would be arguments.
            '[' | ']' | '*' => out.extend(['{', c, '}']),
            // Ligatures.
            '-' | ',' if before == c => out.extend(['{', '}', c]),
            '–' => out.push_str("--"),
            '…' => out.push_str("\\ldots{}"),
            '×' => out.push_str("$\\times$"),
            '±' => out.push_str("$\\pm$"),
            '·' => out.push_str("$\\cdot$"),
            c if c.is_control() => out.push(' '),
            c if c.is_ascii() || ('À'..='ÿ').contains(&c) => out.push(c),
            c => out.push_str(&format!("U+{:04X}", u32::from(c))),
        }
        before = c;
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
            "\\textbackslash{}input\\{/etc/passwd\\} \\$x\\$ 50\\% a\\_b \\#1 \\& \\textasciitilde{}\\textasciicircum{} \
             \\textbar{} {*}{*}b{*}{*} \\textless{}script\\textgreater{} \\textasciigrave{}c\\textasciigrave{}"
        );
        assert_eq!(in_latex("[5pt]é -- τ"), "{[}5pt{]}é -{}- U+03C4");
        assert_eq!(
            in_markdown(evil),
            "\\\\input{/etc/passwd} \\$x\\$ 50% a\\_b #1 &amp; \\~^ \\| \\*\\*b\\*\\* &lt;script&gt; \\`c\\`"
        );
    }
}
