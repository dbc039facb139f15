//! Standard output and standard error without the panics of `println!` and `eprintln!`.

use std::fmt;
use std::io::{self, ErrorKind, Write as _};

/// Why standard output takes no more.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Its reader has gone away, as `head` does. Nobody wants the rest; that is no failure.
    #[error("standard output was closed")]
    Closed,
    /// It cannot be written, as on a full disk.
    #[error("standard output: {0}")]
    Failed(io::Error),
}

impl From<io::Error> for OutputError {
    fn from(e: io::Error) -> OutputError {
        if e.kind() == ErrorKind::BrokenPipe { OutputError::Closed } else { OutputError::Failed(e) }
    }
}

/// Writes to standard output and flushes it; the macros [`out!`](crate::out) and [`outln!`](crate::outln) call it.
///
/// # Errors
/// When it is closed or cannot be written.
pub fn to_stdout(text: fmt::Arguments<'_>) -> Result<(), OutputError> {
    let mut out = io::stdout().lock();
    Ok(out.write_fmt(text).and_then(|()| out.flush())?)
}

/// Writes to standard error; the macro [`errln!`](crate::errln) calls it. What cannot be written there can be told nowhere:
/// a search does not end because nobody reads its progress.
pub fn to_stderr(text: fmt::Arguments<'_>) {
    // In one piece, so that lines of several processes do not mix.
    let _ = io::stderr().lock().write_all(text.to_string().as_bytes());
}

/// `print!` that gives an [`OutputError`] instead of panicking.
#[macro_export]
macro_rules! out {
    ($($arg:tt)*) => { $crate::output::to_stdout(::std::format_args!($($arg)*)) };
}

/// `println!` that gives an [`OutputError`] instead of panicking.
#[macro_export]
macro_rules! outln {
    ($($arg:tt)*) => { $crate::output::to_stdout(::std::format_args!("{}\n", ::std::format_args!($($arg)*))) };
}

/// `eprintln!` that does nothing where standard error cannot be written.
#[macro_export]
macro_rules! errln {
    ($($arg:tt)*) => { $crate::output::to_stderr(::std::format_args!("{}\n", ::std::format_args!($($arg)*))) };
}
