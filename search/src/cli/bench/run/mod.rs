//! `mobilenas bench run [CONFIG]`: networks x engines x threads x batches, measured one by one.

mod device;
mod files;

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use mobilenas_bench::Host;
use mobilenas_bench::process::{MeasureError, WorkerProgram};
use mobilenas_bench::profile::output::{self, ProfileTable};
use mobilenas_bench::profile::record::{ProfileOutcome, ProfileReport, ProfileRow, SCHEMA};
use mobilenas_bench::profile::{ProfileCase, measure};

use super::regression::{file, file_input, file_program, input, program};
use crate::cli::{Input, networks};
use mobilenas_file::{FileError, FileFlags, Format, ModelFile};
use mobilenas_host::{Lock, Progress, Stop, errln, outln};
use mobilenas_pipeline::config::{self, BenchConfig, Found};

/// Arguments of `bench run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is measured and how, a YAML file
    #[arg(value_name = "CONFIG", required_unless_present_any = without_config())]
    config: Option<PathBuf>,
    /// Only these published networks
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    models: Option<Vec<String>>,
    /// Only these networks that runs found: RUN/winners/N.yaml; beside `--models`, if both are given
    #[arg(long, value_name = "FILE,..", value_delimiter = ',')]
    genomes: Option<Vec<PathBuf>>,
    #[command(flatten)]
    files: FileFlags,
    /// Only these engines
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    engines: Option<Vec<String>>,
    /// A YAML file with the device that runs the networks, instead of engines on this machine
    #[arg(long, value_name = "FILE", conflicts_with = "engines")]
    device: Option<PathBuf>,
    /// Numbers of threads
    #[arg(long, value_name = "N,..", value_delimiter = ',')]
    threads: Option<Vec<usize>>,
    /// Numbers of images in a batch
    #[arg(long, value_name = "N,..", value_delimiter = ',')]
    batch: Option<Vec<usize>>,
    /// Folder for JSON, CSV, Parquet, Markdown and the model zoo
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on in the folder, with what is not measured there yet
    #[arg(long, requires = "out")]
    resume: bool,
    /// Print one JSON object with everything instead of the table
    #[arg(long)]
    json: bool,
}

/// What can be measured without a config.
fn without_config() -> Vec<&'static str> {
    [vec!["models", "genomes"], FileFlags::names()].concat()
}

/// Measures.
///
/// # Errors
/// When the input is wrong, or a file cannot be written. A case that fails is a row.
pub fn run(args: &Args) -> Result<i32> {
    let config = args.load()?;
    if let Some(on) = &config.device {
        let to = device::Destination { out: args.out.as_ref(), resume: args.resume, json: args.json };
        return device::run(&config, on, &to);
    }
    let stop = Stop::on_signals()?;
    let cases = cases(&config)?;
    let lock = |folder: &PathBuf| Lock::folder(folder, "mobilenas bench run");
    let _lock = args.out.as_ref().map(lock).transpose().map_err(|e| Input(e.to_string()))?;
    let mut report = args.begin(&config)?;
    let table = ProfileTable::new(&cases.iter().map(|(c, _)| c.clone()).collect::<Vec<_>>());
    let progress = Progress::new("bench");
    let left = cases.iter().filter(|(c, _)| !report.rows.iter().any(|r| r.case == *c)).count();
    progress.begin(cases.len() as u64, (cases.len() - left) as u64);
    // The table is the result of a run that writes nothing else; to others it is progress.
    let print = |line: String| -> Result<()> {
        if args.json {
            progress.aside(|| errln!("{line}"));
            return Ok(());
        }
        let mut told = Ok(());
        progress.aside(|| told = outln!("{line}"));
        if args.out.is_some() { Ok(()) } else { Ok(told?) }
    };
    print(table.head())?;
    report.rows.iter().try_for_each(|r| print(table.row(r)))?;
    let (rules, host) = (report.rules.clone(), report.host.clone());
    for (at, (case, program)) in cases.iter().enumerate() {
        if report.rows.iter().any(|r| r.case == *case) {
            continue;
        }
        progress.at(at as u64, &case.to_string());
        let mut each = |all: &[_]| progress.at(at as u64, &format!("{case}, {} processes", all.len()));
        let record = match measure(case, program, &rules, &host, &|| stop.asked(), &mut each) {
            Err(MeasureError::Stopped) => break,
            other => other.map_err(input)?,
        };
        print(table.row(&record))?;
        report.rows.push(record);
        if let Some(folder) = &args.out {
            output::write(&report, folder)?;
        }
    }
    progress.done();
    if let Some(folder) = &args.out {
        files::write(&report, folder)?;
    }
    if args.json {
        outln!("{}", serde_json::to_string(&report)?)?;
    }
    errln!("{}", in_words(&report, cases.len()));
    if stop.asked() {
        return Ok(stop.exit_code());
    }
    let failed = |r: &ProfileRow| matches!(r.outcome, ProfileOutcome::Failed { .. });
    // A network that an engine does not have is no mistake; a file that does not run is.
    let file = |r: &ProfileRow| config.files.iter().any(|f| f.name() == r.case.model);
    let failed = report.rows.iter().all(failed) || report.rows.iter().any(|r| failed(r) && file(r));
    Ok(i32::from(failed))
}

