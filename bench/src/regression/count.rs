//! Instructions of one inference, counted by valgrind: exact to about a thousandth of a percent, and blind to memory.

use std::process::Command;

use super::exact::{in_words, percent};
use super::finding::{Finding, Tier, Verdict};
use crate::process::WorkerProgram;

/// Why there is no count.
#[derive(Debug, thiserror::Error)]
pub enum CountError {
    /// valgrind cannot be started.
    #[error("valgrind: {0}, expected it for --count (apt install valgrind)")]
    Start(#[from] std::io::Error),
    /// The program failed under valgrind.
    #[error("valgrind: {program} ended ({status}): {words}")]
    Ended {
        /// The program.
        program: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// The last line of its standard error.
        words: String,
    },
    /// valgrind printed no count.
    #[error("valgrind: found no count, expected a line `Collected : N`")]
    NoCount,
}

/// More instructions than this, as a fraction, fail.
pub const FAIL: f64 = 0.01;
/// More than this warn.
pub const WARN: f64 = 0.003;

/// What keeps the counted code the same on every machine: no wider vectors than valgrind knows, and no second start of
/// the program, which valgrind would not follow.
const SETTINGS: [(&str, &str); 5] = [
    ("ATEN_CPU_CAPABILITY", "avx2"),
    ("ONEDNN_MAX_CPU_ISA", "AVX2"),
    ("GOMP_SPINCOUNT", "10000"),
    ("OMP_NUM_THREADS", "1"),
    ("MKL_NUM_THREADS", "1"),
];

fn once(program: &WorkerProgram, calls: usize) -> Result<u64, CountError> {
    let of = &program.workload;
    let out = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(&program.program)
        .args(&program.verb)
        .args(["--model", &of.model, "--engine", &of.engine, "--calls", &calls.to_string()])
        .envs(SETTINGS)
        .output()?;
    let text = String::from_utf8_lossy(&out.stderr);
    if !out.status.success() {
        let words = text.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or_default().to_string();
        return Err(CountError::Ended { program: program.program.display().to_string(), status: out.status, words });
    }
    collected(&text).ok_or(CountError::NoCount)
}

/// The count in what callgrind says in the end.
fn collected(text: &str) -> Option<u64> {
    let line = text.lines().rev().find(|l| l.contains("Collected :"))?;
    line.split("Collected :").nth(1)?.split_whitespace().next()?.replace(',', "").parse().ok()
}

/// Instructions of one inference: those of three calls less those of two, which leaves start-up and first calls out.
///
/// # Errors
/// When valgrind is missing, or the worker fails under it.
pub fn instructions(program: &WorkerProgram) -> Result<u64, CountError> {
    let two = once(program, 2)?;
    Ok(once(program, 3)?.saturating_sub(two))
}

/// The verdict on a count.
pub fn compare(model: &str, was: Option<u64>, is: u64) -> Finding {
    let finding = |v| Finding::new(Tier::Exact, model, "instructions", v);
    let Some(was) = was else {
        return finding(Verdict::New)
            .values(None, Some(is as f64))
            .because("not in the baseline", "The baseline has no count of instructions. Bless one to guard it.");
    };
    let change = is as f64 / (was as f64).max(1.0) - 1.0;
    let verdict = match change {
        c if c > FAIL => Verdict::Fail,
        c if c > WARN => Verdict::Warn,
        _ => Verdict::Pass,
    };
    let rule = format!("More than {} warns, more than {} fails.", percent(WARN), percent(FAIL));
    finding(verdict).values(Some(was as f64), Some(is as f64)).because(
        in_words("instructions", was, is),
        format!("One inference takes {} instructions. {rule}", percent(change)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_count_is_read() {
        let text = "==1== Events    : Ir\n==1== Collected : 2558901234\n==1==\n==1== I   refs:      2,558,901,234\n";
        assert_eq!(collected(text), Some(2_558_901_234));
        assert_eq!(collected("==1== Killed"), None);
    }

    #[test]
    fn counts_fail_above_one_percent() {
        let of = |is| compare("m", Some(1_000_000), is).verdict;
        assert_eq!(
            [of(900_000), of(1_002_000), of(1_005_000), of(1_011_000)],
            [Verdict::Pass, Verdict::Pass, Verdict::Warn, Verdict::Fail]
        );
        assert_eq!(compare("m", None, 5).verdict, Verdict::New);
    }
}
