//! A worker that sleeps and answers: for tests of launchers, and for measuring what a coordinator costs.
//!
//! A job is `[SECONDS, NUMBER]`, and its answer the number. With `--leaves-off` it looks every 10 ms whether it is asked to
//! leave off, as trainings do. With `--unpack DIR` it takes the files of a run first, and a while to read them.
#![allow(clippy::print_stderr)]

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use mobilenas_coordinator::{Hello, STOPPED, Serving};

fn main() -> ExitCode {
    let leaves_off = std::env::args().any(|a| a == "--leaves-off");
    let folder = std::env::args().skip_while(|a| a != "--unpack").nth(1);
    let hello = Hello { host: std::env::var("SLURMD_NODENAME").unwrap_or_default(), ..Hello::default() };
    let served = Serving::start(leaves_off).map_err(Into::into).and_then(|serving| {
        if let Some(folder) = &folder {
            serving.unpack(Path::new(folder))?;
            std::thread::sleep(Duration::from_secs(5));
        }
        serving.answer_all(&hello, |(seconds, number): &(f64, u64)| {
            let (begin, whole) = (Instant::now(), Duration::from_secs_f64(*seconds));
            while begin.elapsed() < whole {
                if serving.stop().asked() {
                    return None;
                }
                std::thread::sleep((whole - begin.elapsed()).min(Duration::from_millis(10)));
            }
            Some(Ok(*number))
        })
    });
    match served {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(STOPPED as u8),
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}
