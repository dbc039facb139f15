//! A search space and its genomes, whatever the family.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use rand::Rng;
use smallvec::SmallVec;

use crate::blocks::make_divisible;
use crate::cost::{Cost, CostCache};
use crate::domain::{Domain, Genome};
use crate::families::{self, FAMILIES, Family, KnobKind, Template};
use crate::ir::{Graph, Plan, ShapeError};

/// The knob that every family has: the side of the image in pixels.
pub const RESOLUTION: &str = "resolution";

/// The configuration of a search space.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SpaceConfig {
    /// Name of the family.
    pub family: String,
    /// Width multiplier on the published networks.
    pub width: f64,
    /// Scaled widths are rounded to multiples of this.
    pub divisor: u32,
    /// The choices of each knob. A knob that is left out has those of the family's published space, scaled.
    pub knobs: BTreeMap<String, Vec<i64>>,
    /// Number of classes.
    pub classes: u32,
}

/// A mistake in the configuration of a space.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: found {found}, expected {expected}", at.join("."))]
pub struct SpaceError {
    /// Place below `space`: `family`, `knobs.stages.2.width`.
    pub at: Vec<String>,
    /// What was found there.
    pub found: String,
    /// What was expected.
    pub expected: String,
    /// The closest valid name, if a name is wrong.
    pub nearest: Option<String>,
}

impl SpaceError {
    fn new(at: &[&str], found: impl Into<String>, expected: impl Into<String>) -> SpaceError {
        let at = at.iter().map(ToString::to_string).collect();
        SpaceError { at, found: found.into(), expected: expected.into(), nearest: None }
    }

    fn nearest<'a>(mut self, name: &str, valid: impl Iterator<Item = &'a str>) -> SpaceError {
        self.nearest = valid
            .map(|v| (strsim::damerau_levenshtein(name, v), v))
            .min()
            .filter(|(distance, v)| *distance <= v.len().max(name.len()).div_ceil(2))
            .map(|(_, v)| v.to_string());
        self
    }
}

/// A knob of a space.
#[derive(Clone, Debug, PartialEq)]
pub struct SpaceKnob {
    /// Its name.
    pub name: String,
    /// What its number means.
    pub kind: KnobKind,
    /// Its choices, from the smallest network to the largest.
    pub choices: Vec<u32>,
}

/// A search space: a family and the choices of its knobs.
pub struct Space {
    family: &'static dyn Family,
    template: Box<dyn Template>,
    knobs: Vec<SpaceKnob>,
    domain: Domain,
    classes: u32,
    width: f64,
    divisor: u32,
    change: Option<Arc<PlanChange>>,
}

/// What makes another network of a network: gives it a head, say.
pub type PlanChange = dyn Fn(Plan) -> Result<Plan, ShapeError> + Send + Sync;

impl fmt::Debug for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Space").field("family", &self.family.name()).field("knobs", &self.knobs).finish()
    }
}

/// The value of a published network under the width multiplier, if it counts channels.
fn scaled(kind: KnobKind, value: u32, width: f64, divisor: u32) -> u32 {
    match kind {
        KnobKind::Width if value > 0 && width != 1.0 => make_divisible(f64::from(value) * width, divisor),
        _ => value,
    }
}

