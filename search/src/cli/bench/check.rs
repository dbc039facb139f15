//! `mobilenas bench check --baseline FILE`: the regression check.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, anyhow};
use mobilenas_bench::Host;
use mobilenas_bench::engine;
use mobilenas_bench::process::{MeasureError, WorkerProgram};
use mobilenas_bench::regression::finding::REPORT_SCHEMA;
use mobilenas_bench::regression::process_pairs::ProcessPairs;
use mobilenas_bench::regression::round::PairedRounds;
use mobilenas_bench::regression::{
    Baseline, ExitRules, Finding, RegressionReport, Tier, Verdict, count, exact, files, output, stored,
};
use mobilenas_file::{BaselineFiles, FileExact, GuardedFile};
use mobilenas_host::{Clock as _, OutputError, Progress, Stop, WallClock, out};
use serde_json::json;

use super::regression::{self, Which, file_program, input, program};
use super::{accuracy, check_device};
use crate::cli::Input;
use mobilenas_pipeline::config::{self, RegressionConfig};

/// Arguments of `bench check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The baseline's file, as `bench bless` wrote it
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    older: BaselineFiles,
    /// Metrics of files that may change with a warning only
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    allow: Vec<String>,
    /// Time this program against another build of it, in fresh process pairs
    #[arg(long, value_name = "PATH")]
    baseline_binary: Option<PathBuf>,
    /// Time the networks against this one
    #[arg(long, value_name = "NAME")]
    baseline_model: Option<String>,
    /// Time the config's engine against this one
    #[arg(long, value_name = "NAME")]
    baseline_engine: Option<String>,
    /// A YAML file with the device that times networks and ONNX files side by side, instead of this machine
    #[arg(long, value_name = "FILE", conflicts_with_all = ["baseline_binary", "baseline_engine", "stored", "count"])]
    device: Option<PathBuf>,
    /// Compare times with those in the baseline's file; may warn only
    #[arg(long, requires = "baseline")]
    stored: bool,
    /// Count instructions too; needs valgrind, about two minutes a network
    #[arg(long, requires = "baseline")]
    count: bool,
    /// Folder for JSON, Markdown, JUnit XML and Bencher's metrics
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Explain each verdict in two sentences
    #[arg(long)]
    why: bool,
    /// Print GitHub's annotations, and append the table to the job's summary
    #[arg(long)]
    github: bool,
    /// A baseline that is missing or not comparable is exit code 4
    #[arg(long)]
    require_baseline: bool,
    /// Undecided is exit code 5
    #[arg(long)]
    fail_on_inconclusive: bool,
}

/// What a check is at.
struct Check<'a> {
    args: &'a Args,
    config: RegressionConfig,
    narrowed: bool,
    stop: &'a Stop,
    report: RegressionReport,
}

/// Runs the check.
///
/// # Errors
/// When the input is wrong, or something could not be measured. A regression is an exit code.
pub fn run(args: &Args) -> Result<i32> {
    let (clock, stop) = (WallClock::new(), Stop::on_signals()?);
    let (mut config, narrowed) = args.which.load()?;
    args.add_older(&mut config)?;
    let report = RegressionReport {
        schema: REPORT_SCHEMA,
        program: concat!("mobilenas ", env!("CARGO_PKG_VERSION")).to_string(),
        host: Host::read(),
        baseline: args.baseline.as_ref().map(|f| f.display().to_string()),
        not_comparable: None,
        findings: Vec::new(),
        samples: Vec::new(),
        seconds: 0.0,
    };
    let mut check = Check { args, config, narrowed, stop: &stop, report };
    let done = check.all();
    check.report.seconds = clock.now().as_secs_f64();
    if check.report.findings.is_empty() && !stop.asked() {
        done?;
        check.tell()?;
        return Ok(check
            .report
            .exit_code(ExitRules { require_baseline: args.require_baseline, ..ExitRules::default() }));
    }
    // What was found before something went wrong is written too.
    check.tell()?;
    if stop.asked() {
        return Ok(stop.exit_code());
    }
    done?;
    let rules = ExitRules { require_baseline: args.require_baseline, fail_on_inconclusive: args.fail_on_inconclusive };
    Ok(check.report.exit_code(rules))
}

impl Args {
    /// The config's files with what the command line says of older ones.
    fn add_older(&self, config: &mut RegressionConfig) -> Result<()> {
        let files: Vec<_> = config.files.iter().map(GuardedFile::model).collect();
        for (file, older) in config.files.iter_mut().zip(self.older.beside(&files).map_err(Input)?) {
            if let Some(older) = older {
                if !older.is_file() {
                    return Err(Input(format!("{}: found no file, expected an older model", older.display())).into());
                }
                file.baseline = Some(older);
            }
            file.allow.extend(self.allow.iter().cloned());
            if let Some((key, message)) = file.validate().into_iter().next() {
                return Err(Input(format!("--{key}: {message}")).into());
            }
        }
        if self.baseline.is_none() && !self.times_networks() && config.files.iter().all(|f| f.baseline.is_none()) {
            let flags = BaselineFiles::names().into_iter().map(|f| format!("--{f} FILE")).collect::<Vec<_>>();
            let flags = flags.join(", ");
            let message = format!(
                "found nothing to compare with, expected --baseline FILE, --baseline-binary PATH, --baseline-model NAME, {flags}"
            );
            return Err(Input(message).into());
        }
        Ok(())
    }

