//! `report/table.md` and `report/table.tex`: the front, the published variants and the winners, to paste into a paper.

use super::{Report, Site};
use crate::winners;
use crate::{Entry, Frame, ReportError};
use mobilenas_record::Interval;
use mobilenas_record::metric::name as metric;
use mobilenas_record::{score, text};

/// The table for papers in both formats.
pub struct Papers;

const HEADS: [&str; 9] =
    ["Network", "Kind", "Top-1, inherited (%)", "Test top-1 (%)", "Latency (ms)", "Params", "MACs", "Memory", "MES"];
/// What stands where a number is not known.
const NONE: &str = "–";

impl Report for Papers {
    fn name(&self) -> &str {
        "papers"
    }

    fn render(&self, f: &Frame, out: &mut Site) -> Result<(), ReportError> {
        out.write("report/table.md", markdown(f).as_bytes())?;
        out.write("report/table.tex", latex(f).as_bytes())
    }
}

/// The heads and the rows: winners, then the front, then the other published variants; each trial once. Memory is left
/// out where no row has it.
fn rows(f: &Frame) -> Vec<Vec<String>> {
    let retrained = winners::winners(f);
    let mut listed: Vec<&Entry> = retrained.iter().filter_map(|w| f.trial(w.trial)).collect();
    let more = f.front().into_iter().chain(f.trials.iter().filter(|e| e.variant().is_some() && e.is_scored()));
    for entry in more {
        if !listed.iter().any(|e| e.trial.id == entry.trial.id) {
            listed.push(entry);
        }
    }
    let test = |e: &Entry| retrained.iter().find(|w| w.trial == e.trial.id).and_then(|w| w.top1);
    let rows: Vec<[String; 9]> = listed.into_iter().map(|e| row(e, test(e))).collect();
    let known = |column: usize| HEADS[column] != "Memory" || rows.iter().any(|r| r[column] != NONE);
    let kept = |row: &[String; 9]| (0..HEADS.len()).filter(|c| known(*c)).map(|c| row[c].clone()).collect();
    std::iter::once(&HEADS.map(str::to_owned)).chain(&rows).map(kept).collect()
}

fn row(e: &Entry, test: Option<Interval>) -> [String; 9] {
    let number = |metric: &str, show: &dyn Fn(f64) -> String| e.metric(metric).map_or_else(|| NONE.to_owned(), show);
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
        test.map_or_else(|| NONE.to_owned(), bar),
        number(metric::LATENCY, &|v| text::significant(v, 3)),
        number(metric::PARAMS, &text::count),
        number(metric::MACS, &text::count),
        number(metric::MEMORY, &text::bytes),
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
    let mut out = format!("# {}\n\n", in_markdown(&f.run.name));
    for (i, row) in rows(f).iter().enumerate() {
        let cells: Vec<String> = row.iter().map(|c| in_markdown(c)).collect();
        out += &line(&cells);
        if i == 0 {
            let rule = |i| if i < 2 { "---" } else { "---:" }.to_owned();
            out += &line(&(0..cells.len()).map(rule).collect::<Vec<_>>());
        }
    }
    notes(f).iter().for_each(|n| out += &format!("\n{}\n", in_markdown(n)));
    out
}

/// The table as LaTeX, for the package booktabs.
pub fn latex(f: &Frame) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|c| in_latex(c)).collect();
        format!("{} \\\\\n", cells.join(" & "))
    };
    let rows = rows(f);
    let mut out = format!(
        "% {}; needs \\usepackage{{booktabs}}\n\\begin{{tabular}}{{ll{}}}\n\\toprule\n",
        in_latex(&f.run.name),
        "r".repeat(rows[0].len() - 2)
    );
    out += &line(&rows[0]);
    out += "\\midrule\n";
    rows[1..].iter().for_each(|r| out += &line(r));
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

/// Text that LaTeX prints as it is, on one line, whatever its engine and font: a character that not every engine has is
/// written by its number.
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
            // After the end of a row these would be its arguments.
            '[' | ']' | '*' => out.extend(['{', c, '}']),
            // Two of them would become one.
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