impl Space {
    /// Checks a whole configuration.
    ///
    /// # Errors
    /// All mistakes, each with its place.
    pub fn new(config: &SpaceConfig) -> Result<Space, Vec<SpaceError>> {
        let Some(family) = families::family(&config.family) else {
            let names: Vec<&str> = FAMILIES.iter().map(|f| f.name()).collect();
            let e = SpaceError::new(&["family"], config.family.clone(), format!("one of {}", names.join(", ")));
            return Err(vec![e.nearest(&config.family, names.into_iter())]);
        };
        let variants = family.variants();
        let template = variants.first().and_then(|v| family.template(v.id));
        let Some(template) = template else {
            return Err(vec![SpaceError::new(&["family"], config.family.clone(), "a family with a published network")]);
        };
        let mut resolutions: Vec<u32> = variants.iter().map(|v| v.resolution).collect();
        resolutions.dedup();
        let mut knobs =
            vec![SpaceKnob { name: RESOLUTION.to_string(), kind: KnobKind::Resolution, choices: resolutions }];
        for k in template.knobs() {
            let choices = k.choices.iter().map(|&v| scaled(k.kind, v, config.width, config.divisor)).collect();
            knobs.push(SpaceKnob { name: k.name, kind: k.kind, choices });
        }
        let mut errors = Vec::new();
        for (name, choices) in &config.knobs {
            match knobs.iter_mut().find(|k| &k.name == name) {
                Some(knob) => knob.choices = checked(knob, choices, &mut errors),
                None => {
                    let e =
                        SpaceError::new(&["knobs", name], "an unknown knob", format!("a knob of {}", family.name()));
                    errors.push(e.nearest(name, knobs.iter().map(|k| k.name.as_str())));
                }
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        for k in &mut knobs {
            k.choices.sort_unstable();
            k.choices.dedup();
            if !k.kind.grows() {
                k.choices.reverse();
            }
        }
        let domain = Domain::new(knobs.iter().map(|k| k.choices.len() as u8));
        let (classes, width, divisor) = (config.classes, config.width, config.divisor);
        let space = Space { family, template, knobs, domain, classes, width, divisor, change: None };
        match space.plan(&space.smallest()).and_then(|p| p.lower()).and(space.plan(&space.largest())) {
            Ok(plan) => plan.lower().map(|_| space).map_err(|e| vec![unbuildable(&e)]),
            Err(e) => Err(vec![unbuildable(&e)]),
        }
    }

    /// The same space, all of whose networks are changed alike.
    ///
    /// # Errors
    /// When the smallest or the largest network cannot be changed so.
    pub fn with_change(mut self, change: Arc<PlanChange>) -> Result<Space, ShapeError> {
        self.change = Some(change);
        self.lower(&self.smallest())?;
        self.lower(&self.largest())?;
        Ok(self)
    }

    /// The family.
    pub fn family(&self) -> &'static dyn Family {
        self.family
    }

    /// The knobs, in the order of a genome's choices.
    pub fn knobs(&self) -> &[SpaceKnob] {
        &self.knobs
    }

    /// Number of classes.
    pub fn classes(&self) -> u32 {
        self.classes
    }

    /// The number of choices of each knob.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Number of genomes; exact up to 2^53.
    pub fn size(&self) -> f64 {
        self.domain.size()
    }

    /// Each knob at the choice of the smallest network.
    pub fn smallest(&self) -> Genome {
        self.domain.smallest()
    }

    /// Each knob at the choice of the largest network, which holds the weights of all others.
    pub fn largest(&self) -> Genome {
        self.domain.largest()
    }

    /// A genome drawn uniformly.
    pub fn sample(&self, rng: &mut dyn Rng) -> Genome {
        self.domain.sample(rng)
    }

    /// The value of each knob.
    pub fn values(&self, genome: &Genome) -> BTreeMap<String, i64> {
        let pair = |(k, &c): (&SpaceKnob, &u8)| (k.name.clone(), i64::from(k.choices[usize::from(c)]));
        self.knobs.iter().zip(&genome.0).map(pair).collect()
    }

    /// The configuration of a space with this genome alone, which rebuilds its network anywhere.
    pub fn config_of(&self, genome: &Genome) -> SpaceConfig {
        SpaceConfig {
            family: self.family.name().to_string(),
            width: self.width,
            divisor: self.divisor,
            knobs: self.values(genome).into_iter().map(|(name, value)| (name, vec![value])).collect(),
            classes: self.classes,
        }
    }

    /// The genome with the given values. Only a knob with a single choice may be left out.
    ///
    /// # Errors
    /// The first knob whose value is missing, unknown or not a choice.
    pub fn genome(&self, values: &BTreeMap<String, i64>) -> Result<Genome, SpaceError> {
        if let Some(name) = values.keys().find(|n| !self.knobs.iter().any(|k| &k.name == *n)) {
            let e = SpaceError::new(&[name], "an unknown knob", format!("a knob of {}", self.family.name()));
            return Err(e.nearest(name, self.knobs.iter().map(|k| k.name.as_str())));
        }
        let choice = |k: &SpaceKnob| {
            let expected = || format!("one of {:?}", k.choices);
            match values.get(&k.name) {
                None if k.choices.len() == 1 => Ok(0),
                None => Err(SpaceError::new(&[&k.name], "nothing", expected())),
                Some(v) => k
                    .choices
                    .iter()
                    .position(|c| i64::from(*c) == *v)
                    .map(|i| i as u8)
                    .ok_or_else(|| SpaceError::new(&[&k.name], v.to_string(), expected())),
            }
        };
        self.knobs.iter().map(choice).collect::<Result<_, _>>().map(Genome)
    }

    /// A published variant as a genome of the space: scaled like the space, with every knob that has a single choice at that
    /// choice, at the largest resolution of the space.
    ///
    /// # Errors
    /// The first knob whose value the space does not offer, or an unknown id.
    pub fn variant(&self, id: &str) -> Result<Genome, SpaceError> {
        let unknown = || SpaceError::new(&[id], "an unknown variant", format!("a variant of {}", self.family.name()));
        let template = self.family.template(id).ok_or_else(unknown)?;
        let published = template.values();
        let mut values = BTreeMap::new();
        for (k, v) in self.knobs.iter().skip(1).zip(published) {
            let value = if k.choices.len() == 1 { k.choices[0] } else { scaled(k.kind, v, self.width, self.divisor) };
            values.insert(k.name.clone(), i64::from(value));
        }
        let resolution = self.knobs[0].choices.iter().max().copied().unwrap_or_default();
        values.insert(RESOLUTION.to_string(), i64::from(resolution));
        self.genome(&values)
    }

    /// The network of a genome as a chain of blocks.
    ///
    /// # Errors
    /// When the choices do not fit each other.
    pub fn plan(&self, genome: &Genome) -> Result<Plan, ShapeError> {
        let mut values = genome.0.iter().zip(&self.knobs).map(|(&c, k)| k.choices[usize::from(c)]);
        let resolution = values.next().unwrap_or_default();
        let rest: SmallVec<[u32; 40]> = values.collect();
        self.changed(self.template.plan(&rest, resolution, self.classes)?)
    }

    /// The network of a genome, lowered to operations.
    ///
    /// # Errors
    /// When the choices do not fit each other.
    pub fn lower(&self, genome: &Genome) -> Result<Graph, ShapeError> {
        self.plan(genome)?.lower()
    }

    /// The network of a genome at another resolution than its own: the same tensors, apart from tables of attention biases.
    ///
    /// # Errors
    /// When the choices do not fit each other.
    pub fn lower_at(&self, genome: &Genome, resolution: u32) -> Result<Graph, ShapeError> {
        self.plan_at(genome, resolution)?.lower()
    }

    /// The chain of blocks of a genome at another resolution than its own.
    ///
    /// # Errors
    /// When the choices do not fit each other.
    pub fn plan_at(&self, genome: &Genome, resolution: u32) -> Result<Plan, ShapeError> {
        let values = genome.0.iter().zip(&self.knobs).map(|(&c, k)| k.choices[usize::from(c)]);
        let rest: SmallVec<[u32; 40]> = values.skip(1).collect();
        self.changed(self.template.plan(&rest, resolution, self.classes)?)
    }

    fn changed(&self, plan: Plan) -> Result<Plan, ShapeError> {
        match &self.change {
            Some(change) => change(plan),
            None => Ok(plan),
        }
    }

    /// Cost of a genome.
    ///
    /// # Errors
    /// When the choices do not fit each other.
    pub fn cost(&self, genome: &Genome, cache: &mut CostCache) -> Result<Cost, ShapeError> {
        cache.cost(&self.plan(genome)?)
    }
}

fn unbuildable(e: &ShapeError) -> SpaceError {
    SpaceError::new(&["knobs"], format!("choices that do not form a network ({e})"), "other choices")
}

/// The configured choices of a knob, each within the range of its kind; 0 only where a published network has it.
fn checked(knob: &SpaceKnob, choices: &[i64], errors: &mut Vec<SpaceError>) -> Vec<u32> {
    let at = ["knobs", &knob.name];
    let (least, most) = (u32::from(!knob.choices.contains(&0)), knob.kind.max());
    let mut out = Vec::new();
    for &c in choices {
        match u32::try_from(c) {
            Ok(v) if out.contains(&v) => errors.push(SpaceError::new(&at, format!("{c} twice"), "distinct choices")),
            Ok(v) if (least..=most).contains(&v) => out.push(v),
            _ => {
                let expected = format!("a {} of {least} to {most}", knob.kind.name());
                errors.push(SpaceError::new(&at, c.to_string(), expected));
            }
        }
    }
    if choices.is_empty() || choices.len() > 200 {
        let found = format!("{} choices", choices.len());
        errors.push(SpaceError::new(&at, found, "1 to 200 choices"));
    }
    out
}
