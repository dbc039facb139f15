//! Hard bounds: met before anything is trained or scored, and found out early when nothing meets them.

use mobilenas_space::ir::ShapeError;
use mobilenas_space::{Cost, CostCache, Genome, Space};
use rand::{Rng, RngExt};

/// Upper bounds on what the graph alone tells.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bounds {
    /// Learnable parameters.
    pub params: Option<u64>,
    /// Multiply-accumulates for one image.
    pub macs: Option<u64>,
}

/// A bound that is missed.
#[derive(Clone, Debug, PartialEq)]
pub struct Miss {
    /// The genome that comes nearest.
    pub genome: Genome,
    /// Its cost.
    pub cost: Cost,
}

/// Draws before a genome is mended instead.
const DRAWS: usize = 64;

/// Draws that back up the search for a feasible genome.
const PROBES: usize = 2000;

impl Bounds {
    /// How far a cost exceeds the bounds, each relative to its bound, summed; 0 when all are met.
    pub fn excess(&self, cost: Cost) -> f64 {
        let over = |value: u64, bound: Option<u64>| match bound {
            Some(b) if value > b => value as f64 / b.max(1) as f64 - 1.0,
            _ => 0.0,
        };
        over(cost.params, self.params) + over(cost.macs, self.macs)
    }

    /// The bounds a cost misses, in words; `None` when all are met.
    pub fn missed(&self, cost: Cost) -> Option<String> {
        let mut words = Vec::new();
        for (name, value, bound) in [("params", cost.params, self.params), ("macs", cost.macs, self.macs)] {
            if let Some(b) = bound.filter(|b| value > *b) {
                words.push(format!("{name} {value} above the bound {b}"));
            }
        }
        (!words.is_empty()).then(|| words.join(", "))
    }

    /// A genome that meets the bounds: down from the smallest one knob by knob while that helps, backed up by draws.
    ///
    /// # Errors
    /// The nearest miss, if none was found.
    pub fn anchor(
        &self,
        space: &Space,
        coster: &mut CostCache,
        rng: &mut dyn Rng,
    ) -> Result<Result<Genome, Miss>, ShapeError> {
        let mut best = space.smallest();
        let mut cost = space.cost(&best, coster)?;
        let mut probes = 0;
        while self.excess(cost) > 0.0 && probes < PROBES {
            let from = if probes == 0 { best.clone() } else { space.sample(rng) };
            let (genome, found) = self.descend(space, coster, from)?;
            if self.excess(found) < self.excess(cost) {
                (best, cost) = (genome, found);
            }
            probes += 100;
        }
        Ok(if self.excess(cost) > 0.0 { Err(Miss { genome: best, cost }) } else { Ok(best) })
    }

    /// Changes one knob at a time, to any of its choices, while that lowers the excess.
    fn descend(&self, space: &Space, coster: &mut CostCache, mut at: Genome) -> Result<(Genome, Cost), ShapeError> {
        let mut cost = space.cost(&at, coster)?;
        loop {
            let mut next = None;
            for other in space.domain().neighbours(&at) {
                let found = space.cost(&other, coster)?;
                if self.excess(found) < next.as_ref().map_or(self.excess(cost), |(_, c)| self.excess(*c)) {
                    next = Some((other, found));
                }
            }
            match next {
                Some(better) => (at, cost) = better,
                None => return Ok((at, cost)),
            }
        }
    }

    /// A genome that meets the bounds: the given one, another draw of `redraw`, or, when draws keep missing, the last
    /// one with knobs set to the anchor's, in random order, until it does.
    ///
    /// # Errors
    /// When a genome does not fit.
    pub fn meet(
        &self,
        space: &Space,
        coster: &mut CostCache,
        anchor: &Genome,
        rng: &mut dyn Rng,
        mut redraw: impl FnMut(&mut dyn Rng) -> Genome,
    ) -> Result<Genome, ShapeError> {
        let mut genome = redraw(rng);
        for _ in 0..DRAWS {
            if self.excess(space.cost(&genome, coster)?) <= 0.0 {
                return Ok(genome);
            }
            genome = redraw(rng);
        }
        while self.excess(space.cost(&genome, coster)?) > 0.0 {
            let differing = space.domain().differing(&genome, anchor);
            match differing.len() {
                0 => break,
                n => genome = space.domain().with(&genome, differing[rng.random_range(0..n)], anchor),
            }
        }
        Ok(genome)
    }
}
