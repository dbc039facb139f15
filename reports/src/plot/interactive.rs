//! The one description of a scatter plot: the page's script draws it from [`InteractivePlot::element`], and [`InteractivePlot::chart`] is the same
//! plot without a script, for files and for readers who block scripts.

use std::collections::BTreeMap;

use mobilenas_record::{Goal, pareto};
use serde::{Serialize, Serializer};

use super::chart::{Bars, Chart, LineStyle, Mark, Point, Series};
use super::theme::{CANDIDATE, Color, FRONT, RETRAINED, SERIES, VARIANT};

/// Points with any number of axes, of which two are shown at a time.
#[derive(Default, Serialize)]
pub struct InteractivePlot {
    /// Id of the plot in the page.
    pub id: &'static str,
    /// What is plotted, for charts: the name of a run.
    #[serde(skip)]
    pub subject: String,
    /// What the plot shows, for screen readers.
    pub title: String,
    /// Every number of a point.
    pub axes: Vec<Axis>,
    /// Axes that may be horizontal; the first is shown.
    pub x: Vec<usize>,
    /// Axes that may be vertical; the first is shown.
    pub y: Vec<usize>,
    /// Kinds of points.
    pub groups: Vec<Group>,
    /// The kind of each point.
    pub group: Vec<usize>,
    /// What the points can be filtered by: `family`, `space` or `run`. Runs have a front each.
    pub filter: &'static str,
    /// The names to filter by.
    pub families: Vec<String>,
    /// Index into [`SERIES`] for each of these, or its length for grey; empty if the groups have the colours.
    pub colors: Vec<usize>,
    /// Index into `families` of each point.
    pub family: Vec<usize>,
    /// Numbers of the trials, if the points are trials.
    pub ids: Vec<u64>,
    /// Names of the points that have one.
    pub names: BTreeMap<usize, String>,
    /// Why the numbers of hollow marks are uncertain, for the legend.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub uncertain: &'static str,
    /// Further facts of a point: name, value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<usize, Vec<[String; 2]>>,
}

/// One number of every point.
#[derive(Default, Serialize)]
pub struct Axis {
    /// Short name, for lists.
    pub name: String,
    /// Full name with its unit, for the axis.
    pub label: String,
    /// Unit after a number.
    pub unit: &'static str,
    /// How a number is written.
    pub format: NumberFormat,
    /// Which way the number is better.
    pub goal: Goal,
    /// The number of each point.
    #[serde(serialize_with = "short_values")]
    pub values: Vec<Option<f64>>,
    /// Lower ends of error bars, by point.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", serialize_with = "short_ends")]
    pub low: BTreeMap<usize, f64>,
    /// Upper ends.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", serialize_with = "short_ends")]
    pub high: BTreeMap<usize, f64>,
    /// Points whose number is less certain than the others, and why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub uncertain: BTreeMap<usize, String>,
    /// Whether the tooltip shows the number only while this axis is horizontal.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub secondary: bool,
    /// A sentence below the plot while the axis is shown.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Name of the files of the chart against the first vertical axis; empty if it has none.
    #[serde(skip)]
    pub file: &'static str,
    /// Static charts leave out points beyond this value.
    #[serde(skip)]
    pub static_limit: Option<f64>,
}

impl Axis {
    fn value(&self, point: usize) -> Option<f64> {
        let value = self.values.get(point).copied().flatten();
        value.filter(|v| drawable(*v) && self.static_limit.is_none_or(|limit| *v <= limit))
    }

    /// Points with a value beyond the limit of static charts, and one on the other axis.
    fn beyond_limit(&self, other: &Axis) -> usize {
        let beyond = |v: f64| self.static_limit.is_some_and(|limit| v > limit);
        let pairs = self.values.iter().zip(&other.values);
        pairs.filter(|(v, o)| v.is_some_and(beyond) && o.is_some()).count()
    }

    /// The error bar of a point.
    fn bar(&self, point: usize) -> Option<(f64, f64)> {
        let bar = (*self.low.get(&point)?, *self.high.get(&point)?);
        (drawable(bar.0) && drawable(bar.1)).then_some(bar)
    }
}

/// How a number is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberFormat {
    /// Three significant digits.
    #[default]
    Plain,
    /// Three significant digits with k, M or G.
    Count,
    /// The same, of bytes: `6.02 MB`.
    Bytes,
    /// Two decimals.
    Percent,
    /// One decimal.
    Score,
}

