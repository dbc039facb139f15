//! A search space and its genomes, whatever the family.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use rand::Rng;
use smallvec::SmallVec;

use crate::blocks::make_divisible;
use crate::change::{ChangeError, ChangeKnob, PlanChange};
use crate::cost::{Cost, CostCache};
use crate::domain::{Domain, Genome};
use crate::families::{self, FAMILIES, Family, KnobKind, Template};
use crate::ir::{Graph, Plan, ShapeError};
use crate::space_error::{SpaceError, UNKNOWN_KNOB};

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
    change: Option<Change>,
}

/// What changes all networks of a space, and the place of each of its knobs among the space's, if it is there.
struct Change {
    by: Arc<dyn PlanChange>,
    knobs: Vec<(ChangeKnob, Option<usize>)>,
}

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
        Space::built(config, None)
    }

    /// The space of a configuration, all of whose networks are changed alike. It may name knobs of the change.
    ///
    /// # Errors
    /// All mistakes of the configuration, or else why its smallest or largest network cannot be changed so.
    pub fn changed(config: &SpaceConfig, change: Arc<dyn PlanChange>) -> Result<Space, ChangeError> {
        let mut space = Space::built(config, Some(change.as_ref())).map_err(ChangeError::Space)?;
        let place = |k: &ChangeKnob| space.knobs.iter().position(|own| own.name == k.name);
        let knobs = change.knobs().into_iter().map(|k| (place(&k), k)).map(|(at, k)| (k, at)).collect();
        space.change = Some(Change { by: change, knobs });
        for genome in [space.smallest(), space.largest()] {
            space.lower(&genome).map_err(ChangeError::Unfit)?;
        }
        let idle = space.idle(config).map_err(ChangeError::Unfit)?;
        if idle.is_empty() { Ok(space) } else { Err(ChangeError::Space(idle)) }
    }

    fn built(config: &SpaceConfig, change: Option<&dyn PlanChange>) -> Result<Space, Vec<SpaceError>> {
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
        let more = change.map(|c| (c.name(), c.knobs()));
        let (mut errors, mut of_change) = (Vec::new(), Vec::new());
        for k in more.iter().flat_map(|(_, more)| more) {
            let Some(choices) = config.knobs.get(&k.name) else { continue };
            let knob = SpaceKnob { name: k.name.clone(), kind: k.kind, choices: vec![k.own] };
            of_change.push(SpaceKnob { choices: checked(&knob, k.among, choices, &mut errors), ..knob });
        }
        for (name, choices) in config.knobs.iter().filter(|(name, _)| !of_change.iter().any(|k| &k.name == *name)) {
            match knobs.iter_mut().find(|k| &k.name == name) {
                Some(knob) => knob.choices = checked(knob, &[], choices, &mut errors),
                None => {
                    let others = more.iter().map(|(name, more)| {
                        let names: Vec<&str> = more.iter().map(|k| k.name.as_str()).collect();
                        format!(" or of {name}: {}", names.join(", "))
                    });
                    let expected = format!("a knob of {}{}", family.name(), others.collect::<String>());
                    let all = knobs.iter().map(|k| &k.name).chain(more.iter().flat_map(|m| &m.1).map(|k| &k.name));
                    let e = SpaceError::new(&["knobs", name], UNKNOWN_KNOB, expected);
                    errors.push(e.nearest(name, all.map(String::as_str)));
                }
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        knobs.append(&mut of_change);
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

    /// Knobs for which the configuration asks for several choices, and the change leaves no difference between them: knobs of
    /// a classifier, say, that a head replaces.
    fn idle(&self, config: &SpaceConfig) -> Result<Vec<SpaceError>, ShapeError> {
        let Some(change) = &self.change else { return Ok(Vec::new()) };
        let mut all = Vec::new();
        'knobs: for (i, k) in self.knobs.iter().enumerate() {
            if k.choices.len() < 2 || !config.knobs.contains_key(&k.name) {
                continue;
            }
            for base in [self.largest(), self.smallest()] {
                let digest = self.lower(&base)?.digest();
                for other in self.domain.others(&base, i) {
                    if self.lower(&other).map_or(true, |g| g.digest() != digest) {
                        continue 'knobs;
                    }
                }
            }
            let names: Vec<&str> = change.knobs.iter().map(|(k, _)| k.name.as_str()).collect();
            let by = change.by.name();
            let expected = format!("one, as they make no difference with {by}, whose knobs are {}", names.join(", "));
            all.push(SpaceError::new(&["knobs", &k.name], "several choices", expected));
        }
        Ok(all)
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
            let e = SpaceError::new(&[name], UNKNOWN_KNOB, format!("a knob of {}", self.family.name()));
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
        // Knobs of a change come last.
        for (k, v) in self.knobs.iter().skip(1).zip(published) {
            let value = if k.choices.len() == 1 { k.choices[0] } else { scaled(k.kind, v, self.width, self.divisor) };
            values.insert(k.name.clone(), i64::from(value));
        }
        let resolution = self.knobs[0].choices.iter().max().copied().unwrap_or_default();
        values.insert(RESOLUTION.to_string(), i64::from(resolution));
        self.genome(&self.completed(values))
    }

    /// Values with those of the change's knobs where they are missing: what a network without such a knob has or, where that
    /// is no choice, the largest network's.
    pub fn completed(&self, mut values: BTreeMap<String, i64>) -> BTreeMap<String, i64> {
        for (k, at) in self.change.iter().flat_map(|c| &c.knobs) {
            let Some(choices) = at.map(|i| &self.knobs[i].choices) else { continue };
            let value = choices.iter().find(|c| **c == k.own).or(choices.last()).copied().unwrap_or(k.own);
            values.entry(k.name.clone()).or_insert(i64::from(value));
        }
        values
    }

    /// What changes its networks, if anything does.
    pub fn change(&self) -> Option<&Arc<dyn PlanChange>> {
        self.change.as_ref().map(|c| &c.by)
    }

    /// The network of a genome as a chain of blocks.
    ///
    /// # Errors
    /// When the choices do not fit each other.
    pub fn plan(&self, genome: &Genome) -> Result<Plan, ShapeError> {
        self.plan_at(genome, self.value(genome, 0))
    }

    fn value(&self, genome: &Genome, knob: usize) -> u32 {
        self.knobs[knob].choices[usize::from(genome.0[knob])]
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
        let values: SmallVec<[u32; 40]> = (1..self.knobs.len()).map(|i| self.value(genome, i)).collect();
        // Of knobs of a change, which come last, a template knows nothing.
        let plan = self.template.plan(&values, resolution, self.classes)?;
        let Some(Change { by, knobs }) = &self.change else { return Ok(plan) };
        let values: SmallVec<[_; 4]> = knobs.iter().map(|(_, at)| at.map(|i| self.value(genome, i))).collect();
        by.apply(plan, &values)
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

/// The configured choices of a knob, each among those that there are or, where none are listed, within the range of its kind; 0
/// only where a published network has it.
fn checked(knob: &SpaceKnob, among: &[u32], choices: &[i64], errors: &mut Vec<SpaceError>) -> Vec<u32> {
    let at = ["knobs", &knob.name];
    let (least, most) = (u32::from(!knob.choices.contains(&0)), knob.kind.max());
    let mut out = Vec::new();
    for &c in choices {
        match u32::try_from(c) {
            Ok(v) if out.contains(&v) => errors.push(SpaceError::new(&at, format!("{c} twice"), "distinct choices")),
            Ok(v) if among.contains(&v) || (among.is_empty() && (least..=most).contains(&v)) => out.push(v),
            _ => {
                let expected = match among {
                    [] => format!("a {} of {least} to {most}", knob.kind.name()),
                    some => format!("one of {some:?}"),
                };
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
