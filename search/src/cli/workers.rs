//! `mobilenas workers RUN [NUMBER]`

use std::path::PathBuf;

use anyhow::Result;
use mobilenas_coordinator::SeatState;
use mobilenas_coordinator::room::{self, Status};
use mobilenas_host::{outln, unix_now};

use super::Input;

/// Arguments of `workers`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of a search or a study that goes on
    run: PathBuf,
    /// How many from now on: `8`, or `+8` more, or `-8` fewer; 0 lets the run wait
    #[arg(allow_hyphen_values = true)]
    number: Option<String>,
}

/// Lists the workers of a run, or changes their number.
///
/// # Errors
/// When no run with workers goes on in the folder, or the number is none.
pub fn run(args: &Args) -> Result<i32> {
    let folder = args.run.display();
    let status = room::status(&args.run).map_err(|e| {
        Input(format!(
            "{folder}: no workers there ({e}), expected the folder of a search or a study that goes on with workers"
        ))
    })?;
    let Some(number) = &args.number else {
        list(&status)?;
        return Ok(0);
    };
    // Several changes one after another add up, before the run has seen the first.
    let before = room::wanted(&args.run).unwrap_or(status.wanted);
    let wanted = changed(before, number)
        .ok_or_else(|| Input(format!("{number}: expected a number of workers, or one with + or - before it, as +8")))?;
    room::want(&args.run, wanted)?;
    outln!("{folder}: {wanted} workers from now on, {before} before")?;
    Ok(0)
}

fn changed(before: usize, number: &str) -> Option<usize> {
    match number.strip_prefix('+') {
        Some(more) => before.checked_add(more.parse().ok()?),
        None => match number.strip_prefix('-') {
            Some(fewer) => Some(before.saturating_sub(fewer.parse().ok()?)),
            None => number.parse().ok(),
        },
    }
}

fn list(status: &Status) -> Result<()> {
    let of = |state: SeatState| status.seats.iter().filter(|s| s.state == state).count();
    outln!(
        "{} workers wanted: {} at work, {} without a job, {} starting, {} ending",
        status.wanted,
        of(SeatState::Busy),
        of(SeatState::Idle),
        of(SeatState::Starting),
        of(SeatState::Ending)
    )?;
    let age = unix_now().saturating_sub(status.at);
    if age > 5 {
        outln!("as of {age} s ago: nothing is asked of them now, or the run has ended")?;
    }
    outln!("{:>6}  {:<20} {:<8} {:>9} {:>9}  last trouble", "worker", "host", "does", "for", "answered")?;
    for (at, seat) in status.seats.iter().enumerate() {
        let does = match seat.state {
            SeatState::Empty => "waits",
            SeatState::Starting => "starts",
            SeatState::Idle => "idle",
            SeatState::Busy => "works",
            SeatState::Ending => "ends",
        };
        let trouble: String = seat.trouble.lines().last().unwrap_or_default().chars().take(80).collect();
        let row =
            format!("{at:>6}  {:<20} {does:<8} {:>7.1} s {:>9}  {trouble}", seat.host, seat.seconds, seat.answered);
        outln!("{}", row.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::changed;

    #[test]
    fn a_number_is_absolute_or_a_difference() {
        assert_eq!([changed(8, "+8"), changed(8, "-3"), changed(8, "5")], [Some(16), Some(5), Some(5)]);
        assert_eq!(
            [changed(8, "-9"), changed(8, "eight"), changed(8, "+-1"), changed(8, "")],
            [Some(0), None, None, None]
        );
    }
}