/// A kind of points.
#[derive(Clone, Copy, Serialize)]
pub struct Group {
    /// Name in the legend.
    pub name: &'static str,
    /// Shape of its marks: `small`, `dot`, `diamond`, `square`.
    #[serde(serialize_with = "mark_name")]
    pub mark: Mark,
    /// Name of its colour in the style sheet: `candidate`, `variant`, `retrained`; empty if the families have the colours.
    pub color: &'static str,
}

impl Group {
    /// Candidates of a search.
    pub const CANDIDATES: Group = Group { name: "candidates", mark: Mark::Small, color: "candidate" };
    /// Published variants under the run's protocol.
    pub const VARIANTS: Group =
        Group { name: "published variants under this protocol", mark: Mark::Diamond, color: "variant" };
    /// Found networks that were retrained.
    pub const RETRAINED: Group = Group { name: "found and retrained", mark: Mark::Square, color: "retrained" };

    fn rgb(&self) -> Color {
        match self.color {
            "variant" => VARIANT,
            "retrained" => RETRAINED,
            _ => CANDIDATE,
        }
    }
}

/// Whether a value can be drawn: a larger one is a mistake and would leave no room for the others.
pub fn drawable(value: f64) -> bool {
    value.abs() < 1e15
}

impl InteractivePlot {
    /// Whether no pair of axes can be shown.
    pub fn is_empty(&self) -> bool {
        self.x.is_empty() || self.y.is_empty()
    }

    /// One pair of axes as a chart, with the notes of both axes as its caption.
    pub fn chart(&self, x: usize, y: usize) -> Chart {
        let [across, up] = [x, y].map(|axis| &self.axes[axis]);
        let points: Vec<(usize, [f64; 2])> =
            (0..self.group.len()).filter_map(|i| Some((i, [across.value(i)?, up.value(i)?]))).collect();
        let fronts: Vec<Vec<usize>> = match self.filter {
            "run" => (0..self.families.len()).map(|f| self.front(&points, across, up, Some(f))).collect(),
            _ => vec![self.front(&points, across, up, None)],
        };
        let on_front = |i: usize| fronts.iter().any(|front| front.contains(&i));
        let point = |(i, [x, y]): &(usize, [f64; 2]), named: bool| {
            let large = self.groups[self.group[*i]].mark != Mark::Small;
            let bars = if large { Bars { x: across.bar(*i), y: up.bar(*i) } } else { Bars::default() };
            let uncertain = across.uncertain.contains_key(i) || up.uncertain.contains_key(i);
            Point { label: named.then(|| self.name(*i)), bars, uncertain, ..Point::at(*x, *y) }
        };
        let (mut series, mut fronts_by_color): (Vec<Series>, Vec<Series>) = Default::default();
        for (g, group) in self.groups.iter().enumerate() {
            let own = |color: Option<usize>| -> Vec<Point> {
                let of = |i: usize| self.group[i] == g && color.is_none_or(|c| self.colors[self.family[i]] == c);
                let shown = points.iter().filter(|(i, _)| of(*i) && (group.mark != Mark::Small || !on_front(*i)));
                shown.map(|p| point(p, group.mark != Mark::Small)).collect()
            };
            let own_on_front = |color: usize| -> Vec<Point> {
                let of = |i: usize| self.group[i] == g && self.colors[self.family[i]] == color && on_front(i);
                points.iter().filter(|(i, _)| group.mark == Mark::Small && of(*i)).map(|p| point(p, true)).collect()
            };
            if self.colors.is_empty() {
                series.push(Series::new(group.name, group.mark, group.rgb(), own(None)));
                continue;
            }
            let mut colors = self.colors.clone();
            colors.sort_unstable_by_key(|c| std::cmp::Reverse(*c));
            colors.dedup();
            for color in colors {
                let names: Vec<&str> =
                    (0..self.families.len()).filter(|f| self.colors[*f] == color).map(|f| &*self.families[f]).collect();
                let name = if color < SERIES.len() { names.join(", ") } else { "others".to_owned() };
                let color_of = SERIES.get(color).copied().unwrap_or(CANDIDATE);
                let kind = if self.groups.len() > 1 { format!("{name}: {}", group.name) } else { name.clone() };
                series.push(Series::new(kind, group.mark, color_of, own(Some(color))));
                // On the common front of spaces, colour tells whose a network is.
                if let (true, dots @ [_, ..]) = (self.filter == "space", &own_on_front(color)[..]) {
                    fronts_by_color.push(Series::new(
                        format!("{name}: on the front"),
                        Mark::Dot,
                        color_of,
                        dots.to_vec(),
                    ));
                }
            }
        }
        let line = if across.goal == Goal::Minimize { LineStyle::StepsPost } else { LineStyle::StepsPre };
        let lines = fronts.iter().enumerate().map(|(f, front)| {
            let found = |i: &usize| {
                let at = points.binary_search_by_key(i, |(i, _)| *i).ok()?;
                let candidate = self.groups[self.group[*i]].mark == Mark::Small && self.filter != "space";
                Some(Point { bars: Bars::default(), ..point(&points[at], candidate) })
            };
            let name = if self.filter == "run" { format!("front of {}", self.families[f]) } else { "front".to_owned() };
            let color = self.colors.get(f).and_then(|c| SERIES.get(*c)).copied().filter(|_| self.filter == "run");
            let mut points: Vec<Point> = front.iter().filter_map(found).collect();
            points.sort_by(|a, b| a.x.total_cmp(&b.x).then(a.y.total_cmp(&b.y)));
            let candidates = self.groups.iter().any(|g| g.mark == Mark::Small);
            let mark = if candidates && self.filter != "space" { Mark::Dot } else { Mark::Small };
            Series::new(name, mark, color.unwrap_or(FRONT), points).joined(line)
        });
        // Below the marks that have names of their own, above the many.
        let below = series.iter().take_while(|s| s.mark == Mark::Small).count();
        series.splice(below..below, lines.collect::<Vec<_>>().into_iter().chain(fronts_by_color));
        let mut caption = vec![up.note.clone(), across.note.clone()];
        let uncertain =
            points.iter().filter(|p| across.uncertain.contains_key(&p.0) || up.uncertain.contains_key(&p.0));
        if let n @ 1.. = uncertain.count() {
            caption.push(format!("Hollow marks ({n}): {}.", self.uncertain));
        }
        if let (Some(limit), n @ 1..) = (across.static_limit, across.beyond_limit(up)) {
            caption.push(format!("{n} networks beyond {limit} are left out here; the page has them."));
        }
        caption.retain(|c| !c.is_empty());
        Chart {
            title: format!("{}: {} against {}", self.subject, up.name, across.name),
            x_label: across.label.clone(),
            y_label: up.label.clone(),
            caption,
            series,
            ..Chart::default()
        }
    }

