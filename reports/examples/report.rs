//! `mobilenas report RUN... [--out DIR]` where there is no libtorch: `cargo run -p mobilenas-reports --example report RUN`.
//! With several runs the last argument is the folder to write into.

use std::path::PathBuf;

use mobilenas_reports::study::Study;

fn main() -> Result<(), mobilenas_reports::ReportError> {
    let mut folders: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let out = if folders.len() > 1 { folders.pop() } else { folders.first().cloned() };
    let Some(out) = out else {
        eprintln!("expected the folder of a run, or folders of runs and then the folder to write into");
        std::process::exit(2);
    };
    if let [one] = folders.as_slice()
        && Study::is_in(one)
    {
        let written = mobilenas_reports::render_study(&Study::read(one)?, &out)?;
        println!("study: {}", written.index.display());
        if !one.join(mobilenas_reports::JOURNAL).exists() {
            return Ok(());
        }
    }
    let runs = folders.iter().map(|f| mobilenas_reports::read(f)).collect::<Result<Vec<_>, _>>()?;
    let written = match runs.as_slice() {
        [one] => mobilenas_reports::render(one, &out)?,
        several => mobilenas_reports::compare(several, &out)?,
    };
    println!("report: {}", written.index.display());
    Ok(())
}
