//! Reads a time from what a program prints.

use std::fmt;

use mobilenas_host::printable;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// Times in ms that a device can take; sums and ratios of them are numbers, too.
const RANGE_MS: std::ops::RangeInclusive<f64> = 1e-6..=1e9;
/// Characters of an output that a message shows.
const SHOWN: usize = 120;

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Unit {
    Ns,
    Us,
    Ms,
    S,
}

impl Unit {
    /// Milliseconds of so many.
    fn ms(self, value: f64) -> f64 {
        match self {
            Unit::Ns => value / 1e6,
            Unit::Us => value / 1e3,
            Unit::Ms => value,
            Unit::S => value * 1e3,
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unit::Ns => "ns",
            Unit::Us => "us",
            Unit::Ms => "ms",
            Unit::S => "s",
        })
    }
}

/// What the number that a program prints is of its runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Statistic {
    Median,
    Mean,
    Min,
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Statistic::Median => "median",
            Statistic::Mean => "mean",
            Statistic::Min => "minimum",
        })
    }
}

/// Where in an output the number stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// The output is the number and nothing else.
    Whole,
    /// The output is JSON; a pointer (RFC 6901) leads to the number, or to a list of numbers.
    Pointer(String),
    /// The number follows the last place of this text.
    After(String),
}

/// A time that is none: what was found, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoTime {
    /// What was found.
    pub found: String,
    /// What was expected.
    pub expected: String,
}

impl Read {
    /// The time in ms that `stdout`, or with [`Read::After`] either output, holds.
    ///
    /// # Errors
    /// When there is none, or it is no time that a network can take.
    pub fn time(&self, stdout: &str, stderr: &str, unit: Unit, statistic: Statistic) -> Result<f64, NoTime> {
        let expected = self.expected(unit);
        let none = |found: String| NoTime { found, expected: expected.clone() };
        let value = match self {
            Read::Whole => {
                let text = stdout.trim();
                text.parse().map_err(|_| none(shown(text)))?
            }
            Read::Pointer(pointer) => {
                let text = stdout.trim();
                // Programs log before they print their result: then the last line that is JSON counts.
                let json = |t: &str| serde_json::from_str::<Json>(t).ok().filter(|j| j.is_object() || j.is_array());
                let json = json(text).or_else(|| text.lines().rev().find_map(|l| json(l.trim())));
                let json = json.ok_or_else(|| none(shown(text)))?;
                let found = json.pointer(pointer).ok_or_else(|| none(format!("{} without it", shown(text))))?;
                number(found, statistic).ok_or_else(|| none(format!("{} there", shown(&found.to_string()))))?
            }
            Read::After(text) => {
                let after = |all: &str| all.rfind(text.as_str()).map(|at| all[at + text.len()..].to_string());
                let rest = after(stdout).or_else(|| after(stderr));
                let rest = rest.ok_or_else(|| {
                    none(format!("{} without it", shown(if stdout.trim().is_empty() { stderr } else { stdout }.trim())))
                })?;
                let word = rest.split_whitespace().next().unwrap_or_default();
                let end = word.find(|c: char| !(c.is_ascii_digit() || "+-.eE".contains(c))).unwrap_or(word.len());
                // `nan` and `inf` are told as they stand, and so is a minus.
                word[..end].parse().map_err(|_| none(format!("{} there", shown(word))))?
            }
        };
        let ms = unit.ms(value);
        let (low, high) = (RANGE_MS.start(), RANGE_MS.end());
        match RANGE_MS.contains(&ms) {
            true => Ok(ms),
            false => Err(NoTime {
                found: format!("{value} {unit}"),
                expected: format!("{expected} of {low:e} to {high:e} ms"),
            }),
        }
    }

    fn expected(&self, unit: Unit) -> String {
        match self {
            Read::Whole => {
                format!("a number in {unit} and nothing else; `pointer` or `after` read one from JSON or text")
            }
            Read::Pointer(p) if p.is_empty() => format!("JSON that is a list of numbers in {unit}"),
            Read::Pointer(p) => format!("JSON with a number in {unit} at {p}"),
            Read::After(text) => format!("a number in {unit} after {text:?}"),
        }
    }
}

