//! The program without its start: a process that has loaded libtorch, and done nothing else yet, forks for each call.
//!
//! A fifth of a second of each start goes into libtorch's tables of operators. This process, which holds the program too,
//! forks before its own `main`, when it has one thread. The fork waits on a socket; for each call it forks again, into the
//! program with the call's words, variables and folder. What is started for itself, killed or sent signals is the
//! program's own file, as is whatever the program starts.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::{OsString, c_int, c_ulong};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Output};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::common::program_file;

unsafe extern "C" {
    fn fork() -> c_int;
    fn _exit(code: c_int) -> !;
    fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn dup2(from: c_int, to: c_int) -> c_int;
    fn prctl(option: c_int, value: c_ulong) -> c_int;
    fn signal(number: c_int, handler: usize) -> usize;
}

const PR_SET_PDEATHSIG: c_int = 1;
const SIGKILL: c_ulong = 9;
const SIGPIPE: c_int = 13;
const SIGCHLD: c_int = 17;
const SIG_DFL: usize = 0;
const SIG_IGN: usize = 1;

/// What is run.
#[derive(Debug, Serialize, Deserialize)]
struct Call {
    words: Vec<String>,
    variables: BTreeMap<String, String>,
    folder: PathBuf,
    program: PathBuf,
    /// Files for standard output and standard error.
    says: [PathBuf; 2],
}

/// Where calls are taken, if they are.
static SOCKET: OnceLock<String> = OnceLock::new();

#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

extern "C" fn before_main() {
    let name = format!("mobilenas-tests-{}", std::process::id());
    let Ok(listener) = SocketAddr::from_abstract_name(&name).and_then(|a| UnixListener::bind_addr(&a)) else { return };
    // SAFETY: nothing has begun a thread yet, so the child has all there is.
    match unsafe { fork() } {
        0 => serve(&listener),
        -1 => {}
        _ => drop(SOCKET.set(name)),
    }
}

/// Forks for each call, until the tests are over.
fn serve(listener: &UnixListener) -> ! {
    // SAFETY: calls of the system with numbers alone. Forks that end are nobody's to wait for.
    unsafe {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGCHLD, SIG_IGN);
    }
    for connection in listener.incoming().map_while(Result::ok) {
        // SAFETY: this process has one thread.
        if unsafe { fork() } == 0 {
            let _ = answer(connection);
            // SAFETY: it only ends the process.
            unsafe { _exit(0) }
        }
    }
    // SAFETY: it only ends the process.
    unsafe { _exit(1) }
}

/// Runs the call in a fork, and answers how that ended.
fn answer(mut connection: UnixStream) -> io::Result<()> {
    let mut text = Vec::new();
    connection.read_to_end(&mut text)?;
    let call: Call = serde_json::from_slice(&text)?;
    let mut status: c_int = 0;
    // SAFETY: as above; the status is read once it was written.
    unsafe {
        signal(SIGCHLD, SIG_DFL);
        match fork() {
            0 => run(call),
            child => waitpid(child, &raw mut status, 0),
        };
    }
    connection.write_all(&status.to_le_bytes())
}

/// Is the program.
fn run(call: Call) -> ! {
    let done = catch_unwind(AssertUnwindSafe(|| {
        let files = [File::open("/dev/null"), File::create(&call.says[0]), File::create(&call.says[1])];
        for (to, file) in files.into_iter().enumerate() {
            let file = file?;
            // SAFETY: calls of the system with numbers alone.
            unsafe { dup2(file.as_raw_fd(), to as c_int) };
        }
        std::env::set_current_dir(&call.folder)?;
        // SAFETY: this process has one thread.
        unsafe {
            std::env::vars_os().for_each(|(name, _)| std::env::remove_var(name));
            call.variables.iter().for_each(|(name, value)| std::env::set_var(name, value));
            signal(SIGPIPE, SIG_IGN);
        }
        mobilenas_host::program::set_file(call.program.clone());
        let words = call.words.iter().map(OsString::from);
        mobilenas::main(std::iter::once(call.program.clone().into()).chain(words).collect());
        #[allow(unreachable_code)]
        io::Result::Ok(())
    }));
    // SAFETY: it only ends the process; a panic has been told.
    unsafe { _exit(if done.is_err() { 101 } else { 127 }) }
}

/// How a command ended that is the program, and what it said; `None` for any other, and where nobody takes calls.
pub fn output(c: &Command) -> Option<Output> {
    let address = SocketAddr::from_abstract_name(SOCKET.get()?).ok()?;
    let program = program_file();
    if c.get_program() != program {
        return None;
    }
    let text = |word: &std::ffi::OsStr| word.to_str().map(str::to_string);
    let words = c.get_args().map(text).collect::<Option<Vec<_>>>()?;
    let mut variables: BTreeMap<String, String> = std::env::vars().collect();
    for (name, value) in c.get_envs() {
        match value {
            Some(value) => variables.insert(text(name)?, text(value)?),
            None => variables.remove(&text(name)?),
        };
    }
    let here = tempfile::tempdir().ok()?;
    let says = ["out", "err"].map(|name| here.path().join(name));
    let folder = c.get_current_dir().map_or_else(std::env::current_dir, |folder| Ok(folder.to_path_buf())).ok()?;
    let call = Call { words, variables, folder, program, says };
    let mut connection = UnixStream::connect_addr(&address).unwrap();
    serde_json::to_writer(&mut connection, &call).unwrap();
    connection.shutdown(std::net::Shutdown::Write).unwrap();
    let mut status = [0; 4];
    connection.read_exact(&mut status).unwrap();
    let [stdout, stderr] = [0, 1].map(|i| std::fs::read(&call.says[i]).unwrap());
    Some(Output { status: ExitStatus::from_raw(i32::from_le_bytes(status)), stdout, stderr })
}