    /// Whether networks are timed against another build, network or engine.
    fn times_networks(&self) -> bool {
        self.baseline_binary.is_some() || self.baseline_model.is_some() || self.baseline_engine.is_some()
    }
}

/// Two programs that are timed side by side.
struct Pair {
    name: String,
    baseline: WorkerProgram,
    candidate: WorkerProgram,
}

impl Check<'_> {
    fn all(&mut self) -> Result<()> {
        let mut blessed = Default::default();
        if let Some(file) = &self.args.baseline {
            let baseline = match Baseline::read(file).map_err(regression::file)? {
                Some(baseline) => baseline,
                None => {
                    self.report.not_comparable = Some(format!("{}: no such file", file.display()));
                    Baseline::empty()
                }
            };
            self.exact(&baseline)?;
            self.accuracy(&baseline)?;
            blessed = baseline.files.clone();
            if self.args.count {
                self.count(&baseline)?;
            }
            if self.args.stored {
                self.stored(&baseline)?;
            }
        }
        self.files(&blessed)?;
        self.paired()
    }

    /// Files against the baseline's file, or else against older ones.
    fn files(&mut self, blessed: &BTreeMap<String, FileExact>) -> Result<()> {
        for file in self.config.files.clone() {
            let is = regression::file_exact(&self.config, &file.model())?;
            let older = file.older().filter(|o| o.file.is_file());
            let name = file.model().name();
            let found = match (blessed.get(&name), &older) {
                (Some(was), _) => files::compare(&file, None, was, &is),
                (None, Some(older)) => {
                    let was = regression::file_exact(&self.config, older)?;
                    files::compare(&file, Some(&older.file.display().to_string()), &was, &is)
                }
                (None, None) => vec![exact::one_sided(&name, Verdict::New)],
            };
            self.report.findings.extend(found);
        }
        let known = |name: &String| self.config.files.iter().any(|f| f.model().name() == *name);
        let verdict = if self.narrowed { Verdict::Skipped } else { Verdict::Missing };
        let gone = blessed.keys().filter(|name| !known(name)).map(|name| exact::one_sided(name, verdict));
        self.report.findings.extend(gone.collect::<Vec<_>>());
        Ok(())
    }

    fn exact(&mut self, baseline: &Baseline) -> Result<()> {
        let measured = regression::exact(&self.config, self.stop)?;
        for (model, was) in &baseline.exact {
            match measured.iter().find(|(m, _)| m == model) {
                Some((_, is)) => self.report.findings.extend(exact::compare(model, was, is)),
                None => {
                    let verdict = if self.narrowed { Verdict::Skipped } else { Verdict::Missing };
                    self.report.findings.push(exact::one_sided(model, verdict));
                }
            }
        }
        let new = measured.iter().filter(|(m, _)| !baseline.exact.contains_key(m));
        self.report.findings.extend(new.map(|(m, _)| exact::one_sided(m, Verdict::New)));
        Ok(())
    }

    fn accuracy(&mut self, baseline: &Baseline) -> Result<()> {
        for of in &self.config.accuracy {
            let is = accuracy::score(of)?;
            let was = baseline.accuracy.get(&of.model);
            self.report.findings.push(accuracy::compare(&of.model, was, &is, of.tolerance));
        }
        let known = |model: &String| self.config.accuracy.iter().any(|a| a.model == *model);
        let verdict = if self.narrowed { Verdict::Skipped } else { Verdict::Missing };
        for model in baseline.accuracy.keys().filter(|m| !known(m)) {
            let finding = Finding::new(Tier::Exact, model, "top1", verdict);
            let why =
                "The baseline has an accuracy of this network, and this check measures none. Name it in the config.";
            self.report.findings.push(finding.because("not measured", why));
        }
        Ok(())
    }

    fn count(&mut self, baseline: &Baseline) -> Result<()> {
        let engine = &self.config.paired.engine;
        for model in &self.config.paired.models {
            let is = count::instructions(&program(None, model, engine)?)?;
            let was = baseline.instructions.get(&format!("{model} {engine}")).copied();
            self.report.findings.push(count::compare(model, was, is));
        }
        Ok(())
    }

    fn stored(&mut self, baseline: &Baseline) -> Result<()> {
        let Some(was) = &baseline.timed else {
            self.report.not_comparable = Some("the baseline has no times".to_string());
            return Ok(());
        };
        let name = &self.config.paired.engine;
        let engine = engine::named(name).map(|e| format!("{} {}", e.name(), e.version()));
        let skipped = |model: &str, words: &str, why: &str| {
            Finding::new(Tier::Stored, model, "stored_latency_ms", Verdict::Skipped).because(words, why)
        };
        if let Some(why) = stored::incomparable(was, &self.report.host, &engine.unwrap_or_default()) {
            let two = format!("Times of another fingerprint are not comparable. {why}.");
            self.report.findings.extend(was.models.keys().map(|model| skipped(model, "not comparable", &two)));
            self.report.not_comparable = Some(why);
            return Ok(());
        }
        let tier = self.config.stored.clone();
        for (model, was) in &was.models {
            if !self.config.paired.models.contains(model) {
                let why = "The config does not time this network. The baseline has its times.";
                self.report.findings.push(skipped(model, "not timed", why));
                continue;
            }
            let (is, _) = tier.capture().take(&program(None, model, name)?, &|| self.stop.asked())?;
            self.report.findings.push(stored::compare(model, was, &is, tier.threshold / 100.0));
            self.report.samples.push(json!({"tier": "stored", "model": model, "baseline": was, "candidate": is}));
        }
        Ok(())
    }

    /// What is timed side by side: networks where the command line says against what, and files with older ones.
    fn pairs(&self) -> Result<Vec<Pair>> {
        let (args, tier) = (self.args, &self.config.paired);
        let mut all = Vec::new();
        for model in tier.models.iter().filter(|_| args.times_networks()) {
            let against = args.baseline_model.as_ref().unwrap_or(model);
            let engine = args.baseline_engine.as_ref().unwrap_or(&tier.engine);
            let name = match (against == model, *engine == tier.engine) {
                (true, true) => model.clone(),
                (false, true) => format!("{model} against {against}"),
                (true, false) => format!("{model} on {} against {engine}", tier.engine),
                (false, false) => format!("{model} on {} against {against} on {engine}", tier.engine),
            };
            let baseline = program(args.baseline_binary.as_deref(), against, engine)?;
            all.push(Pair { name, baseline, candidate: program(None, model, &tier.engine)? });
        }
        for file in &self.config.files {
            let (model, older) = (file.model(), file.older().filter(|o| o.file.is_file()));
            let name = match &older {
                Some(older) => format!("{} against {}", model.name(), older.file.display()),
                None if args.baseline_binary.is_none() => continue,
                None => model.name(),
            };
            let baseline = file_program(args.baseline_binary.as_deref(), older.as_ref().unwrap_or(&model))?;
            all.push(Pair { name, baseline, candidate: file_program(None, &model)? });
        }
        Ok(all)
    }

    fn paired(&mut self) -> Result<()> {
        let tier = self.config.paired.clone();
        let rule = tier.rule();
        if let Some(device) = &self.args.device {
            let device = config::load_device(device)?;
            let older = self.args.baseline_model.as_deref();
            for (finding, sample) in check_device::paired(&self.config, older, &device, self.stop)? {
                self.report.findings.push(finding);
                self.report.samples.push(sample);
            }
            return Ok(());
        }
        for Pair { name, baseline, candidate } in self.pairs()? {
            let progress = Progress::new("paired");
            progress.begin(rule.looks.last().copied().unwrap_or(0) as u64, 0);
            let stop = || self.stop.asked();
            let mut pairs = ProcessPairs::new(baseline.clone(), candidate.clone(), tier.setup(), &stop);
            let mut look = |rounds: &PairedRounds| {
                progress.at(rounds.sound().count() as u64, &name);
            };
            let seen = rule.compare(&mut pairs, &mut look).map_err(|e| match e {
                MeasureError::Stopped => anyhow!(e),
                other => input(other),
            })?;
            progress.done();
            self.report.findings.push(seen.finding(&name, &rule));
            let sides = json!({"baseline": baseline, "candidate": candidate});
            let samples = json!({"tier": "paired", "pair": name, "sides": sides, "rule": rule, "runs": seen});
            self.report.samples.push(samples);
        }
        Ok(())
    }

    /// Prints and writes everything.
    fn tell(&self) -> Result<()> {
        let report = &self.report;
        if let Some(folder) = &self.args.out {
            output::write(report, folder)?;
        }
        if self.args.github
            && let Some(file) = std::env::var_os("GITHUB_STEP_SUMMARY")
        {
            use std::io::Write as _;
            let mut file = std::fs::File::options().create(true).append(true).open(file)?;
            file.write_all(output::markdown(report).as_bytes())?;
        }
        let mut text = output::table(report);
        if self.args.why {
            text += &format!("\n{}", output::why(report));
        }
        if self.args.github {
            text += &output::annotations(report);
        }
        match out!("{text}") {
            // The verdict is the exit code, whoever reads.
            Err(OutputError::Closed) => Ok(()),
            told => Ok(told?),
        }
    }
}
