//! A measuring process from the asking side of its pipes.

use std::time::Duration;

use mobilenas_host::Worker;
use serde::de::DeserializeOwned;

use super::workload::WorkerProgram;
use super::{CallTime, CallTimes, InterleavedJob, InterleavedTimes, MeasureError, MemoryUse, PROTOCOL, Ready};

/// One that takes longer than this for an answer hangs.
const PATIENCE: Duration = Duration::from_secs(180);
/// The same where it prepares a network, which some engines convert first.
const PREPARING: Duration = Duration::from_secs(900);
/// What each network of a job adds.
const EACH: Duration = Duration::from_secs(60);

/// A running measuring process; ended when it is dropped.
#[derive(Debug)]
pub struct Client {
    worker: Worker,
    program: String,
}

impl Client {
    /// Starts a process; it is not ready yet.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(program: &WorkerProgram) -> Result<Client, MeasureError> {
        let name = program.program.display().to_string();
        Ok(Client { worker: Worker::start(program.command())?, program: name })
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// When it ends, hangs, or speaks another protocol.
    pub fn ready(&mut self) -> Result<Ready, MeasureError> {
        let ready: Ready = self.worker.answer(Some(PREPARING), "a worker's first line")?;
        if ready.protocol != PROTOCOL {
            return Err(MeasureError::Protocol { program: self.program.clone(), found: ready.protocol });
        }
        Ok(ready)
    }

    fn ask<A: DeserializeOwned>(&mut self, request: &str) -> Result<A, MeasureError> {
        Ok(self.worker.ask(request, Some(PATIENCE), "a time")?)
    }

    /// Times one call.
    ///
    /// # Errors
    /// When it ends, hangs, or gives another answer; as for all requests.
    pub fn call(&mut self) -> Result<CallTime, MeasureError> {
        self.ask("call")
    }

    /// Times calls one after the other.
    ///
    /// # Errors
    /// As for [`Client::call`].
    pub fn window(&mut self, calls: usize) -> Result<CallTimes, MeasureError> {
        self.ask(&format!("window {calls}"))
    }

    /// Milliseconds of the calibration kernel.
    ///
    /// # Errors
    /// As for [`Client::call`].
    pub fn kernel_ms(&mut self) -> Result<f64, MeasureError> {
        Ok(self.ask::<CallTime>("kernel")?.ms)
    }

    /// Its memory.
    ///
    /// # Errors
    /// As for [`Client::call`].
    pub fn memory(&mut self) -> Result<MemoryUse, MeasureError> {
        self.ask("memory")
    }

    /// Moves it to one core.
    ///
    /// # Errors
    /// As for [`Client::call`].
    pub fn pin(&mut self, core: usize) -> Result<(), MeasureError> {
        self.ask::<CallTime>(&format!("pin {core}")).map(drop)
    }

    /// Times networks interleaved with its own.
    ///
    /// # Errors
    /// As for [`Client::call`].
    pub fn interleave(&mut self, job: &InterleavedJob) -> Result<InterleavedTimes, MeasureError> {
        // A job is names and numbers: making text of it cannot fail.
        let request = format!("block {}", serde_json::to_string(job).unwrap_or_default());
        let patience = PATIENCE + EACH * job.designs.len() as u32;
        Ok(self.worker.ask(&request, Some(patience), "times")?)
    }
}