impl Args {
    /// The config, with what the command line says instead.
    fn load(&self) -> Result<BenchConfig> {
        let mut config = match &self.config {
            Some(file) => config::load_bench(file)?,
            None => BenchConfig { engines: vec!["libtorch".to_string()], ..BenchConfig::default() },
        };
        if self.models.is_some() || self.genomes.is_some() || self.files.any() {
            config.models = Some(self.models.clone().unwrap_or_default());
            config.found = self.genomes.iter().flatten().cloned().map(Found::new).collect();
            config.files = self.files.files();
        } else {
            config.files = config.files.into_iter().map(|f| self.files.complete(f)).collect();
        }
        if let Some(file) = &self.device {
            config.device = Some(config::load_device(file)?);
            config.engines = BenchConfig::default().engines;
        }
        if let Some(engines) = &self.engines {
            config.engines.clone_from(engines);
        }
        for (name, given, of, most) in
            [("--threads", &self.threads, &mut config.threads, 256), ("--batch", &self.batch, &mut config.batch, 4096)]
        {
            let Some(given) = given else { continue };
            if let Some(n) = given.iter().find(|n| !(1..=most).contains(*n)) {
                return Err(Input(format!("{name}: found {n}, expected a whole number of 1 to {most}")).into());
            }
            of.clone_from(given);
        }
        // A config that was read has none left: these are the command line's.
        match config.validate().into_iter().next() {
            None => Ok(config),
            Some((path, message)) => {
                let key = path.first().map_or("", String::as_str);
                let key = match key {
                    "found" => "genomes",
                    "files" => path.last().map_or("", String::as_str),
                    other => other,
                };
                Err(Input(format!("--{key}: {message}")).into())
            }
        }
    }

    /// The report so far: empty, or that of the folder with the rows that have numbers.
    fn begin(&self, config: &BenchConfig) -> Result<ProfileReport> {
        let rules = config.rules();
        let report = ProfileReport {
            schema: SCHEMA,
            program: concat!("mobilenas ", env!("CARGO_PKG_VERSION")).to_string(),
            host: Host::read(),
            protocol: rules.to_string(),
            rules,
            rows: Vec::new(),
        };
        let Some(folder) = &self.out else { return Ok(report) };
        let refuse = |message: String| anyhow!(Input(format!("{}: {message}", folder.display())));
        match output::read(folder).map_err(file)? {
            None => Ok(report),
            Some(_) if !self.resume => Err(refuse(
                "holds measurements, expected a new folder; --resume goes on with those that are there".into(),
            )),
            Some(old) => match differences(&old, &report) {
                Some(what) => Err(refuse(format!("holds measurements by another {what}, expected a new folder"))),
                // What failed is tried again.
                None => Ok(ProfileReport {
                    rows: old.rows.into_iter().filter(|r| r.measured().is_some()).collect(),
                    ..report
                }),
            },
        }
    }
}

/// Why rows of two reports must not stand in one table; `None` if they may.
fn differences(old: &ProfileReport, new: &ProfileReport) -> Option<String> {
    if old.rules != new.rules {
        return Some(format!("protocol ({})", old.protocol));
    }
    let mut all = new.host.differences(&old.host);
    if old.host.engines != new.host.engines {
        all.push(format!("engines {} -> {}", old.host.engines.join(", "), new.host.engines.join(", ")));
    }
    if old.program != new.program {
        all.push(format!("program {} -> {}", old.program, new.program));
    }
    (!all.is_empty()).then(|| format!("machine or program ({})", all.join(", ")))
}

/// All cases in the order of the table, with the process that runs each.
fn cases(config: &BenchConfig) -> Result<Vec<(ProfileCase, WorkerProgram)>> {
    let mut networks = Vec::new();
    for model in config.models() {
        networks.push((model, None));
    }
    for found in &config.found {
        let space = networks::one_network(&found.genome, config::load_genome(&found.genome, found.classes, None)?)?;
        let design = space.config_of(&space.smallest());
        networks.push((found.name(), Some(serde_json::to_string(&design)?)));
    }
    let mut all = Vec::new();
    for (model, design) in networks {
        for engine in &config.engines {
            let mut program = program(None, &model, engine)?;
            program.workload.design.clone_from(&design);
            for &threads in &config.threads {
                for &batch in &config.batch {
                    let case = ProfileCase { model: model.clone(), engine: engine.clone(), threads, batch };
                    all.push((case, program.clone()));
                }
            }
        }
    }
    for file in &config.files {
        let (format, batch) = read(file).map_err(file_input)?;
        let program = file_program(None, file)?;
        for &threads in &config.threads {
            let case = ProfileCase { model: file.name(), engine: format.engine().to_string(), threads, batch };
            all.push((case, program.clone()));
        }
    }
    Ok(all)
}

/// Reads a file before anything is measured; also gives the first size of its first input, which is its batch.
fn read(file: &ModelFile) -> Result<(&'static dyn Format, usize), FileError> {
    let format = file.format()?;
    let inputs = format.inputs(file)?;
    format.facts(file, &inputs)?;
    let batch = inputs.first().filter(|i| i.dims.len() > 1).and_then(|i| usize::try_from(i.dims[0]).ok());
    Ok((format, batch.unwrap_or(1).max(1)))
}

/// One line on how it went.
fn in_words(report: &ProfileReport, wanted: usize) -> String {
    let of = |status: &str| report.rows.iter().filter(|r: &&ProfileRow| r.status() == status).count();
    let (good, doubtful, failed) = (of("measured"), of("unreliable"), of("failed"));
    let left = wanted.saturating_sub(report.rows.len());
    let mut line = format!("{good} measured, {doubtful} unreliable, {failed} failed");
    if left > 0 {
        line += &format!(", {left} not measured");
    }
    line
}
