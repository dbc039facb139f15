//! What runs a network on a device, how its output is read, and when it is run.

use std::path::PathBuf;

use mobilenas_host::nearest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::output::{Read, Statistic, Unit};
use crate::tools::{self, tool};

/// What runs a network on a device. Command lines are for the shell there. `{file}` is the network's file, `{threads}` the
/// number of threads, `{shape}` the size of one input as ncnn's benchmark has it: [width,height,channels].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Runner {
    /// A benchmark program that is known by name; it says what is left out below.
    pub tool: Option<String>,
    /// The program `{program}` where the device has it; the tool's name if left out.
    pub program: Option<String>,
    /// A program on this machine that is brought to the device and is `{program}` there.
    pub ship: Option<PathBuf>,
    /// Further files and folders of this machine that are brought beside it, into `{folder}`.
    pub ship_also: Vec<PathBuf>,
    /// Further arguments of the tool, `{args}`.
    pub args: Option<String>,
    /// The command line that runs a network and prints its time.
    pub run: Option<String>,
    /// JSON pointer to the time, or to a list of times, in what the command prints.
    pub pointer: Option<String>,
    /// The time is the number after the last place of this text.
    pub after: Option<String>,
    /// Unit of the time.
    pub unit: Option<Unit>,
    /// What the time is of the program's runs.
    pub statistic: Option<Statistic>,
    /// Ending of the network's file; `onnx` if left out. Another one needs `convert`.
    pub extension: Option<String>,
    /// What makes the file of an ONNX file, on this machine.
    pub convert: Option<Conversion>,
    /// The device in records; the device is asked if left out, and so are the next two.
    pub device: Option<String>,
    /// Its operating system.
    pub os: Option<String>,
    /// Version of the runtime.
    pub version: Option<String>,
    /// The runtime; the tool's if left out.
    pub runtime: Option<String>,
    /// What the runtime hands its work to: a GPU, an NPU, a library.
    pub delegate: Option<String>,
    /// Precision of the arithmetic.
    pub precision: String,
    /// Seconds that one run of the program may take.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 86400))]
    pub timeout_seconds: f64,
    /// Seconds between two runs.
    #[schemars(range(min = 0, max = 3600))]
    pub pause_seconds: f64,
    /// A device that is hotter is left alone until it has cooled.
    #[schemars(range(min = 0, max = 150))]
    pub most_celsius: Option<f64>,
    /// Seconds that it is waited for to cool; then the run goes on, and the record shows it.
    #[schemars(range(min = 0, max = 86400))]
    pub cool_seconds: f64,
    /// Seconds that a device which went away is waited for; then the run ends, and the same command goes on.
    #[schemars(range(min = 0, max = 1000000))]
    pub away_seconds: f64,
}

/// What makes a network's file of an ONNX file, on this machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Conversion {
    /// The command line: `{onnx}` is the ONNX file, `{file}` the one to be made.
    pub run: String,
    /// Seconds that it may take.
    #[serde(default = "ten_minutes")]
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 86400))]
    pub timeout_seconds: f64,
}

fn ten_minutes() -> f64 {
    600.0
}

impl Default for Runner {
    fn default() -> Runner {
        Runner {
            tool: None,
            program: None,
            ship: None,
            ship_also: Vec::new(),
            args: None,
            run: None,
            pointer: None,
            after: None,
            unit: None,
            statistic: None,
            extension: None,
            convert: None,
            device: None,
            os: None,
            version: None,
            runtime: None,
            delegate: None,
            precision: "float32".to_string(),
            timeout_seconds: 120.0,
            pause_seconds: 0.2,
            most_celsius: None,
            cool_seconds: 600.0,
            away_seconds: 3600.0,
        }
    }
}

/// A runner without gaps.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Resolved {
    pub run: String,
    pub program: String,
    pub read: Read,
    pub unit: Unit,
    pub statistic: Statistic,
    pub extension: String,
    pub runtime: String,
}

