//! A device at work: it is asked what it is, gets its files, runs networks, rests when it is hot, and is waited for when it
//! goes away.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use mobilenas_host::Stop;

use crate::link::Link;
use crate::pauses::Pauses;
use crate::process::{Ended, Said, run};
use crate::record::described;
use crate::runner::{Resolved, Runner};
use crate::shell::{filled, here, quoted};
use crate::state::{Condition, Seen};
use crate::{DeviceConfig, DeviceError, DeviceRecord};

/// How long anything but a run may take: a file goes over a slow network, too.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long a check may take.
const CHECK: Duration = Duration::from_secs(30);
/// Between two looks at a device that rests.
const REST: f64 = 10.0;
/// A device that goes away so often during one run dies of it.
const DEATHS: usize = 5;

/// What a session needs of this machine.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// Whether the user asks to stop.
    pub stop: &'a Stop,
    /// Lets time pass; returns early when the user asks to stop.
    pub sleep: &'a dyn Fn(Duration),
    /// Says something beside the progress.
    pub say: &'a dyn Fn(&str),
}

/// Lets time pass, until the user asks to stop.
pub fn rest(time: Duration, stop: &Stop) {
    let step = Duration::from_millis(50);
    let mut left = time;
    while !left.is_zero() && !stop.asked() {
        std::thread::sleep(left.min(step));
        left = left.saturating_sub(step);
    }
}

/// A network's file, which is brought to the device when it is first run there.
#[derive(Debug)]
pub struct Network {
    file: PathBuf,
    shape: String,
    /// The life of the device that has it.
    life: Option<usize>,
}

/// A device at work.
pub struct Session<'a> {
    link: Box<dyn Link>,
    runner: Runner,
    resolved: Resolved,
    around: Surroundings<'a>,
    place: String,
    folder: Option<String>,
    record: DeviceRecord,
    first: Condition,
    seen: Seen,
    /// How often the device came back: its files may be gone then.
    life: usize,
    /// The life that has the shipped files.
    shipped: Option<usize>,
}

impl std::fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("link", &self.link).field("record", &self.record).finish_non_exhaustive()
    }
}

