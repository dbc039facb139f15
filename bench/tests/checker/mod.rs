//! onnx's own checker of files, in a Python that keeps running.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Python that reads names of files and says of each what onnx's checker does.
const CHECKER: &str = "\
import sys, onnx
for line in sys.stdin:
    try:
        onnx.checker.check_model(line.strip(), full_check=True)
        print('sound', flush=True)
    except Exception as e:
        print(' '.join(str(e).split()), flush=True)
";

/// The checker at work.
pub struct Checker {
    child: Child,
    ask: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Checker {
    /// Starts it.
    pub fn new() -> Checker {
        let python = std::env::var_os("MOBILENAS_ONNX_PYTHON");
        let python =
            python.expect("MOBILENAS_ONNX_PYTHON is a Python with the package onnx; `cargo xtask test` sets it");
        let mut child =
            Command::new(python).args(["-c", CHECKER]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let ask = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().unwrap()).lines();
        Checker { child, ask, answers }
    }

    /// What it says of a file: `sound`, or what is wrong.
    pub fn check(&mut self, bytes: &[u8]) -> String {
        let file = tempfile::Builder::new().suffix(".onnx").tempfile().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        writeln!(self.ask.as_mut().unwrap(), "{}", file.path().display()).unwrap();
        self.answers.next().expect("the checker answers").unwrap()
    }

    /// Ends it, once it has shown that it finds fault: half a file is none.
    pub fn end(mut self) {
        assert_ne!(self.check(b"no model"), "sound");
        drop(self.ask.take());
        assert!(self.child.wait().unwrap().success());
    }
}
