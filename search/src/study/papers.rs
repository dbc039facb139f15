//! Against the papers' variants: finds and published networks timed in turn, then all trained alike, several seeds each.

use std::sync::Arc;

use mobilenas_reports::study::{Network, Origin, Retrained, Row};
use mobilenas_space::Genome;

use super::{Halt, Study};
use crate::prepare::views::feed;
use crate::run::scratch::{Scratch, Trained};
use crate::seed::{Purpose, number};
use crate::train::Plan;

impl Study<'_> {
    /// Everything that this part of the study needs and has no row yet.
    pub(super) fn against_papers(&mut self) -> Result<(), Halt> {
        let (study, c) = (&self.plan.config.study, &self.plan.prepared.config);
        if study.retrain_seeds == 0 {
            return Ok(());
        }
        self.entrants()?;
        for seed in (0..study.retrain_seeds).map(|k| c.seed + k) {
            for network in self.compared() {
                self.retrain(&network, c.retrain.recipe.epochs, seed)?;
            }
        }
        Ok(())
    }

    fn compared(&self) -> Vec<Network> {
        [Origin::Found, Origin::Published].into_iter().flat_map(|o| self.networks(o)).collect()
    }

    /// Writes the rows of finds and published networks, with their latencies.
    fn entrants(&mut self) -> Result<(), Halt> {
        let p = &self.plan.prepared;
        let mut wanted: Vec<(String, Origin, Genome)> = Vec::new();
        if self.plan.config.study.seeds > 0 {
            let finds = self.finds()?.into_iter().enumerate();
            wanted.extend(finds.map(|(i, genome)| (format!("found {}", i + 1), Origin::Found, genome)));
        }
        let variants = p.space.family().variants().into_iter();
        wanted
            .extend(variants.filter_map(|v| Some((v.id.to_string(), Origin::Published, p.space.variant(v.id).ok()?))));
        let there: Vec<String> = self.compared().into_iter().map(|n| n.name).collect();
        wanted.retain(|(name, ..)| !there.contains(name));
        if wanted.is_empty() {
            return Ok(());
        }
        let lower = |(_, _, genome): &(String, Origin, Genome)| p.space.lower(genome).map(Arc::new);
        let graphs = wanted.iter().map(lower).collect::<Result<Vec<_>, _>>()?;
        let latencies = self.latencies(&graphs)?;
        for ((name, origin, genome), latency) in wanted.into_iter().zip(latencies) {
            let row = self.network(name, origin, &genome)?;
            self.folder.append(Row::Network(Network { latency: Some(latency), ..row }))?;
        }
        Ok(())
    }

    /// Trains a network from scratch and scores it on the test split, unless that is done.
    pub(super) fn retrain(&mut self, network: &Network, epochs: f64, seed: u64) -> Result<(), Halt> {
        let done = |r: &Row| matches!(r, Row::Retrained(r) if r.network == network.id && r.seed == seed);
        if self.folder.rows.iter().any(done) {
            return Ok(());
        }
        if self.stop.asked() {
            return Err(Halt::Stopped);
        }
        let p = &self.plan.prepared;
        let c = &p.config;
        let mut recipe = c.retrain.recipe.clone();
        recipe.epochs = epochs;
        // The very stream that a search with this seed gives its winners.
        let plan_seed = number(seed, Purpose::Weights, 1);
        let plan = Plan { recipe, seed: plan_seed, checkpoint_every: c.checkpoint_seconds };
        let feed = feed(&p.train, &p.split.train, &c.data, &plan.recipe, (c.threads, plan_seed))?;
        let genome = self.genome(network)?;
        let name = format!("training/{}-{seed}", network.id);
        let scratch = Scratch {
            prepared: p,
            genome: &genome,
            graph: Arc::new(p.space.lower(&genome)?),
            plan: &plan,
            feed: &feed,
            checkpoint: self.folder.path(&format!("{name}.checkpoint.safetensors")),
            digest: format!("{}-{}-{seed}", self.plan.digest, network.digest),
            diary: self.folder.path(&format!("{name}.jsonl")),
        };
        let bar = (self.progress)("retrain");
        bar.say(&format!("{}, seed {seed}", network.name));
        let Some(Trained { test_top1, seconds, steps, skipped, .. }) = scratch.train(self.clock, self.stop, &bar)?
        else {
            return Err(Halt::Stopped);
        };
        if skipped > 0 {
            let name = &network.name;
            self.caveat(format!(
                "Training {name} with seed {seed} left out {skipped} of {steps} steps that were not finite."
            ))?;
        }
        let row = Retrained { network: network.id, seed, epochs, test_top1, seconds };
        self.folder.append(Row::Retrained(row))?;
        scratch.forget();
        Ok(())
    }
}
