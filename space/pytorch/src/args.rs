//! From numbers to the arguments of a class.

use mobilenas_space::ir::Sections;

use crate::form::{Num, Skip, Slot, Unit};
use crate::merge::Union;
use crate::template::is_identifier;

/// A number in the text of a class.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    Num(Num),
    /// An argument, by index.
    Arg(usize),
    /// A sum of products, each with how often it occurs.
    Sum(Vec<(u32, Vec<Expr>)>),
    /// Half, rounded down.
    Half(Box<Expr>),
}

/// An argument of a class.
#[derive(Clone, Debug)]
pub(crate) struct Param {
    pub(crate) name: String,
    pub(crate) unit: Unit,
    /// Its number in each instance; `None` where nothing that the instance has needs it.
    values: Vec<Option<Num>>,
    /// Rank, order and text of what it may be called.
    names: Vec<(u8, usize, String)>,
}

impl Param {
    /// Whether some instance has no use for it: it is 0 there, and calls leave it out.
    pub(crate) fn is_optional(&self) -> bool {
        self.unit == Unit::Channels && self.values.iter().any(Option::is_none)
    }

    /// Whether calls pass it by position.
    pub(crate) fn is_positional(&self) -> bool {
        self.unit.positional() && !self.is_optional()
    }

    /// What it is if a call leaves it out.
    pub(crate) fn default(&self) -> Option<&'static str> {
        if self.is_optional() { Some("0") } else { self.unit.default() }
    }

    /// Its number in an instance.
    pub(crate) fn value(&self, instance: usize) -> Num {
        self.values[instance].clone().unwrap_or(self.unit.absent())
    }
}

/// What instances read and give: the sections of the first input and of the output, and whether those are rows.
pub(crate) type Ends = (Sections, Sections, bool);

/// The arguments of a class, and each number in their terms.
#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) params: Vec<Param>,
    /// For each statement and place.
    pub(crate) exprs: Vec<Vec<Expr>>,
    /// For each statement that an instance lacks, the argument that says whether it is there.
    pub(crate) flags: Vec<Option<Expr>>,
}

type Numbers = Vec<Option<Num>>;

struct Resolver<'a> {
    params: Vec<Param>,
    /// Whether all numbers but the classes are written out: the network itself has no other argument.
    literal: bool,
    divides: bool,
    /// Sums that are also one number: the channels of a head, from its query, key and value.
    sums: Vec<(Numbers, Expr)>,
    union: &'a Union,
}

fn agree(a: &Numbers, b: &Numbers) -> bool {
    a.iter().zip(b).all(|(x, y)| match (x, y) {
        (Some(x), Some(y)) => x.same(y),
        (None, _) | (_, None) => true,
    })
}

/// The arguments of a class. `slots` are the places of each statement in each instance that has it.
pub(crate) fn resolve(union: &Union, slots: &[Vec<Option<&[Slot]>>], ends: &[Ends], literal: bool) -> Args {
    let divides = union.statements.iter().any(|s| s.divides);
    let mut r = Resolver { params: Vec::new(), literal, divides, sums: Vec::new(), union };
    let count = union.statements.len();
    let mut exprs = vec![Vec::new(); count];
    // What the operations themselves read names the arguments, so it comes before what constructors take.
    let (calls, makes): (Vec<usize>, Vec<usize>) = (0..count).partition(|s| union.statements[*s].make.is_empty());
    for s in calls.into_iter().chain(makes) {
        exprs[s] = r.statement(s, &slots[s]);
    }
    let flags: Vec<_> = (0..count).map(|s| r.flag(s, &exprs[s], slots)).collect();
    r.name_ends(ends);
    r.finish(&exprs, &flags)
}

