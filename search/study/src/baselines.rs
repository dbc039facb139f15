//! Found networks against published ones: timed interleaved, then all trained with the same recipe and several seeds.

use std::sync::Arc;

use mobilenas_reports::study::{NetworkOrigin, StudyNetwork, StudyRow};
use mobilenas_space::Genome;

use crate::Study;
use crate::plan::StudyInterrupt;

impl Study<'_> {
    /// Everything that this part of the study needs and has no row yet.
    pub(super) fn retrain_baselines(&mut self) -> Result<(), StudyInterrupt> {
        let (study, c) = (&self.plan.config.study, &self.plan.experiment().config);
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
        let all = self.plan.experiments.all();
        let mut wanted: Vec<(String, NetworkOrigin, (usize, Genome))> = Vec::new();
        if self.plan.config.study.seeds > 0 {
            let found = self.found_networks()?.into_iter().enumerate();
            wanted.extend(found.map(|(i, genome)| (format!("found {}", i + 1), NetworkOrigin::Found, genome)));
        }
        for (space, p) in all.iter().enumerate() {
            let family = p.space.family();
            // Two spaces of one family may scale a variant differently.
            let alone = all.iter().filter(|other| other.space.family().name() == family.name()).count() == 1;
            let named = p.entry.name.as_ref().filter(|_| !alone);
            for v in family.variants() {
                let Ok(genome) = p.space.variant(v.id) else { continue };
                let name = named.map_or_else(|| v.id.to_string(), |space| format!("{} of {space}", v.id));
                wanted.push((name, NetworkOrigin::Published, (space, genome)));
            }
        }
        let there: Vec<String> = self.compared().into_iter().map(|n| n.name).collect();
        wanted.retain(|(name, ..)| !there.contains(name));
        if wanted.is_empty() {
            return Ok(());
        }
        let lower = |(_, _, (space, genome)): &(String, NetworkOrigin, (usize, Genome))| {
            all[*space].space.lower(genome).map(|graph| (*space, Arc::new(graph)))
        };
        let graphs = wanted.iter().map(lower).collect::<Result<Vec<_>, _>>()?;
        let latencies = self.latencies(&graphs)?;
        for ((name, origin, (space, genome)), latency) in wanted.into_iter().zip(latencies) {
            let row = self.network(name, origin, (space, &genome))?;
            self.folder.append(StudyRow::Network(StudyNetwork { latency: Some(latency), ..row }))?;
        }
        Ok(())
    }
}
