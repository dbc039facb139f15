//! One line of progress with the time left: a bar on a terminal, a line now and then elsewhere.

use std::cell::RefCell;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Progress of one phase.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    label: &'static str,
    lines: Option<RefCell<Lines>>,
}

/// Progress by lines, for logs.
#[derive(Debug)]
struct Lines {
    total: u64,
    from: u64,
    begin: Instant,
    last: Instant,
}

/// Between two lines of a log.
const EVERY: Duration = Duration::from_secs(15);

impl Progress {
    /// A phase of unknown length, shown on standard error.
    pub fn new(label: &'static str) -> Progress {
        let bar = ProgressBar::new(0);
        let template = "{prefix:>10} [{bar:30}] {pos}/{len} {msg} ({eta} left)";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(label);
        if std::io::stderr().is_terminal() {
            return Progress { bar, label, lines: None };
        }
        bar.set_draw_target(ProgressDrawTarget::hidden());
        let now = Instant::now();
        Progress { bar, label, lines: Some(RefCell::new(Lines { total: 0, from: 0, begin: now, last: now })) }
    }

    /// Nothing is shown.
    pub fn hidden() -> Progress {
        let bar = ProgressBar::hidden();
        Progress { bar, label: "", lines: None }
    }

    /// Sets the length, and where a resumed phase begins.
    pub fn begin(&self, total: u64, from: u64) {
        self.bar.set_length(total);
        self.bar.set_position(from);
        self.bar.reset_eta();
        if let Some(lines) = &self.lines {
            let now = Instant::now();
            *lines.borrow_mut() = Lines { total, from, begin: now, last: now };
            let resumed = if from > 0 { format!(", resumed at {from}") } else { String::new() };
            crate::errln!("{:>10}: {total} steps{resumed}", self.label);
        }
    }

    /// Moves to a position.
    pub fn at(&self, position: u64, message: &str) {
        self.bar.set_position(position);
        self.bar.set_message(message.to_string());
        if let Some(lines) = &self.lines {
            let mut l = lines.borrow_mut();
            if l.last.elapsed() >= EVERY || position == l.total {
                l.last = Instant::now();
                let done = position.saturating_sub(l.from).max(1) as f64;
                let left = l.begin.elapsed().div_f64(done).mul_f64(l.total.saturating_sub(position) as f64);
                crate::errln!("{:>10}: {position}/{} {message} ({} left)", self.label, l.total, HumanDuration(left));
            }
        }
    }

    /// Says something beside the progress.
    pub fn say(&self, message: &str) {
        match self.lines {
            Some(_) => crate::errln!("{:>10}: {message}", self.label),
            None => self.bar.println(format!("{:>10}: {message}", self.label)),
        }
    }

    /// What says something beside the progress, for whoever outlives a borrow of it.
    pub fn teller(&self) -> Box<dyn Fn(&str)> {
        let (bar, label, lines) = (self.bar.clone(), self.label, self.lines.is_some());
        Box::new(move |message| match lines {
            true => crate::errln!("{label:>10}: {message}"),
            false => bar.println(format!("{label:>10}: {message}")),
        })
    }

    /// Lets something be printed without the bar in its way.
    pub fn aside(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    /// Ends the phase and leaves its last line.
    pub fn done(&self) {
        self.bar.abandon();
    }
}
