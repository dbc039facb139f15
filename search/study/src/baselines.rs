//! Found networks against published ones: timed interleaved, then all trained with the same recipe and several seeds.

use std::sync::Arc;

use mobilenas_reports::study::{NetworkOrigin, StudyNetwork, StudyRow};
use mobilenas_space::Genome;

use crate::Study;
use crate::plan::StudyInterrupt;

impl Study<'_> {
    /// Everything that this part of the study needs and has no row yet.
    pub(super) fn retrain_baselines(&mut self) -> Result<(), StudyInterrupt> {
        let (study, c) = (&self.plan.config.study, &self.plan.experiment.config);
        if study.retrain_seeds == 0 {
            return Ok(());
        }
        self.entrants()?;
        let (epochs, all) = (c.retrain.recipe.epochs, self.compared());
        let seeds = (0..study.retrain_seeds).map(|k| c.seed + k);
        self.retrain(seeds.flat_map(|seed| all.clone().into_iter().map(move |n| (n, epochs, seed))))
    }

    fn compared(&self) -> Vec<StudyNetwork> {
        [NetworkOrigin::Found, NetworkOrigin::Published].into_iter().flat_map(|o| self.networks(o)).collect()
    }

    /// Writes the rows of found and published networks, with their latencies.
    fn entrants(&mut self) -> Result<(), StudyInterrupt> {
        let p = &self.plan.experiment;
        let mut wanted: Vec<(String, NetworkOrigin, Genome)> = Vec::new();
        if self.plan.config.study.seeds > 0 {
            let found = self.found_networks()?.into_iter().enumerate();
            wanted.extend(found.map(|(i, genome)| (format!("found {}", i + 1), NetworkOrigin::Found, genome)));
        }
        let variants = p.space.family().variants().into_iter();
        wanted.extend(
            variants.filter_map(|v| Some((v.id.to_string(), NetworkOrigin::Published, p.space.variant(v.id).ok()?))),
        );
        let there: Vec<String> = self.compared().into_iter().map(|n| n.name).collect();
        wanted.retain(|(name, ..)| !there.contains(name));
        if wanted.is_empty() {
            return Ok(());
        }
        let lower = |(_, _, genome): &(String, NetworkOrigin, Genome)| p.space.lower(genome).map(Arc::new);
        let graphs = wanted.iter().map(lower).collect::<Result<Vec<_>, _>>()?;
        let latencies = self.latencies(&graphs)?;
        for ((name, origin, genome), latency) in wanted.into_iter().zip(latencies) {
            let row = self.network(name, origin, &genome)?;
            self.folder.append(StudyRow::Network(StudyNetwork { latency: Some(latency), ..row }))?;
        }
        Ok(())
    }
}