    /// The charts that are written to files, by their names: each horizontal axis against the first vertical one.
    pub fn charts(&self) -> Vec<(&'static str, Chart)> {
        let named = self.x.iter().filter(|x| !self.axes[**x].file.is_empty());
        let charts =
            named.zip(self.y.first().into_iter().cycle()).map(|(x, y)| (self.axes[*x].file, self.chart(*x, *y)));
        charts.filter(|(_, chart)| !chart.is_empty()).collect()
    }

    /// The points that no other point dominates, of one family or of all.
    fn front(&self, points: &[(usize, [f64; 2])], x: &Axis, y: &Axis, family: Option<usize>) -> Vec<usize> {
        let own = points.iter().filter(|(i, _)| family.is_none_or(|f| self.family[*i] == f));
        let (indices, values): (Vec<usize>, Vec<[f64; 2]>) = own.copied().unzip();
        pareto::front(&values, &[x.goal, y.goal]).into_iter().map(|i| indices[i]).collect()
    }

    /// What to call a point in a chart: its name, or the number of its trial.
    fn name(&self, point: usize) -> String {
        let id = || self.ids.get(point).map(|id| format!("#{id}"));
        self.names.get(&point).cloned().or_else(id).unwrap_or_default()
    }

    /// The plot as an element of the page; `genomes` is what a click shows of a point, one for each run.
    pub fn element(&self, genomes: &[impl Serialize]) -> String {
        #[derive(Serialize)]
        struct Data<'a, G> {
            #[serde(flatten)]
            plot: &'a InteractivePlot,
            genomes: &'a [G],
        }
        let json = serde_json::to_string(&Data { plot: self, genomes }).unwrap_or_else(|_| "null".to_owned());
        // Nothing in the data may end the element, or be a character that XML forbids; JSON has escaped the others.
        let mut safe = String::with_capacity(json.len() + json.len() / 16);
        for c in json.chars() {
            match c {
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}' => {
                    safe.push_str(&format!("\\u{:04x}", c as u32))
                }
                c => safe.push(c),
            }
        }
        format!(
            "<div class=\"plot\" id=\"{id}\"></div>\n\
             <script type=\"application/json\" id=\"{id}-data\">{safe}</script>\n",
            id = self.id
        )
    }
}

