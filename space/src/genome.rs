//! A space of networks and its points. Knows no family.

use std::collections::BTreeMap;
use std::fmt;

use rand::Rng;
use smallvec::SmallVec;

use crate::blocks::make_divisible;
use crate::cost::{Cost, Coster};
use crate::domain::{Domain, Genome};
use crate::families::{self, FAMILIES, Family, Kind, Template};
use crate::ir::{Graph, Plan, ShapeError};

/// Name of the knob that every family has: the side of the image in pixels.
pub const RESOLUTION: &str = "resolution";

/// What a config says of a space.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Design {
    /// Name of the family.
    pub family: String,
    /// Factor on every width of the published networks.
    pub width: f64,
    /// Scaled widths are rounded to multiples of it.
    pub divisor: u32,
    /// Knob to choices. A knob left out has the choices of the family's published space, scaled.
    pub knobs: BTreeMap<String, Vec<i64>>,
    /// Number of classes.
    pub classes: u32,
}

/// Why a design is no space. `at` is the place in the config, below `space`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: found {found}, expected {expected}", at.join("."))]
pub struct DesignError {
    /// Place below `space`: `family`, `knobs.stages.2.width`.
    pub at: Vec<String>,
    /// What stands there.
    pub found: String,
    /// What may stand there.
    pub expected: String,
    /// The nearest valid name, if a name is wrong.
    pub nearest: Option<String>,
}

impl DesignError {
    fn new(at: &[&str], found: impl Into<String>, expected: impl Into<String>) -> DesignError {
        let at = at.iter().map(ToString::to_string).collect();
        DesignError { at, found: found.into(), expected: expected.into(), nearest: None }
    }

    fn nearest<'a>(mut self, name: &str, valid: impl Iterator<Item = &'a str>) -> DesignError {
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
    pub kind: Kind,
    /// Its choices, from the smallest network to the largest.
    pub choices: Vec<u32>,
}

/// A family and what may vary.
pub struct Space {
    family: &'static dyn Family,
    template: Box<dyn Template>,
    knobs: Vec<SpaceKnob>,
    domain: Domain,
    classes: u32,
    width: f64,
    divisor: u32,
}

impl fmt::Debug for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Space").field("family", &self.family.name()).field("knobs", &self.knobs).finish()
    }
}

/// Scales a value of a published network if it counts channels.
fn scaled(kind: Kind, value: u32, width: f64, divisor: u32) -> u32 {
    match kind {
        Kind::Width if value > 0 && width != 1.0 => make_divisible(f64::from(value) * width, divisor),
        _ => value,
    }
}

