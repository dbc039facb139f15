//! Benchmark programs of common runtimes: how each is called, and how its output is read.

use crate::output::{Read, Statistic, Unit};

/// A benchmark program.
#[derive(Debug)]
pub struct Tool {
    /// Its name in configs, which is the program's own.
    pub name: &'static str,
    /// What it is, in one line.
    pub help: &'static str,
    /// The runtime in records.
    pub runtime: &'static str,
    /// Ending of the files that it takes.
    pub extension: &'static str,
    /// Its command line.
    pub run: &'static str,
    pub(crate) read: Mark,
    /// Unit of the number.
    pub unit: Unit,
    /// What the number is of its runs.
    pub statistic: Statistic,
}

/// Where its number stands.
#[derive(Debug)]
pub(crate) enum Mark {
    After(&'static str),
    Pointer(&'static str),
}

impl Tool {
    /// Where its number stands.
    pub fn read(&self) -> Read {
        match self.read {
            Mark::After(text) => Read::After(text.to_string()),
            Mark::Pointer(pointer) => Read::Pointer(pointer.to_string()),
        }
    }
}

/// All tools. The lines that they print have kept their form for years; `after` reads another.
pub static TOOLS: &[Tool] = &[
    Tool {
        name: "benchmark_model",
        help: "LiteRT's benchmark, for .tflite files",
        runtime: "litert",
        extension: "tflite",
        run: "{program} --graph={file} --num_threads={threads} {args}",
        read: Mark::After("Inference (avg):"),
        unit: Unit::Us,
        statistic: Statistic::Mean,
    },
    Tool {
        name: "onnxruntime_perf_test",
        help: "ONNX Runtime's benchmark",
        runtime: "onnxruntime",
        extension: "onnx",
        run: "{program} -I -s -m times -r 30 -x {threads} {args} {file}",
        read: Mark::After("P50 Latency:"),
        unit: Unit::S,
        statistic: Statistic::Median,
    },
    Tool {
        name: "benchncnn",
        help: "ncnn's benchmark, for .param files; it needs no weights",
        runtime: "ncnn",
        extension: "param",
        run: "{program} 30 {threads} 0 -1 0 param={file} shape={shape} {args}",
        read: Mark::After("min ="),
        unit: Unit::Ms,
        statistic: Statistic::Min,
    },
    Tool {
        name: "mobilenas",
        help: "this program, with ONNX Runtime on the device",
        runtime: "onnxruntime",
        extension: "onnx",
        run: "echo '{processes: {min: 1, max: 1}, samples: {max_seconds: 3}}' | \
              {program} bench run /dev/stdin --onnx {file} --threads {threads} --json {args}",
        read: Mark::Pointer("/rows/0/outcome/measured/median_ms/middle"),
        unit: Unit::Ms,
        statistic: Statistic::Median,
    },
];

/// A tool by its name.
pub fn tool(name: &str) -> Option<&'static Tool> {
    TOOLS.iter().find(|t| t.name == name)
}

/// The names of all tools.
pub fn names() -> Vec<&'static str> {
    TOOLS.iter().map(|t| t.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the programs print, as their documentation and users show it.
    const BENCHMARK_MODEL: &str = "\
INFO: count=1000 first=52162 curr=49785 min=49088 max=686105 avg=63743.2 std=60716 p5=49620 median=51891 p95=68628
INFO: Inference timings in us: Init: 119515, First inference: 87112, Warmup (avg): 58147.4, Inference (avg): 6.375e+04
INFO: Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE.
INFO: Memory footprint delta from the start of the tool (MB): init=55.4961 overall=55.4961";
    const PERF_TEST: &str = "\
Session creation time cost: 0.0102016 s
First inference time cost: 2 ms
Average inference time cost: 1.85739 ms
Min Latency: 0.00183404 s
P50 Latency: 0.00185674 s
P90 Latency: 0.00187215 s";
    const BENCHNCNN: &str = "\
loop_count = 30
num_threads = 4
          model.param  min =   12.34  max =   13.50  avg =   12.90";

    fn ms(name: &str, stdout: &str, stderr: &str) -> f64 {
        let tool = tool(name).unwrap();
        tool.read().time(stdout, stderr, tool.unit, tool.statistic).unwrap()
    }

    #[test]
    fn what_tools_print_is_read() {
        assert_eq!(ms("benchmark_model", BENCHMARK_MODEL, ""), 63.75);
        assert_eq!(ms("benchmark_model", "", BENCHMARK_MODEL), 63.75);
        assert_eq!(ms("onnxruntime_perf_test", PERF_TEST, ""), 1.85674);
        assert_eq!(ms("benchncnn", "", BENCHNCNN), 12.34);
    }
}