impl Resolver<'_> {
    fn statement(&mut self, s: usize, slots: &[Option<&[Slot]>]) -> Vec<Expr> {
        let Some(first) = slots.iter().flatten().next() else { return Vec::new() };
        let neutral = matches!(self.union.statements[s].skip, Skip::Neutral(_));
        let column = |k: usize| -> Numbers {
            let absent =
                |unit: Unit| (neutral && k == 0 && matches!(unit, Unit::Act | Unit::Rate)).then(|| unit.absent());
            slots.iter().map(|of| of.map_or_else(|| absent(first[0].unit), |of| Some(of[k].num.clone()))).collect()
        };
        let mut exprs: Vec<Expr> = Vec::new();
        for (k, slot) in first.iter().enumerate() {
            let numbers = column(k);
            let kernel = first[..k].iter().rposition(|s| s.unit == Unit::Kernel).filter(|_| slot.unit == Unit::Pad);
            let half = kernel.filter(|j| !constant(&numbers) && is_half(&numbers, &column(*j)));
            exprs.push(match half {
                Some(j) => Expr::Half(Box::new(exprs[j].clone())),
                None => self.number(s, slot, numbers),
            });
        }
        if first.last().is_some_and(|l| l.hint == "head_dim") && self.union.statements[s].results.len() > 1 {
            let parts = exprs[..exprs.len() - 2].iter().map(|e| (1, vec![e.clone()])).collect();
            let sum = (column(first.len() - 1), Expr::Sum(collected(parts)));
            // The sum was taken as an argument of its own; nothing else reads that yet.
            if exprs.pop().is_some_and(|e| e == Expr::Arg(self.params.len().wrapping_sub(1))) {
                self.params.pop();
            }
            exprs.push(sum.1.clone());
            self.sums.push(sum);
        }
        exprs
    }

    fn number(&mut self, s: usize, slot: &Slot, numbers: Numbers) -> Expr {
        let unit = slot.unit;
        let one = |n: &Num| *n == Num::Int(1);
        let written = match unit {
            Unit::Classes => false,
            Unit::Groups => self.literal || numbers.iter().flatten().all(one),
            _ => self.literal || !unit.always_argument(),
        };
        if constant(&numbers) && written {
            return Expr::Num(numbers.into_iter().flatten().next().unwrap_or(unit.absent()).plain());
        }
        if let Some((_, sum)) = self.sums.iter().find(|(n, _)| unit == Unit::HeadDim && agree(n, &numbers)) {
            return sum.clone();
        }
        if matches!(unit, Unit::Channels | Unit::Groups)
            && let Some(sum) = self.sections(s, &numbers)
        {
            return sum;
        }
        let units = if unit == Unit::Groups { &[Unit::Channels, Unit::Groups][..] } else { &[unit][..] };
        let found = self.params.iter().position(|p| units.contains(&p.unit) && agree(&p.values, &numbers));
        let index = found.unwrap_or_else(|| {
            let values = vec![None; numbers.len()];
            self.params.push(Param { name: String::new(), unit, values, names: Vec::new() });
            self.params.len() - 1
        });
        let param = &mut self.params[index];
        if param.unit == unit {
            param.names.push((slot.rank, s, slot.hint.clone()));
        }
        for (old, new) in param.values.iter_mut().zip(numbers) {
            *old = old.take().or(new);
        }
        Expr::Arg(index)
    }

    /// Heads times channels of a head, or the parts of a concatenation, where a class works on those.
    fn sections(&mut self, s: usize, numbers: &Numbers) -> Option<Expr> {
        let of = |n: &Option<Num>| match n {
            Some(Num::Channels(sections)) => Some(Some(sections.0.to_vec())),
            Some(_) => None,
            None => Some(None),
        };
        let all: Vec<_> = numbers.iter().map(of).collect::<Option<_>>()?;
        let first = all.iter().flatten().next()?.clone();
        let heads = all.iter().flatten().flatten().any(|s| s.count > 1);
        let alike = all.iter().flatten().all(|s| s.len() == first.len());
        if !self.divides || !alike || (first.len() == 1 && !heads) {
            return None;
        }
        let mut terms = Vec::new();
        for k in 0..first.len() {
            let column = |f: fn(&mobilenas_space::ir::Section) -> u32| -> Vec<Option<u32>> {
                all.iter().map(|o| o.as_ref().map(|o| f(&o[k]))).collect()
            };
            let (counts, lens) = (column(|s| s.count), column(|s| s.len));
            let more = |n: &[Option<u32>]| n.iter().flatten().any(|n| *n > 1);
            let ints = |n: &[Option<u32>]| n.iter().map(|n| n.map(Num::Int)).collect();
            let mut factors = Vec::new();
            if more(&counts) {
                factors.push(self.number(s, &Slot::int(Unit::Heads, "heads", 0), ints(&counts)));
                if more(&lens) {
                    factors.push(self.number(s, &Slot::int(Unit::HeadDim, "head_dim", 0).rank(3), ints(&lens)));
                }
            } else if more(&lens) {
                let plain = lens.iter().map(|n| n.map(|n| Num::Channels(Sections::plain(n)))).collect();
                factors.push(self.number(s, &Slot::channels("hidden", &Sections::plain(0)), plain));
            } else {
                factors.push(Expr::Num(Num::Int(1)));
            }
            terms.push((1, factors));
        }
        let mut terms = collected(terms);
        match &mut terms[..] {
            [(1, factors)] if factors.len() == 1 => factors.pop(),
            _ => Some(Expr::Sum(terms)),
        }
    }

    /// The argument that says whether an instance has a module or a residual sum.
    fn flag(&mut self, s: usize, exprs: &[Expr], slots: &[Vec<Option<&[Slot]>>]) -> Option<Expr> {
        let hint = match self.union.statements[s].skip {
            Skip::Never | Skip::Neutral(_) => return None,
            Skip::Input(_) => {
                let name = self.union.statements[s].name.clone().unwrap_or_default();
                if is_identifier(&name) {
                    name
                } else {
                    format!("with_{}", name.replace(|c: char| !c.is_ascii_alphanumeric(), "_"))
                }
            }
            Skip::Residual => "shortcut".to_string(),
        };
        if !self.union.is_optional(s) {
            return None;
        }
        let lacks: Vec<bool> = slots[s].iter().map(Option::is_none).collect();
        let only_here = |e: &&Expr| match e {
            Expr::Arg(i) => self.params[*i].values.iter().zip(&lacks).all(|(v, lacks)| v.is_none() == *lacks),
            Expr::Num(_) | Expr::Sum(_) | Expr::Half(_) => false,
        };
        if let Some(own) = exprs.iter().find(only_here) {
            return Some(own.clone());
        }
        let slot = Slot::new(Unit::Flag, &hint, Num::Bool(true));
        Some(self.number(s, &slot, lacks.iter().map(|l| Some(Num::Bool(!l))).collect()))
    }

    fn name_ends(&mut self, ends: &[Ends]) {
        let channels = |pick: fn(&Ends) -> &Sections| -> Numbers {
            ends.iter().map(|e| Some(Num::Channels(pick(e).clone()))).collect()
        };
        let (from, to) = (channels(|e| &e.0), channels(|e| &e.1));
        let rows = ends.iter().all(|e| e.2);
        let names = if agree(&from, &to) { [if rows { "dim" } else { "channels" }; 2] } else { ["inputs", "outputs"] };
        for (numbers, name) in [from, to].iter().zip(names) {
            if let Some(p) = self.params.iter_mut().find(|p| p.unit == Unit::Channels && agree(&p.values, numbers)) {
                p.names.push((0, 0, name.to_string()));
            }
        }
    }

    /// Names the arguments and puts them in the order of a signature.
    fn finish(self, exprs: &[Vec<Expr>], flags: &[Option<Expr>]) -> Args {
        let mut order: Vec<usize> = (0..self.params.len()).collect();
        let best: Vec<_> = self.params.iter().map(|p| p.names.iter().min().cloned().unwrap_or_default()).collect();
        let place = |(rank, _, name): &(u8, usize, String)| match (rank, name.as_str()) {
            (0, "outputs") => 2,
            (0, _) => 0,
            _ => 1,
        };
        order.sort_by_key(|i| {
            let param = &self.params[*i];
            // Arguments with a default come last.
            (param.default().is_some(), param.unit, place(&best[*i]))
        });
        let mut taken: Vec<String> = Vec::new();
        let mut by_rank = order.clone();
        by_rank.sort_by_key(|i| best[*i].0);
        let mut names = vec![String::new(); self.params.len()];
        for i in by_rank {
            let (_, s, hint) = &best[i];
            let owner = self.union.statements.get(*s).and_then(|s| s.name.as_ref());
            let owner = owner.map(|n| n.replace(|c: char| !c.is_ascii_alphanumeric(), "_"));
            // A number begins no name of Python's.
            let is_number = |o: &str| o.starts_with(|c: char| c.is_ascii_digit());
            let longer = owner.map(|o| if is_number(&o) { format!("{hint}_{o}") } else { format!("{o}_{hint}") });
            let numbered = (2..).map(|n| format!("{hint}{n}"));
            let name = std::iter::once(hint.clone()).chain(longer).chain(numbered).find(|n| !taken.contains(n));
            names[i] = name.unwrap_or_default();
            taken.push(names[i].clone());
        }
        let moved = |i: usize| order.iter().position(|o| *o == i).unwrap_or(i);
        let exprs = exprs.iter().map(|of| of.iter().map(|e| e.renumbered(&moved)).collect()).collect();
        let flags = flags.iter().map(|f| f.as_ref().map(|e| e.renumbered(&moved))).collect();
        let params = order.iter().map(|i| Param { name: names[*i].clone(), ..self.params[*i].clone() }).collect();
        Args { params, exprs, flags }
    }
}

