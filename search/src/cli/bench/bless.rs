//! `mobilenas bench bless --baseline FILE`: what is so now becomes the baseline.

use std::path::PathBuf;

use anyhow::{Result, bail};
use mobilenas_bench::regression::stored::{Ratios, StoredBaseline};
use mobilenas_bench::regression::{Baseline, Verdict, count, exact, files};
use mobilenas_bench::{Host, calibration};
use mobilenas_host::{Stop, outln};

use super::accuracy;
use super::regression::{self, Which, program};
use mobilenas_pipeline::config::RegressionConfig;

/// Arguments of `bench bless`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The baseline's file; networks in it that are not asked for stay
    #[arg(long, value_name = "FILE")]
    baseline: PathBuf,
    #[command(flatten)]
    which: Which,
    /// Store times too, with this machine's fingerprint; two captures have to agree
    #[arg(long)]
    timed: bool,
    /// Store counts of instructions too; needs valgrind, about two minutes a network
    #[arg(long)]
    count: bool,
    /// Say what would change and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// Two captures of one network have to agree within this fraction.
const AGREE: f64 = 0.05;

/// Writes the baseline.
///
/// # Errors
/// When the config or the file is wrong, a network cannot be measured, or two captures of times do not agree.
pub fn run(args: &Args) -> Result<i32> {
    let stop = Stop::on_signals()?;
    let (config, narrowed) = args.which.load()?;
    let old = Baseline::read(&args.baseline).map_err(regression::file)?;
    let mut new = Baseline::empty();
    if let Some(old) = &old {
        new = Baseline { program: new.program, ..old.clone() };
    }
    let mut said = Vec::new();
    let measured = regression::exact(&config, &stop)?;
    if !narrowed {
        let gone = new.exact.keys().filter(|m| !measured.iter().any(|(n, _)| n == *m));
        said.extend(gone.map(|m| format!("{m}: gone")));
        new.exact.clear();
        let gone = new.files.keys().filter(|n| !config.files.iter().any(|f| f.model().name() == **n));
        said.extend(gone.map(|n| format!("{n}: gone")));
        new.files.clear();
    }
    for (model, is) in measured {
        match old.as_ref().and_then(|b| b.exact.get(&model)) {
            None => said.push(format!("{model}: new")),
            Some(was) => {
                let changed = exact::compare(&model, was, &is)
                    .into_iter()
                    .filter(|f| f.words != "unchanged" || f.verdict != Verdict::Pass);
                said.extend(changed.map(|f| format!("{model}: {}", f.words)));
            }
        }
        new.exact.insert(model, is);
    }
    for file in &config.files {
        let (name, is) = (file.model().name(), regression::file_exact(&config, &file.model())?);
        match old.as_ref().and_then(|b| b.files.get(&name)) {
            None => said.push(format!("{name}: new")),
            Some(was) => {
                let changed = files::compare(file, None, was, &is).into_iter().filter(|f| f.verdict != Verdict::Pass);
                said.extend(changed.map(|f| format!("{name}: {}: {}", f.metric, f.words)));
            }
        }
        new.files.insert(name, is);
    }
    for of in &config.accuracy {
        let is = accuracy::score(of)?;
        let compared = accuracy::compare(&of.model, new.accuracy.get(&of.model), &is, of.tolerance);
        if compared.words != "unchanged" {
            said.push(format!("{}: accuracy: {}", of.model, compared.words));
        }
        new.accuracy.insert(of.model.clone(), is);
    }
    if args.count {
        let engine = &config.paired.engine;
        for model in &config.paired.models {
            let is = count::instructions(&program(None, model, engine)?)?;
            let key = format!("{model} {engine}");
            said.push(format!("{model}: {}", count::compare(model, new.instructions.get(&key).copied(), is).words));
            new.instructions.insert(key, is);
        }
    }
    if args.timed {
        new.timed = times(&config, &mut said, &stop)?;
    }
    for line in &said {
        outln!("{line}")?;
    }
    let files = if new.files.is_empty() { String::new() } else { format!("{} files, ", new.files.len()) };
    let what = format!("{} networks, {files}{} changes", new.exact.len(), said.len());
    if args.dry_run {
        outln!("{what}; nothing written")?;
    } else {
        new.write(&args.baseline)?;
        outln!("{what}; written to {}", args.baseline.display())?;
    }
    Ok(0)
}

/// The times of the networks that the config times.
fn times(config: &RegressionConfig, said: &mut Vec<String>, stop: &Stop) -> Result<Option<StoredBaseline>> {
    let (capture, mut stored) = (config.stored.capture(), None::<StoredBaseline>);
    for model in &config.paired.models {
        let program = program(None, model, &config.paired.engine)?;
        let (first, engine) = capture.take(&program, &|| stop.asked())?;
        let (second, _) = capture.take(&program, &|| stop.asked())?;
        if !Ratios::of(&first, &second).is_some_and(|r| (r.agreed() - 1.0).abs() <= AGREE) {
            bail!("{model}: two captures differ by more than {} %; nothing was written", AGREE * 100.0);
        }
        said.push(format!("{model}: times stored"));
        let all = stored.get_or_insert_with(|| StoredBaseline {
            host: Host::read(),
            engine,
            kernel: calibration::VERSION,
            models: Default::default(),
        });
        all.models.insert(model.clone(), second);
    }
    Ok(stored)
}
