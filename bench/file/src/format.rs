//! What a format of model files is.

use std::fmt::Debug;

use crate::exact::Facts;
use crate::{FileError, Input, ModelFile, Output};

/// A format of model files, with the library that runs them.
pub trait Format: Sync + Debug {
    /// Its name in configs and records, and on the command line: `--NAME FILE`.
    fn name(&self) -> &'static str;

    /// The flag that names the file to compare with: `--baseline-NAME FILE`.
    fn baseline_flag(&self) -> &'static str;

    /// Its line of help.
    fn help(&self) -> &'static str;

    /// Endings of its files' names, without the dot.
    fn extensions(&self) -> &'static [&'static str];

    /// The library that runs it; in records and tables.
    fn engine(&self) -> &'static str;

    /// The library's version.
    fn version(&self) -> String;

    /// The inputs of a file with their sizes.
    ///
    /// # Errors
    /// When the file cannot be read, or a size is missing or does not fit.
    fn inputs(&self, file: &ModelFile) -> Result<Vec<Input>, FileError>;

    /// What is known about a file without running it.
    ///
    /// # Errors
    /// When the file cannot be read.
    fn facts(&self, file: &ModelFile, inputs: &[Input]) -> Result<Facts, FileError>;

    /// Loads a file, to run it on so many threads with the formula-made values of its inputs.
    ///
    /// # Errors
    /// When the library is not here, or refuses the file.
    fn load(&self, file: &ModelFile, inputs: &[Input], threads: usize) -> Result<Box<dyn Session>, FileError>;
}

/// A loaded file with its inputs.
pub trait Session {
    /// Runs it once.
    ///
    /// # Errors
    /// When the library refuses.
    fn run(&mut self) -> Result<(), FileError>;

    /// Runs it once and gives its outputs.
    ///
    /// # Errors
    /// When the library refuses.
    fn outputs(&mut self) -> Result<Vec<Output>, FileError>;
    /// What the library chose for this file, as place and choice; part of every record.
    fn choices(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}
