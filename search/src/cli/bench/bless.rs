//! `mobilenas bench bless --baseline FILE`: what is so now becomes the baseline.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use mobilenas_bench::Host;
use mobilenas_bench::gate::baseline::Baseline;
use mobilenas_bench::gate::finding::Verdict;
use mobilenas_bench::gate::stored::{Capture, Ratios, Stored};
use mobilenas_bench::gate::{count, exact, kernel};

use super::accuracy;
use super::gate::{self, Which, input, side};
use crate::config::GateConfig;
use mobilenas_host::Stop;
use mobilenas_host::outln;

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
/// When the config or the file is wrong, or two captures of times do not agree.
pub fn run(args: &Args) -> Result<i32> {
    let stop = Stop::on_signals()?;
    let (config, narrowed) = args.which.load()?;
    let old = Baseline::read(&args.baseline).map_err(input)?;
    let mut new = Baseline::empty();
    if let Some(old) = &old {
        new = Baseline { program: new.program, ..old.clone() };
    }
    let mut said = Vec::new();
    let measured = gate::exact(&config, &stop)?;
    if !narrowed {
        let gone = new.exact.keys().filter(|m| !measured.iter().any(|(n, _)| n == *m));
        said.extend(gone.map(|m| format!("{m}: gone")));
        new.exact.clear();
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
    for of in &config.accuracy {
        let is = accuracy::score(of)?;
        let compared = accuracy::compare(&of.model, new.accuracy.get(&of.model), &is, of.tolerance);
        if compared.words != "unchanged" {
            said.push(format!("{}: accuracy: {}", of.model, compared.words));
        }
        new.accuracy.insert(of.model.clone(), is);
    }
    extras(args, &config, &mut new, &mut said, &stop)?;
    if !args.dry_run {
        new.write(&args.baseline).map_err(input)?;
    }
    said.iter().try_for_each(|line| outln!("{line}"))?;
    let what = format!("{} networks, {} changes", new.exact.len(), said.len());
    match args.dry_run {
        true => outln!("{what}; nothing written")?,
        false => outln!("{what}; written to {}", args.baseline.display())?,
    }
    Ok(0)
}

/// Counts and times, where they were asked for.
fn extras(args: &Args, config: &GateConfig, new: &mut Baseline, said: &mut Vec<String>, stop: &Stop) -> Result<()> {
    let engine = &config.paired.engine;
    if args.count {
        for model in &config.paired.models {
            let is = count::instructions(&side(None, model, engine)?)?;
            let key = format!("{model} {engine}");
            said.push(format!("{model}: {}", count::compare(model, new.instructions.get(&key).copied(), is).words));
            new.instructions.insert(key, is);
        }
    }
    if args.timed {
        let capture = Capture { processes: config.stored.processes, calls: config.stored.calls, ..Capture::default() };
        let mut stored: Option<Stored> = None;
        for model in &config.paired.models {
            let side = side(None, model, engine)?;
            let ((first, engine), (second, _)) =
                (capture.take(&side, &|| stop.asked())?, capture.take(&side, &|| stop.asked())?);
            let agree = Ratios::of(&first, &second).is_some_and(|r| (r.agreed() - 1.0).abs() <= AGREE);
            if !agree {
                return Err(anyhow!(
                    "{model}: two captures differ by more than {} %; nothing was written",
                    AGREE * 100.0
                ));
            }
            said.push(format!("{model}: times stored"));
            let all = stored.get_or_insert_with(|| Stored {
                host: Host::read(),
                engine,
                kernel: kernel::VERSION,
                models: Default::default(),
            });
            all.models.insert(model.clone(), second);
        }
        new.timed = stored;
    }
    Ok(())
}