fn constant(numbers: &Numbers) -> bool {
    let mut present = numbers.iter().flatten();
    let first = present.next();
    first.is_none_or(|first| present.all(|n| n.same(first)))
}

fn is_half(pads: &Numbers, kernels: &Numbers) -> bool {
    pads.iter().zip(kernels).all(|pair| match pair {
        (Some(Num::Int(pad)), Some(Num::Int(kernel))) => *pad == kernel / 2,
        (None, _) => true,
        (Some(_), _) => false,
    })
}

/// Equal terms once, with their number.
fn collected(terms: Vec<(u32, Vec<Expr>)>) -> Vec<(u32, Vec<Expr>)> {
    let mut out: Vec<(u32, Vec<Expr>)> = Vec::new();
    for (n, factors) in terms {
        match out.iter_mut().find(|(_, f)| *f == factors) {
            Some((count, _)) => *count += n,
            None => out.push((n, factors)),
        }
    }
    out
}

impl Expr {
    fn renumbered(&self, moved: &impl Fn(usize) -> usize) -> Expr {
        match self {
            Expr::Num(n) => Expr::Num(n.clone()),
            Expr::Arg(i) => Expr::Arg(moved(*i)),
            Expr::Half(e) => Expr::Half(Box::new(e.renumbered(moved))),
            Expr::Sum(terms) => {
                let factors = |f: &[Expr]| f.iter().map(|e| e.renumbered(moved)).collect();
                Expr::Sum(terms.iter().map(|(n, f)| (*n, factors(f))).collect())
            }
        }
    }
}