/// A number as it is worth sending: at most six significant digits; counts stay exact. What is not finite is nothing.
fn short(value: f64) -> Option<f64> {
    if value.fract() == 0.0 && value.abs() < 9e15 {
        return Some(value);
    }
    value.is_finite().then(|| format!("{value:.5e}").parse().ok()).flatten()
}

fn short_values<S: Serializer>(values: &[Option<f64>], s: S) -> Result<S::Ok, S::Error> {
    s.collect_seq(values.iter().map(|v| v.filter(|v| drawable(*v)).and_then(short)))
}

fn short_ends<S: Serializer>(ends: &BTreeMap<usize, f64>, s: S) -> Result<S::Ok, S::Error> {
    s.collect_map(ends.iter().filter_map(|(i, v)| Some((i, short(*v).filter(|v| drawable(*v))?))))
}

fn mark_name<S: Serializer>(mark: &Mark, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(match mark {
        Mark::Small => "small",
        Mark::Dot => "dot",
        Mark::Diamond => "diamond",
        Mark::Square => "square",
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn axis(values: &[f64], goal: Goal) -> Axis {
        Axis { values: values.iter().map(|v| Some(*v)).collect(), goal, ..Axis::default() }
    }

    /// Two candidates and a variant; the second candidate is dominated.
    fn plot() -> InteractivePlot {
        let mut up = axis(&[70.0, 60.0, 65.0], Goal::Maximize);
        up.low.insert(2, 64.0);
        up.high.insert(2, 66.0);
        InteractivePlot {
            axes: vec![axis(&[2.0, 3.0, 1.0], Goal::Minimize), up],
            x: vec![0],
            y: vec![1],
            groups: vec![Group::CANDIDATES, Group::VARIANTS],
            group: vec![0, 0, 1],
            family: vec![0; 3],
            families: vec!["f".to_owned()],
            ids: vec![7, 8, 9],
            names: BTreeMap::from([(2, "published".to_owned())]),
            ..InteractivePlot::default()
        }
    }

    #[test]
    fn a_chart_shows_the_front_between_candidates_and_variants() {
        let chart = plot().chart(0, 1);
        let series = chart.series.iter();
        let points = series.map(|s| (s.name.as_str(), s.points.iter().map(|p| (p.x, p.label.as_deref())).collect()));
        let found: Vec<(_, Vec<_>)> = points.collect();
        let expected = [
            ("candidates", vec![(3.0, None)]),
            ("front", vec![(1.0, None), (2.0, Some("#7"))]),
            ("published variants under this protocol", vec![(1.0, Some("published"))]),
        ];
        assert_eq!(found, expected);
        assert_eq!(chart.series[2].points[0].bars.y, Some((64.0, 66.0)));
    }

    #[test]
    fn runs_have_a_front_and_a_colour_each() {
        let two = ["a", "b"].map(str::to_owned).to_vec();
        let runs =
            InteractivePlot { filter: "run", families: two, colors: vec![0, 1], family: vec![0, 1, 1], ..plot() };
        let chart = runs.chart(0, 1);
        let fronts: Vec<usize> = chart.series.iter().filter(|s| s.line.is_some()).map(|s| s.points.len()).collect();
        assert_eq!(fronts, [1, 1]);
    }

    #[test]
    fn numbers_are_short_and_counts_exact() {
        assert_eq!(short(12.345_678_9), Some(12.3457));
        assert_eq!(short(5_578_632.0), Some(5_578_632.0));
        assert_eq!(short(f64::NAN), None);
        assert_eq!(short(-0.000_123_456_7), Some(-0.000_123_457));
    }

    #[test]
    fn nothing_in_the_data_ends_them() {
        let names = BTreeMap::from([(0, "</script><!-- & \u{2028}".to_owned())]);
        let made = InteractivePlot { id: "v", names, ..InteractivePlot::default() }.element(&[0; 0]);
        assert_eq!(made.matches("</script>").count(), 1, "{made}");
        assert!(!made.contains("<!--") && made.contains("\\u003c/script\\u003e"), "{made}");
    }
}