/// A number, or the statistic of a list of numbers.
fn number(json: &Json, statistic: Statistic) -> Option<f64> {
    let Json::Array(all) = json else { return json.as_f64() };
    let mut all: Vec<f64> = all.iter().map(Json::as_f64).collect::<Option<_>>()?;
    all.sort_by(f64::total_cmp);
    let n = all.len();
    let middle = [all.get(n.checked_sub(1)? / 2)?, all.get(n / 2)?];
    Some(match statistic {
        Statistic::Median => (middle[0] + middle[1]) / 2.0,
        Statistic::Mean => all.iter().sum::<f64>() / n as f64,
        Statistic::Min => all[0],
    })
}

/// An output as a message shows it.
fn shown(text: &str) -> String {
    if text.is_empty() {
        return "nothing".to_string();
    }
    let cut: String = text.chars().take(SHOWN).collect();
    let dots = if cut.len() < text.len() { "..." } else { "" };
    format!("{:?}", printable(&(cut + dots)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(how: &Read, text: &str) -> Result<f64, String> {
        how.time(text, "", Unit::Ms, Statistic::Median)
            .map_err(|e| format!("printed {}, expected {}", e.found, e.expected))
    }

    #[test]
    fn numbers_are_read_in_their_unit() {
        for (unit, ms) in [(Unit::Ns, 2.5e-6), (Unit::Us, 2.5e-3), (Unit::Ms, 2.5), (Unit::S, 2500.0)] {
            assert_eq!(Read::Whole.time(" 2.5\n", "", unit, Statistic::Mean), Ok(ms));
        }
    }

    #[test]
    fn json_is_read_by_its_pointer() {
        let at = |p: &str| Read::Pointer(p.to_string());
        assert_eq!(read(&at("/a/0/ms"), "log\n{\"a\": [{\"ms\": 3}]}\n"), Ok(3.0));
        for (statistic, ms) in [(Statistic::Median, 2.5), (Statistic::Mean, 4.0), (Statistic::Min, 1.0)] {
            assert_eq!(at("").time("[10, 2,\n 3, 1]", "", Unit::Ms, statistic), Ok(ms));
        }
        for (text, found) in [
            ("", "nothing"),
            ("{\"b\": 1}", "\"{\\\"b\\\": 1}\" without it"),
            ("{\"a\": \"1\"}", "\"\\\"1\\\"\" there"),
            ("{\"a\": []}", "\"[]\" there"),
            ("{\"a\": [1, null]}", "\"[1,null]\" there"),
            ("{\"a\": NaN}", "\"{\\\"a\\\": NaN}\""),
        ] {
            assert_eq!(read(&at("/a"), text), Err(format!("printed {found}, expected JSON with a number in ms at /a")));
        }
    }

    #[test]
    fn text_is_read_after_the_last_mark() {
        let mark = Read::After("avg =".to_string());
        assert_eq!(read(&mark, "avg =  9.0 ms\nx avg =   1.25, max"), Ok(1.25));
        assert_eq!(mark.time("", "avg = 1.5e+03us", Unit::Us, Statistic::Mean), Ok(1.5));
        let none = |text: &str| read(&mark, text).unwrap_err();
        assert_eq!(none("min = 3"), "printed \"min = 3\" without it, expected a number in ms after \"avg =\"");
        assert_eq!(none("avg = nan"), "printed \"nan\" there, expected a number in ms after \"avg =\"");
        assert_eq!(none("avg ="), "printed nothing there, expected a number in ms after \"avg =\"");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        let none = |text: &str| read(&Read::Whole, text).unwrap_err();
        let number = "expected a number in ms and nothing else; `pointer` or `after` read one from JSON or text";
        for (text, found) in [("", "nothing"), ("4.2 ms", "\"4.2 ms\""), ("a\u{1b}[1m", "\"a\\\\u{1b}[1m\"")] {
            assert_eq!(none(text), format!("printed {found}, {number}"));
        }
        for (text, found) in [("NaN", "NaN"), ("-3", "-3"), ("0", "0"), ("inf", "inf"), ("1e300", "1e300")] {
            let all = none(text);
            assert!(all.starts_with("printed ") && all.ends_with(" of 1e-6 to 1e9 ms"), "{found}: {all}");
        }
        assert!(none(&"x".repeat(1000)).len() < 300);
    }
}
