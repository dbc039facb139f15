//! The list of what to time on another device: `jobs.csv`, whose empty columns are filled in there and which comes back
//! through [`super::import`], and a file of each network for the device to run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mobilenas_space::ir::{Graph, ShapeError};
use mobilenas_space::{Reachable, Space, cost};

use super::networks::{self, REFERENCE};
use super::row::Subset;
use mobilenas_space::seed::{Purpose, rng};

/// Columns of the list, in order.
pub const COLUMNS: [&str; 12] =
    ["what", "id", "set", "kind", "input", "output", "params", "macs", "genome", "file", "median_ms", "count"];
/// A column that may be added.
pub const SPREAD: &str = "spread";

/// Name of the list in its folder.
pub const LIST: &str = "jobs.csv";

/// What kind of thing a line of the list is.
pub mod what {
    /// A distinct block.
    pub const BLOCK: &str = "block";
    /// A whole network.
    pub const NET: &str = "net";
    /// The reference network.
    pub const REFERENCE: &str = "reference";
}

/// Writes a network as a file that a device runs.
pub type Export<'a> = &'a dyn Fn(&Graph, &Path) -> io::Result<()>;

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Distinct blocks.
    pub blocks: usize,
    /// Whether those are all of the space.
    pub whole: bool,
    /// Whole networks, beside the reference.
    pub nets: usize,
}

/// A list that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum JobsError {
    /// The disk.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The architecture.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The reference network is gone.
    #[error("the reference network is not among the families")]
    Reference,
}

/// Writes `jobs.csv` and, with an exporter, a file for each line, into a folder.
///
/// # Errors
/// When the disk refuses.
pub fn write(
    space: &Space,
    folder: &Path,
    counts: [usize; 2],
    most: usize,
    seed: u64,
    export: Option<(Export<'_>, &str)>,
) -> Result<Written, JobsError> {
    let reachable = Reachable::of(space, most, &mut rng(seed, Purpose::Timing, 0, 0))?;
    let chosen = networks::choose(space, &reachable, counts, &mut rng(seed, Purpose::Timing, 1, 0))?;
    let (reference, _) = networks::reference().ok_or(JobsError::Reference)?;
    let list = folder.join(LIST);
    let io = |path: &Path| {
        let path = path.to_path_buf();
        move |error| JobsError::Io { path, error }
    };
    fs::create_dir_all(folder).map_err(io(folder))?;
    let mut out = csv::Writer::from_path(&list).map_err(|e| io(&list)(e.into()))?;
    out.write_record(COLUMNS).map_err(|e| io(&list)(e.into()))?;
    let mut line = |what: &str, id: &str, set: &str, genome: &str, graph: &Graph| {
        let mut file = String::new();
        if let Some((export, ending)) = export {
            file = format!("{id}.{ending}");
            let path = folder.join(&file);
            export(graph, &path).map_err(io(&path))?;
        }
        let (cost, kind) = (cost::graph(graph), graph.blocks.first().map_or("", |b| b.kind));
        let kind = if what == what::BLOCK { kind } else { "" };
        let input = graph.inputs().map(|v| format!("1x{v}")).collect::<Vec<_>>().join(" + ");
        let output = format!("1x{}", graph.output_value());
        let (params, macs) = (cost.params.to_string(), cost.macs.to_string());
        let fields = [what, id, set, kind, &input, &output, &params, &macs, genome, &file, "", ""];
        out.write_record(fields).map_err(|e| io(&list)(e.into()))
    };
    line(what::REFERENCE, REFERENCE, "", "", &reference)?;
    for (key, graph) in reachable.blocks() {
        line(what::BLOCK, key, "", "", graph)?;
    }
    for c in &chosen {
        let set = if c.set == Subset::Fit { "fit" } else { "validation" };
        let genome = serde_json::to_string(&c.genome).map_err(|e| io(&list)(e.into()))?;
        line(what::NET, &c.digest, set, &genome, &c.graph)?;
    }
    out.flush().map_err(io(&list))?;
    Ok(Written { blocks: reachable.blocks().len(), whole: reachable.complete, nets: chosen.len() })
}