impl Space {
    /// Checks a design, all of it.
    ///
    /// # Errors
    /// Every mistake found, each with its place.
    pub fn new(design: &Design) -> Result<Space, Vec<DesignError>> {
        let Some(family) = families::family(&design.family) else {
            let names: Vec<&str> = FAMILIES.iter().map(|f| f.name()).collect();
            let e = DesignError::new(&["family"], design.family.clone(), format!("one of {}", names.join(", ")));
            return Err(vec![e.nearest(&design.family, names.into_iter())]);
        };
        let variants = family.variants();
        let template = variants.first().and_then(|v| family.template(v.id));
        let Some(template) = template else {
            return Err(vec![DesignError::new(
                &["family"],
                design.family.clone(),
                "a family with a published network",
            )]);
        };
        let mut native: Vec<u32> = variants.iter().map(|v| v.resolution).collect();
        native.dedup();
        let mut knobs = vec![SpaceKnob { name: RESOLUTION.to_string(), kind: Kind::Resolution, choices: native }];
        for k in template.knobs() {
            let choices = k.choices.iter().map(|&v| scaled(k.kind, v, design.width, design.divisor)).collect();
            knobs.push(SpaceKnob { name: k.name, kind: k.kind, choices });
        }
        let mut errors = Vec::new();
        for (name, choices) in &design.knobs {
            match knobs.iter_mut().find(|k| &k.name == name) {
                Some(knob) => knob.choices = checked(knob, choices, &mut errors),
                None => {
                    let e =
                        DesignError::new(&["knobs", name], "an unknown knob", format!("a knob of {}", family.name()));
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
        let (classes, width, divisor) = (design.classes, design.width, design.divisor);
        let space = Space { family, template, knobs, domain, classes, width, divisor };
        match space.plan(&space.smallest()).and_then(|p| p.lower()).and(space.plan(&space.largest())) {
            Ok(plan) => plan.lower().map(|_| space).map_err(|e| vec![unbuildable(&e)]),
            Err(e) => Err(vec![unbuildable(&e)]),
        }
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

    /// How many choices each knob has.
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

    /// Each knob at the choice of the largest network: it holds the weights of all.
    pub fn largest(&self) -> Genome {
        self.domain.largest()
    }

    /// A genome drawn evenly.
    pub fn sample(&self, rng: &mut dyn Rng) -> Genome {
        self.domain.sample(rng)
    }

    /// The value of each knob.
    pub fn values(&self, genome: &Genome) -> BTreeMap<String, i64> {
        let pair = |(k, &c): (&SpaceKnob, &u8)| (k.name.clone(), i64::from(k.choices[usize::from(c)]));
        self.knobs.iter().zip(&genome.0).map(pair).collect()
    }

    /// The design of a space that holds this genome alone: what makes its network anywhere.
    pub fn design(&self, genome: &Genome) -> Design {
        Design {
            family: self.family.name().to_string(),
            width: self.width,
            divisor: self.divisor,
            knobs: self.values(genome).into_iter().map(|(name, value)| (name, vec![value])).collect(),
            classes: self.classes,
        }
    }

    /// The genome of given values; a knob left out has to have a single choice.
    ///
    /// # Errors
    /// The first knob whose value is missing, unknown or no choice.
    pub fn genome(&self, values: &BTreeMap<String, i64>) -> Result<Genome, DesignError> {
        if let Some(name) = values.keys().find(|n| !self.knobs.iter().any(|k| &k.name == *n)) {
            let e = DesignError::new(&[name], "an unknown knob", format!("a knob of {}", self.family.name()));
            return Err(e.nearest(name, self.knobs.iter().map(|k| k.name.as_str())));
        }
        let choice = |k: &SpaceKnob| {
            let expected = || format!("one of {:?}", k.choices);
            match values.get(&k.name) {
                None if k.choices.len() == 1 => Ok(0),
                None => Err(DesignError::new(&[&k.name], "nothing", expected())),
                Some(v) => k
                    .choices
                    .iter()
                    .position(|c| i64::from(*c) == *v)
                    .map(|i| i as u8)
                    .ok_or_else(|| DesignError::new(&[&k.name], v.to_string(), expected())),
            }
        };
        self.knobs.iter().map(choice).collect::<Result<_, _>>().map(Genome)
    }

    /// A published variant as a point of the space: scaled as the space is, and with every knob that has a single
    /// choice at that choice; at the largest resolution of the space.
    ///
    /// # Errors
    /// The first knob whose value the space does not offer, or an unknown id.
    pub fn variant(&self, id: &str) -> Result<Genome, DesignError> {
        let unknown = || DesignError::new(&[id], "an unknown variant", format!("a variant of {}", self.family.name()));
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
        self.template.plan(&rest, resolution, self.classes)
    }

    /// The network of a genome, lowered to operations.
    ///
    /// # Errors
    /// When the choices do not fit each other.
    pub fn lower(&self, genome: &Genome) -> Result<Graph, ShapeError> {
        self.plan(genome)?.lower()
    }

    /// The network of a genome at another resolution than its own: the same tensors, but for tables of places.
    ///
    /// # Errors
    /// When the choices do not fit each other.
    pub fn lower_at(&self, genome: &Genome, resolution: u32) -> Result<Graph, ShapeError> {
        let values = genome.0.iter().zip(&self.knobs).map(|(&c, k)| k.choices[usize::from(c)]);
        let rest: SmallVec<[u32; 40]> = values.skip(1).collect();
        self.template.plan(&rest, resolution, self.classes)?.lower()
    }

    /// Cost of a genome, with what the coster remembers.
    ///
    /// # Errors
    /// When the choices do not fit each other.
    pub fn cost(&self, genome: &Genome, coster: &mut Coster) -> Result<Cost, ShapeError> {
        coster.cost(&self.plan(genome)?)
    }
}

fn unbuildable(e: &ShapeError) -> DesignError {
    DesignError::new(&["knobs"], format!("choices that make no network ({e})"), "others")
}

/// The choices of a config for a knob, each within what its kind can mean; 0 where a published network has it.
fn checked(knob: &SpaceKnob, choices: &[i64], errors: &mut Vec<DesignError>) -> Vec<u32> {
    let at = ["knobs", &knob.name];
    let (least, most) = (u32::from(!knob.choices.contains(&0)), knob.kind.most());
    let mut out = Vec::new();
    for &c in choices {
        match u32::try_from(c) {
            Ok(v) if out.contains(&v) => errors.push(DesignError::new(&at, format!("{c} twice"), "distinct choices")),
            Ok(v) if (least..=most).contains(&v) => out.push(v),
            _ => {
                let expected = format!("a {} of {least} to {most}", knob.kind.word());
                errors.push(DesignError::new(&at, c.to_string(), expected));
            }
        }
    }
    if choices.is_empty() || choices.len() > 200 {
        let found = format!("{} choices", choices.len());
        errors.push(DesignError::new(&at, found, "1 to 200 choices"));
    }
    out
}