impl<'a> Session<'a> {
    /// Asks the device what it is. One that is not there now is not waited for.
    ///
    /// # Errors
    /// When it is not there, or a command fails.
    pub fn open(config: &DeviceConfig, threads: usize, around: Surroundings<'a>) -> Result<Session<'a>, DeviceError> {
        let (link, runner) = (config.link(), config.runner().clone());
        let resolved = runner.resolve().map_err(|all| DeviceError::Settings {
            message: all.into_iter().map(|(key, m)| format!("{key}: {m}")).collect::<Vec<_>>().join("; "),
        })?;
        let (place, folder) = (link.place(), link.folder());
        let record = DeviceRecord::of(place.clone(), &runner, &resolved, &BTreeMap::new(), threads);
        let (first, seen) = (Condition::default(), Seen::default());
        let mut session =
            Session { link, runner, resolved, around, place, folder, record, first, seen, life: 0, shipped: None };
        if let Some(check) = session.link.check() {
            session.end(check, "a check that the device is there", CHECK)?;
        }
        if let Some(line) = session.link.describe() {
            let told = described(&session.end(session.link.line(&line), &line, CHECK)?.stdout);
            session.record =
                DeviceRecord::of(session.place.clone(), &session.runner, &session.resolved, &told, threads);
        }
        session.first = session.condition()?;
        session.seen.add(&session.first);
        Ok(session)
    }

    /// What is recorded of the device.
    pub fn record(&self) -> &DeviceRecord {
        &self.record
    }

    /// How times are taken, in words.
    pub fn protocol(&self) -> String {
        let r = &self.resolved;
        format!("{} of `{}`, {} s between runs", r.statistic, r.run, self.runner.pause_seconds)
    }

    /// What was seen of the device since the last call.
    pub fn take_seen(&mut self) -> Seen {
        std::mem::take(&mut self.seen)
    }

    /// A network of an ONNX file whose input has this size without the batch, channels first. It is converted here, if the
    /// device takes another format.
    ///
    /// # Errors
    /// When the conversion fails or makes no file.
    pub fn network(&self, onnx: &Path, input: &[u32]) -> Result<Network, DeviceError> {
        // Width, height, channels.
        let sizes: Vec<String> = input.iter().rev().map(u32::to_string).collect();
        let mut file = onnx.to_path_buf();
        if let Some(convert) = &self.runner.convert {
            file.set_extension(&self.resolved.extension);
            let word = |p: &Path| quoted(&p.to_string_lossy());
            let line = filled(&convert.run, &[("onnx", word(onnx)), ("file", word(&file))]);
            self.end(here(&line), &line, Duration::from_secs_f64(convert.timeout_seconds))?;
        }
        fs::metadata(&file).map_err(|source| DeviceError::File { path: file.clone(), source })?;
        Ok(Network { file, shape: format!("[{}]", sizes.join(",")), life: None })
    }

    /// Runs a network once, after the pause; gives the time that the program tells, in ms. A device that goes away is waited
    /// for.
    ///
    /// # Errors
    /// When the program fails or tells no time, the device stays away, or the user asks to stop.
    pub fn time(&mut self, network: &mut Network) -> Result<f64, DeviceError> {
        self.pause(Duration::from_secs_f64(self.runner.pause_seconds))?;
        let line = self.run_line(network);
        let timeout = Duration::from_secs_f64(self.runner.timeout_seconds);
        self.patiently(&line, &mut |s| {
            s.bring(network)?;
            let said = s.end(s.link.line(&line), &line, timeout)?;
            let r = &s.resolved;
            r.read.time(&said.stdout, &said.stderr, r.unit, r.statistic).map_err(|e| DeviceError::Output {
                place: s.place.clone(),
                line: line.clone(),
                found: e.found,
                expected: e.expected,
            })
        })
    }

    /// Waits until the device is cool and as fast as in the beginning, but not for ever: called before each round.
    ///
    /// # Errors
    /// As [`Session::time`].
    pub fn settle(&mut self) -> Result<(), DeviceError> {
        if self.first.is_empty() {
            return Ok(());
        }
        let mut waited = 0.0;
        loop {
            let now = self.patiently("its condition", &mut |s| s.condition())?;
            self.seen.add(&now);
            let Some(why) = now.throttled(&self.first, self.runner.most_celsius) else { return Ok(()) };
            if waited >= self.runner.cool_seconds {
                (self.around.say)(&format!("{}: still {why}; going on", self.place));
                self.seen.throttled += 1;
                return Ok(());
            }
            if waited == 0.0 {
                (self.around.say)(&format!("{}: {why}; resting", self.place));
                self.seen.cooldowns += 1;
            }
            self.pause(Duration::from_secs_f64(REST))?;
            waited += REST;
        }
    }

    /// Removes a network's file from the device.
    pub fn remove(&mut self, network: &Network) {
        if self.folder.is_some() && network.life == Some(self.life) {
            let line = format!("rm -f {}", quoted(&self.there(&network.file)));
            // What stays there does no harm.
            let _ = self.end(self.link.line(&line), &line, CHECK);
        }
    }

    fn run_line(&self, network: &Network) -> String {
        let program = match &self.runner.ship {
            Some(ship) => quoted(&self.there(ship)),
            // Words of the user's own: `taskset f0 ./benchmark_model` is one, too.
            None => self.resolved.program.clone(),
        };
        let line = filled(
            &self.resolved.run,
            &[
                ("program", program),
                ("file", quoted(&self.there(&network.file))),
                ("threads", self.record.threads.to_string()),
                ("shape", quoted(&network.shape)),
                ("args", self.runner.args.clone().unwrap_or_default()),
                ("folder", quoted(self.folder.as_deref().unwrap_or("."))),
            ],
        );
        line.trim_end().to_string()
    }

    /// Where a file of this machine is on the device.
    fn there(&self, file: &Path) -> String {
        match (&self.folder, file.file_name()) {
            (Some(folder), Some(name)) => format!("{folder}/{}", name.to_string_lossy()),
            _ => file.to_string_lossy().into_owned(),
        }
    }

    /// Brings what the device lacks of a network, of the program and of what stands beside.
    fn bring(&mut self, network: &mut Network) -> Result<(), DeviceError> {
        if self.shipped != Some(self.life) {
            if let Some(folder) = &self.folder {
                let line = format!("mkdir -p {}", quoted(folder));
                self.end(self.link.line(&line), &line, CHECK)?;
            }
            for file in self.runner.ship.iter().chain(&self.runner.ship_also) {
                self.push(file)?;
            }
            if let (Some(ship), Some(_)) = (&self.runner.ship, &self.folder) {
                let line = format!("chmod 755 {}", quoted(&self.there(ship)));
                self.end(self.link.line(&line), &line, CHECK)?;
            }
            self.shipped = Some(self.life);
        }
        if network.life != Some(self.life) {
            self.push(&network.file)?;
            network.life = Some(self.life);
        }
        Ok(())
    }

    fn push(&self, file: &Path) -> Result<(), DeviceError> {
        fs::metadata(file).map_err(|source| DeviceError::File { path: file.to_path_buf(), source })?;
        let push = self.folder.as_ref().and_then(|folder| self.link.push(file, folder));
        match push {
            Some(push) => self.end(push, &format!("bringing {} there", file.display()), PATIENCE).map(drop),
            None => Ok(()),
        }
    }

    fn condition(&self) -> Result<Condition, DeviceError> {
        let Some(line) = self.link.condition() else { return Ok(Condition::default()) };
        Ok(Condition::read(&self.end(self.link.line(&line), &line, CHECK)?.stdout))
    }

    /// Runs a command to its end, which has to be a good one.
    fn end(&self, command: Command, line: &str, timeout: Duration) -> Result<Said, DeviceError> {
        let (place, program) = (self.place.clone(), command.get_program().to_string_lossy().into_owned());
        match run(command, timeout, self.around.stop) {
            Err(source) => Err(DeviceError::Start { place, program, source }),
            Ok(Ended::Stopped) => Err(DeviceError::Stopped),
            Ok(Ended::Silent) => {
                Err(DeviceError::Silent { place, line: line.to_string(), seconds: timeout.as_secs_f64() })
            }
            Ok(Ended::Said(said)) if said.code == Some(0) => Ok(said),
            // A signal that stops us reaches what we began, too.
            Ok(Ended::Said(_)) if self.around.stop.asked() => Err(DeviceError::Stopped),
            Ok(Ended::Said(said)) => Err(DeviceError::failed(&place, line, &said)),
        }
    }

    fn pause(&self, time: Duration) -> Result<(), DeviceError> {
        if !time.is_zero() {
            (self.around.sleep)(time);
        }
        if self.around.stop.asked() { Err(DeviceError::Stopped) } else { Ok(()) }
    }

    /// Tries until it succeeds or fails while the device is there.
    fn patiently<T>(
        &mut self,
        line: &str,
        attempt: &mut dyn FnMut(&mut Session<'a>) -> Result<T, DeviceError>,
    ) -> Result<T, DeviceError> {
        let (mut pauses, mut times) = (Pauses::new(self.runner.away_seconds), 0);
        loop {
            let error = match attempt(self) {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if !self.is_away(&error)? {
                return Err(error);
            }
            let last = error.to_string();
            if times == 0 {
                self.seen.disconnects += 1;
            }
            times += 1;
            match self.link.check() {
                Some(_) if times > DEATHS => {
                    let (place, line) = (self.place.clone(), line.to_string());
                    return Err(DeviceError::Dies { place, line, times, last });
                }
                Some(_) => {
                    pauses = Pauses::new(self.runner.away_seconds);
                    self.wait(&mut pauses, &last)?;
                    while !self.there_again()? {
                        self.wait(&mut pauses, &last)?;
                    }
                    (self.around.say)(&format!("{}: the device is back", self.place));
                }
                // Nothing tells but another try.
                None => self.wait(&mut pauses, &last)?,
            }
            self.life += 1;
        }
    }

    fn wait(&self, pauses: &mut Pauses, last: &str) -> Result<(), DeviceError> {
        let place = || self.place.clone();
        let Some(pause) = pauses.next() else {
            return Err(DeviceError::Away { place: place(), seconds: pauses.waited as u64, last: last.to_string() });
        };
        (self.around.say)(&format!("{}: the device is away; looking again in {pause} s ({last})", place()));
        self.pause(Duration::from_secs_f64(pause))
    }

    /// Whether an error means that the device is away, and not that what was run is at fault.
    fn is_away(&self, error: &DeviceError) -> Result<bool, DeviceError> {
        match error {
            DeviceError::Failed { code: Some(code), .. } if self.link.says_away(*code) => Ok(true),
            DeviceError::Failed { .. } | DeviceError::Silent { .. } | DeviceError::Output { .. } => {
                Ok(self.link.check().is_some() && !self.there_again()?)
            }
            DeviceError::Settings { .. }
            | DeviceError::Start { .. }
            | DeviceError::File { .. }
            | DeviceError::Away { .. }
            | DeviceError::Dies { .. }
            | DeviceError::Stopped => Ok(false),
        }
    }

    /// Whether the check succeeds.
    fn there_again(&self) -> Result<bool, DeviceError> {
        let Some(check) = self.link.check() else { return Ok(true) };
        match self.end(check, "a check that the device is there", CHECK) {
            Ok(_) => Ok(true),
            Err(DeviceError::Failed { .. } | DeviceError::Silent { .. }) => Ok(false),
            Err(other) => Err(other),
        }
    }
}
