//! The way to a device: commands that run a line there, and bring a file there.

use std::fmt;
use std::path::Path;
use std::process::Command;

/// The way to a device. It only says which commands are to be run on this machine; a [`crate::Session`] runs them.
pub trait Link: fmt::Debug {
    /// The device in messages, such as `ssh pi.local`.
    fn place(&self) -> String;

    /// The command that runs a line of the device's shell.
    fn line(&self, line: &str) -> Command;

    /// The folder on the device for files; none where the device sees this machine's own.
    fn folder(&self) -> Option<String> {
        None
    }

    /// The command that brings a file or folder into the device's folder, under its own name.
    fn push(&self, _from: &Path, _folder: &str) -> Option<Command> {
        None
    }

    /// The command that succeeds if and only if the device is there; none if nothing tells.
    fn check(&self) -> Option<Command>;

    /// Whether this exit code of a line says that the device is away.
    fn says_away(&self, _code: i32) -> bool {
        false
    }

    /// The line that prints what the device is, as [`crate::record::described`] reads it; none if nothing tells.
    fn describe(&self) -> Option<String>;

    /// The line that prints temperature and frequency, as [`crate::state::Condition`] reads it; none if nothing tells.
    fn condition(&self) -> Option<String>;
}
