//! Reads a study's file, tolerant to what a stopped study leaves behind.

use std::path::Path;

use super::{FILE, FORMAT, Header, Inherited, Network, Retrained, Row, Search};
use crate::record::{Caveat, Done};
use crate::{ReportError, journal};

/// A study as read from its folder. One that still goes on is a study like any other.
#[derive(Clone, Debug)]
pub struct Study {
    /// The first line.
    pub header: Header,
    /// Its networks.
    pub networks: Vec<Network>,
    /// Top-1 with inherited weights.
    pub inherited: Vec<Inherited>,
    /// Trainings from scratch.
    pub retrained: Vec<Retrained>,
    /// Searches.
    pub searches: Vec<Search>,
    /// The study's caveats, then one for each line that could not be read.
    pub caveats: Vec<Caveat>,
    /// The end, if the study reached it.
    pub done: Option<Done>,
}

impl Study {
    /// Whether a folder holds a study.
    pub fn is_in(dir: &Path) -> bool {
        dir.join(FILE).is_file()
    }

    /// Reads the study in `dir`.
    ///
    /// # Errors
    /// If its file cannot be read, has no header, or has another format. Damaged lines are caveats, not errors.
    pub fn read(dir: &Path) -> Result<Study, ReportError> {
        let read = journal::rows::<Header, Row>(dir, FILE, "study", FORMAT, |row| matches!(row, Row::Study(_)))?;
        let mut study = Study {
            header: read.header,
            networks: Vec::new(),
            inherited: Vec::new(),
            retrained: Vec::new(),
            searches: Vec::new(),
            caveats: Vec::new(),
            done: None,
        };
        let mut damage = read.damage;
        for (line, row) in read.rows {
            study.take(line, row, &mut damage);
        }
        study.caveats.extend(damage.into_iter().map(|text| Caveat { text }));
        Ok(study)
    }

    fn take(&mut self, line: usize, row: Row, damage: &mut Vec<String>) {
        match row {
            Row::Study(_) => {}
            Row::Network(n) if self.network(n.id).is_some() => {
                damage.push(format!("{FILE} line {line} has network {} once more: left out", n.id));
            }
            Row::Network(n) => self.networks.push(n),
            Row::Inherited(i) => self.inherited.push(i),
            Row::Retrained(r) => self.retrained.push(r),
            Row::Search(s) => self.searches.push(s),
            Row::Caveat(c) => self.caveats.push(c),
            Row::Done(d) => self.done = Some(d),
        }
    }

    /// The network with this id.
    pub fn network(&self, id: u64) -> Option<&Network> {
        self.networks.iter().find(|n| n.id == id)
    }

    /// Test top-1s of a network, percent, one a training.
    pub fn tops(&self, id: u64) -> Vec<f64> {
        let own = self.retrained.iter().filter(|r| r.network == id);
        own.map(|r| r.test_top1).filter(|v| v.is_finite()).collect()
    }
}
