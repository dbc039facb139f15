//! Reads a study's file, tolerant of what a stopped study leaves behind.

use std::path::Path;

use mobilenas_record::MetricInfo;
use mobilenas_record::run::{Caveat, Done};
use mobilenas_record::study::{
    FILE, FORMAT, InheritedScore, SearchRun, StudyHeader, StudyNetwork, StudyRow, TrainedNetwork,
};

use crate::error::ReportError;
use crate::{journal, metrics};

/// A study. One that is not finished is read like any other.
#[derive(Clone, Debug)]
pub struct Study {
    /// The first line.
    pub header: StudyHeader,
    /// Its networks.
    pub networks: Vec<StudyNetwork>,
    /// Accuracies with inherited weights.
    pub inherited: Vec<InheritedScore>,
    /// Trainings from scratch.
    pub retrained: Vec<TrainedNetwork>,
    /// Searches.
    pub searches: Vec<SearchRun>,
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
    /// If its file cannot be read, has no header, or has an unknown format. Damaged lines become caveats.
    pub fn read(dir: &Path) -> Result<Study, ReportError> {
        let read = journal::rows(dir, FILE, "study", FORMAT, |row| matches!(row, StudyRow::Study(_)))?;
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

    fn take(&mut self, line: usize, row: StudyRow, damage: &mut Vec<String>) {
        match row {
            StudyRow::Study(_) => {}
            StudyRow::Network(n) if self.network(n.id).is_some() => {
                damage.push(format!("{FILE} line {line} repeats network {}: left out", n.id));
            }
            StudyRow::Network(n) => self.networks.push(n),
            StudyRow::Inherited(i) => self.inherited.push(i),
            StudyRow::Retrained(r) => self.retrained.push(r),
            StudyRow::Search(s) => self.searches.push(s),
            StudyRow::Caveat(c) => self.caveats.push(c),
            StudyRow::Done(d) => self.done = Some(d),
        }
    }

    /// The network with this id.
    pub fn network(&self, id: u64) -> Option<&StudyNetwork> {
        self.networks.iter().find(|n| n.id == id)
    }

    /// The metric that ranks networks: on the search-validation split, with inherited weights.
    pub fn accuracy(&self) -> &'static MetricInfo {
        &metrics::judged(&self.header.metric)[0]
    }

    /// The same on the test split, after training from scratch.
    pub fn final_accuracy(&self) -> &'static MetricInfo {
        &metrics::judged(&self.header.metric)[1]
    }

    /// Test accuracies of a network, percent, one a training.
    pub fn test_accuracies(&self, id: u64) -> Vec<f64> {
        let own = self.retrained.iter().filter(|r| r.network == id);
        own.filter_map(|r| r.metric(self.final_accuracy().name)).collect()
    }

    /// Seeds of trainings from scratch, ascending.
    pub fn training_seeds(&self) -> Vec<u64> {
        let mut seeds: Vec<u64> = self.retrained.iter().map(|r| r.seed).collect();
        seeds.sort_unstable();
        seeds.dedup();
        seeds
    }
}
