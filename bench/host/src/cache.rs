//! Scores kept for other runs: a subnet of the very same weights, scored by the very same protocol, is looked up.
//!
//! One file for each pair of weights and protocol. A line holds a graph's digest and what was found out, after a
//! checksum of the rest; lines are only appended, each by one write, and a damaged one is passed over.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Scores of the subnets of one supernet, by one protocol.
#[derive(Debug, Default)]
pub struct Cache {
    known: HashMap<String, BTreeMap<String, f64>>,
    file: Option<File>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    graph: String,
    values: BTreeMap<String, f64>,
}

impl Cache {
    /// Nothing is known, and nothing is kept.
    pub fn none() -> Cache {
        Cache::default()
    }

    /// Opens the scores in a folder, which is made if need be.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn open(folder: &Path, weights: &str, protocol: &str) -> io::Result<Cache> {
        fs::create_dir_all(folder)?;
        let path = folder.join(format!("{weights}-{protocol}.scores"));
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
        let bytes = fs::read(&path)?;
        let mut known: HashMap<String, BTreeMap<String, f64>> = HashMap::new();
        for line in bytes.split(|b| *b == b'\n').filter_map(sound) {
            known.entry(line.graph).or_default().extend(line.values);
        }
        // A write that was cut off must not damage the next one.
        if bytes.last().is_some_and(|b| *b != b'\n') {
            file.write_all(b"\n")?;
        }
        Ok(Cache { known, file: Some(file) })
    }

    /// A metric of a graph, if it is known.
    pub fn get(&self, graph: &str, metric: &str) -> Option<f64> {
        self.known.get(graph)?.get(metric).copied()
    }

    /// Keeps metrics of a graph.
    ///
    /// # Errors
    /// When the disk refuses; nothing is kept from then on.
    pub fn put(&mut self, graph: &str, values: BTreeMap<String, f64>) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let line = Line { graph: graph.to_string(), values };
        let json = serde_json::to_string(&line)?;
        let text = format!("{}{json}\n", head(json.as_bytes()));
        if let Err(e) = file.write_all(text.as_bytes()) {
            self.file = None;
            return Err(e);
        }
        self.known.entry(line.graph).or_default().extend(line.values);
        Ok(())
    }
}

/// What stands before the rest of a line: its checksum and a space.
fn head(json: &[u8]) -> String {
    format!("{:08x} ", crc32c::crc32c(json))
}

/// A line whose checksum agrees.
fn sound(line: &[u8]) -> Option<Line> {
    let (sum, json) = line.split_at_checked(9)?;
    (sum == head(json).as_bytes()).then(|| serde_json::from_slice(json).ok())?
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn top1(v: f64) -> BTreeMap<String, f64> {
        BTreeMap::from([("top1".to_string(), v)])
    }

    #[test]
    fn what_was_kept_comes_back_for_the_same_weights_and_protocol_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mut cache = Cache::open(dir.path(), "w", "p").unwrap();
        assert_eq!(cache.get("a", "top1"), None);
        cache.put("a", top1(0.1 + 0.2)).unwrap();
        cache.put("a", BTreeMap::from([("nwot".to_string(), -3.5)])).unwrap();
        for cache in [cache, Cache::open(dir.path(), "w", "p").unwrap()] {
            assert_eq!((cache.get("a", "top1"), cache.get("a", "nwot")), (Some(0.1 + 0.2), Some(-3.5)));
            assert_eq!((cache.get("b", "top1"), cache.get("a", "synflow")), (None, None));
        }
        for (weights, protocol) in [("v", "p"), ("w", "q")] {
            assert_eq!(Cache::open(dir.path(), weights, protocol).unwrap().get("a", "top1"), None);
        }
        let mut none = Cache::none();
        none.put("a", top1(1.0)).unwrap();
        assert_eq!(none.get("a", "top1"), None);
    }

    #[test]
    fn a_damaged_line_is_passed_over_wherever_it_was_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let mut cache = Cache::open(dir.path(), "w", "p").unwrap();
        ["a", "b", "c"].iter().zip(1i8..).for_each(|(g, v)| cache.put(g, top1(v.into())).unwrap());
        let path = dir.path().join("w-p.scores");
        let whole = fs::read(&path).unwrap();
        let length = whole.len() / 3;
        for at in length..2 * length - 1 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&path, &bytes).unwrap();
            let cache = Cache::open(dir.path(), "w", "p").unwrap();
            let found = ["a", "b", "c"].map(|g| cache.get(g, "top1"));
            assert_eq!(found, [Some(1.0), None, Some(3.0)], "byte {at}");
        }
        for cut in 2 * length + 1..3 * length {
            fs::write(&path, &whole[..cut]).unwrap();
            let mut cache = Cache::open(dir.path(), "w", "p").unwrap();
            cache.put("d", top1(4.0)).unwrap();
            let cache = Cache::open(dir.path(), "w", "p").unwrap();
            assert_eq!(
                ["a", "b", "d"].map(|g| cache.get(g, "top1")),
                [Some(1.0), Some(2.0), Some(4.0)],
                "cut at {cut}"
            );
        }
    }
}