impl Runner {
    /// The runner without gaps.
    ///
    /// # Errors
    /// Every mistake that the types alone do not show: its key and a message.
    pub(crate) fn resolve(&self) -> Result<Resolved, Vec<(&'static str, String)>> {
        let mut all = Vec::new();
        let named = self.tool.as_deref().and_then(tool);
        if let (Some(name), None) = (&self.tool, named) {
            let names = tools::names();
            let hint = nearest(name, names.iter().copied()).map(|n| format!("; did you mean {n}?")).unwrap_or_default();
            all.push(("tool", format!("found {name:?}, expected one of {}{hint}", names.join(", "))));
        }
        let unknown = self.tool.is_some();
        let run = self.run.clone().or_else(|| named.map(|t| t.run.to_string()));
        match &run {
            Some(run) if !run.contains("{file}") => {
                all.push(("run", format!("found {run:?}, expected {{file}} in it, the network's file")));
            }
            None if !unknown => all.push(("", "missing key run, expected a command line, or a tool".to_string())),
            Some(_) | None => {}
        }
        if self.pointer.is_some() && self.after.is_some() {
            all.push(("after", "found both pointer and after, expected one".to_string()));
        }
        if let Some(p) = self.pointer.as_ref().filter(|p| !p.is_empty() && !p.starts_with('/')) {
            all.push(("pointer", format!("found {p:?}, expected a JSON pointer such as /latency/median_ms")));
        }
        if self.after.as_ref().is_some_and(String::is_empty) {
            all.push(("after", "found an empty text, expected the one before the number".to_string()));
        }
        if self.program.is_some() && self.ship.is_some() {
            all.push(("program", "found both program and ship, expected one".to_string()));
        }
        // A tool's unit and statistic are those of the number that it prints, not of another.
        let own = self.run.is_none() && self.pointer.is_none() && self.after.is_none();
        let tools = named.filter(|_| own);
        let unit = self.unit.or_else(|| tools.map(|t| t.unit));
        let statistic = self.statistic.or_else(|| tools.map(|t| t.statistic));
        let says = !unknown || named.is_some();
        if says && unit.is_none() {
            all.push(("", "missing key unit, expected ns, us, ms or s".to_string()));
        }
        if says && statistic.is_none() {
            all.push(("", "missing key statistic, expected median, mean or min".to_string()));
        }
        let extension = self.extension.clone().or_else(|| named.map(|t| t.extension.to_string()));
        let extension = extension.unwrap_or_else(|| "onnx".to_string());
        if extension.is_empty() || !extension.chars().all(|c| c.is_ascii_alphanumeric()) {
            all.push(("extension", format!("found {extension:?}, expected letters and digits, such as onnx")));
        }
        match &self.convert {
            None if extension != "onnx" => {
                all.push(("", format!("missing key convert, expected what makes a .{extension} file of an ONNX file")));
            }
            Some(c) if !(c.run.contains("{onnx}") && c.run.contains("{file}")) => {
                all.push(("convert.run", format!("found {:?}, expected {{onnx}} and {{file}} in it", c.run)));
            }
            Some(_) | None => {}
        }
        let read = match (&self.pointer, &self.after, tools) {
            (Some(pointer), ..) => Read::Pointer(pointer.clone()),
            (None, Some(text), _) => Read::After(text.clone()),
            (None, None, Some(tool)) => tool.read(),
            (None, None, None) => Read::Whole,
        };
        let program = self.program.clone().or_else(|| self.tool.clone()).unwrap_or_default();
        let runtime = self.runtime.clone().or_else(|| named.map(|t| t.runtime.to_string()));
        let runtime = runtime.unwrap_or_else(|| "unknown".to_string());
        match (run, unit, statistic) {
            (Some(run), Some(unit), Some(statistic)) if all.is_empty() => {
                Ok(Resolved { run, program, read, unit, statistic, extension, runtime })
            }
            _ => Err(all),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(runner: Runner) -> Vec<String> {
        runner.resolve().unwrap_err().into_iter().map(|(key, m)| format!("{key}: {m}")).collect()
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_string())
    }

    #[test]
    fn a_tool_says_what_is_left_out() {
        let runner = Runner { tool: some("onnxruntime_perf_test"), ..Runner::default() };
        let resolved = runner.resolve().unwrap();
        assert_eq!(
            (resolved.unit, resolved.statistic, resolved.extension.as_str()),
            (Unit::S, Statistic::Median, "onnx")
        );
        assert_eq!((resolved.runtime.as_str(), resolved.program.as_str()), ("onnxruntime", "onnxruntime_perf_test"));
    }

    #[test]
    fn another_number_of_a_tool_has_another_unit() {
        let runner = Runner { tool: some("onnxruntime_perf_test"), after: some("time cost:"), ..Runner::default() };
        assert_eq!(wrong(runner).len(), 2);
    }

    #[test]
    fn mistakes_are_told_all_at_once() {
        assert_eq!(
            wrong(Runner::default()),
            [
                ": missing key run, expected a command line, or a tool",
                ": missing key unit, expected ns, us, ms or s",
                ": missing key statistic, expected median, mean or min",
            ]
        );
        let tool = wrong(Runner { tool: some("benchmark_mode"), ..Runner::default() });
        assert!(tool.len() == 1 && tool[0].ends_with("did you mean benchmark_model?"), "{tool:?}");
        let tflite = wrong(Runner { tool: some("benchmark_model"), ..Runner::default() });
        assert_eq!(tflite, [": missing key convert, expected what makes a .tflite file of an ONNX file"]);
        let both = Runner {
            run: some("time it"),
            pointer: some("a"),
            after: some(""),
            unit: Some(Unit::Ms),
            statistic: Some(Statistic::Min),
            program: some("a"),
            ship: Some("b".into()),
            extension: some("a b"),
            convert: Some(Conversion { run: "x".to_string(), timeout_seconds: 1.0 }),
            ..Runner::default()
        };
        assert_eq!(wrong(both).len(), 7);
    }
}
