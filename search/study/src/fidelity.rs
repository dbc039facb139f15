//! Rank fidelity: networks drawn over the space, their accuracy with inherited weights, and after a training of their own.

use std::ops::Range;
use std::sync::Arc;

use mobilenas_reports::study::{Condition, InheritedScore, NetworkOrigin, StudyNetwork, StudyRow};
use mobilenas_space::{Genome, cost, memory};

use crate::plan::StudyInterrupt;
use crate::scorer::Wanted;
use crate::{Study, sample};
use mobilenas_pipeline::experiment::Experiment;
use mobilenas_pipeline::pipeline::RunError;

impl Study<'_> {
    /// The row of a network that has no row yet.
    pub(super) fn network(
        &self,
        name: String,
        origin: NetworkOrigin,
        (space, genome): (usize, &Genome),
    ) -> Result<StudyNetwork, RunError> {
        let Experiment { space, entry, .. } = &self.plan.experiments.all()[space];
        let graph = space.lower(genome)?;
        let (cost, known) =
            (cost::graph(&graph), self.folder.rows.iter().filter(|r| matches!(r, StudyRow::Network(_))));
        Ok(StudyNetwork {
            id: known.count() as u64,
            name,
            origin,
            space: entry.name.clone(),
            genome: space.values(genome),
            digest: graph.digest(),
            params: cost.params,
            macs: cost.macs,
            memory: Some(memory(&graph).bytes()),
            latency: None,
        })
    }

    /// The drawn networks and their accuracy with inherited weights, under each rule, recalibrated or not.
    pub(super) fn inherited(&mut self) -> Result<(), StudyInterrupt> {
        let (p, study) = (self.plan.experiment(), &self.plan.config.study);
        if study.subnets == 0 {
            return Ok(());
        }
        let mut number = 0;
        for (space, p) in self.plan.experiments.all().iter().enumerate() {
            let (genomes, name) = (sample::spread(p, study.subnets)?, &p.entry.name);
            let there = self.networks(NetworkOrigin::Drawn).iter().filter(|n| n.space == *name).count();
            for (i, genome) in genomes.iter().enumerate().skip(there) {
                let row = self.network(format!("drawn {}", number + i + 1), NetworkOrigin::Drawn, (space, genome))?;
                self.folder.append(StudyRow::Network(row))?;
            }
            number += genomes.len();
            if genomes.len() < study.subnets {
                let (n, of) = (genomes.len(), name.as_ref().map_or_else(String::new, |name| format!(" {name}")));
                self.caveat(format!("The space{of} gave no more than {n} different networks to draw."))?;
            }
        }
        let networks = self.networks(NetworkOrigin::Drawn);
        let bar = (self.progress)("inherited");
        let (total, mut at) = (2 * networks.len() * study.rules.len(), 0);
        bar.begin(total as u64, 0);
        let (mut scorer, first) = (self.scorer(), p.task.metrics()[0]);
        for (rule, by) in study.rules.iter().enumerate() {
            for recalibrated in [true, false] {
                let condition = Condition { rule: by.rule.name().to_string(), recalibrated, finetune_steps: 0 };
                let of = |r: &StudyRow| match r {
                    StudyRow::Inherited(i) if i.condition == condition => Some(i.network),
                    _ => None,
                };
                let there: Vec<u64> = self.folder.rows.iter().filter_map(of).collect();
                let left: Vec<&StudyNetwork> = networks.iter().filter(|n| !there.contains(&n.id)).collect();
                at += networks.len() - left.len();
                let wanted: Vec<Wanted> = left.iter().map(|n| self.wanted(n)).collect::<Result<_, _>>()?;
                scorer.score((rule, recalibrated), &wanted, |i, _, metrics| {
                    at += 1;
                    let value = metrics.get(first.name).copied().unwrap_or(f64::NAN);
                    self.folder.append(StudyRow::Inherited(InheritedScore {
                        network: left[i].id,
                        condition: condition.clone(),
                        seconds: None,
                        metrics,
                    }))?;
                    bar.at(at as u64, &format!("{condition}: {value:.1} {}", first.unit));
                    Ok(())
                })?;
            }
        }
        bar.done();
        Ok(())
    }

    fn wanted(&self, network: &StudyNetwork) -> Result<Wanted, RunError> {
        let space = self.position(network)?;
        let graph = Arc::new(self.plan.experiments.all()[space].space.lower(&self.genome(network)?)?);
        Ok(Wanted { space, name: network.name.clone(), genome: network.genome.clone(), graph })
    }

    /// Trains the drawn networks, each by itself, with some of their seeds: all networks with one before any with the next.
    pub(super) fn retrain_drawn(&mut self, seeds: Range<u64>) -> Result<(), StudyInterrupt> {
        let c = &self.plan.experiment().config;
        let study = &self.plan.config.study;
        let (epochs, drawn) =
            (study.subnet_epochs.unwrap_or(c.retrain.recipe.epochs), self.networks(NetworkOrigin::Drawn));
        let seeds = seeds.map(|k| c.seed + k);
        self.retrain(seeds.flat_map(|seed| drawn.clone().into_iter().map(move |n| (n, epochs, seed))))
    }
}
