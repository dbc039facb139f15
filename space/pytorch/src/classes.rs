//! Which modules of a network are one class, and how each is made.

use std::collections::{BTreeMap, BTreeSet};

use mobilenas_space::ir::{Node, PathSegment};

use crate::args::{Args, Ends, resolve};
use crate::error::PytorchError;
use crate::form::{Form, Ref, Skip, Slot, Statement, Unit};
use crate::forward::NAMES;
use crate::lower::{At, Line};
use crate::merge::Union;
use crate::parts::split;
use crate::template::{is_identifier, shifted};
use crate::tree::{Item, Module, Tree, is_layer, text};

/// A class of the source.
#[derive(Debug)]
pub(crate) struct Class {
    pub(crate) name: String,
    pub(crate) union: Union,
    pub(crate) args: Args,
    pub(crate) inputs: usize,
}

/// How a module is made: a template and its numbers.
#[derive(Clone, Debug, PartialEq)]
struct Made {
    template: String,
    slots: Vec<Slot>,
}

/// The classes of a network, in an order in which each uses earlier ones; the network is the last.
pub(crate) fn classes(tree: &Tree, name: &str) -> Result<Vec<Class>, PytorchError> {
    let mut maker = Maker { tree, names: Vec::new(), made: vec![None; tree.modules.len()], classes: Vec::new() };
    let root = tree.modules.len().saturating_sub(1);
    for (m, module) in tree.modules.iter().enumerate() {
        let name = if m == root { Some(name.to_string()) } else { maker.class_name(module) };
        maker.names.push(name);
    }
    maker.part_names();
    let mut done = BTreeSet::new();
    for m in 0..=root {
        if let Some(name) = maker.names[m].clone() {
            maker.group(&name, &mut done, &mut Vec::new())?;
        }
    }
    Ok(maker.classes)
}

struct Maker<'a> {
    tree: &'a Tree<'a>,
    /// The class of each module; `None` for a chain that is written out where it is used.
    names: Vec<Option<String>>,
    made: Vec<Option<Made>>,
    classes: Vec<Class>,
}

/// Names of the results of a module; one has none.
fn results(count: usize) -> Vec<&'static str> {
    if count > 1 { NAMES.into_iter().cycle().take(count).collect() } else { Vec::new() }
}

/// `attn_block` as `AttnBlock`, `os_-1` as `Os1`.
fn camel_case(name: &str) -> String {
    let word = |w: &str| w.chars().take(1).flat_map(char::to_uppercase).chain(w.chars().skip(1)).collect::<String>();
    name.split(|c: char| !c.is_ascii_alphanumeric()).map(word).collect()
}

impl<'a> Maker<'a> {
    fn node(&self, i: usize) -> &'a Node {
        &self.tree.graph.nodes[i]
    }

    /// What a block called the module, if only one did; else its own name, unless it is a plain chain.
    fn class_name(&self, module: &Module) -> Option<String> {
        let named: Vec<&str> =
            self.tree.graph.classes.iter().filter(|(p, _)| p.segments() == module.path).map(|(_, n)| *n).collect();
        if let [one] = named[..] {
            return Some(one.to_string());
        }
        let own = module.path.iter().rev().find_map(|s| match s {
            PathSegment::Name(n) | PathSegment::Numbered(n, _) => Some(camel_case(n)),
            PathSegment::Index(_) => None,
        });
        if self.is_chain(module) { None } else { own.or_else(|| Some("Block".to_string())) }
    }

    /// Gives a module that would be of the class of one around it another name: a part of `Blocks` is a `Block`.
    fn part_names(&mut self) {
        let all = self.names.clone();
        for (m, name) in self.names.iter_mut().enumerate() {
            let path = self.tree.modules[m].path;
            let around = |other: usize| {
                let above = self.tree.modules[other].path;
                above.len() < path.len() && path.starts_with(above) && all[other] == all[m]
            };
            if let Some(own) = name.as_mut().filter(|_| (0..all.len()).any(around)) {
                let one = own.strip_suffix(if own.ends_with("ches") { "es" } else { "s" });
                *own = one.map_or_else(|| format!("{own}Part"), str::to_string);
            }
        }
    }

    /// Whether each part is a module that reads the part before it.
    fn is_chain(&self, module: &Module) -> bool {
        let [mut value] = module.inputs[..] else { return false };
        let all = module.items.iter().all(|item| {
            let (reads, gives): (Vec<usize>, Vec<usize>) = match item {
                Item::Node(i) if is_layer(&self.node(*i).op) => {
                    (self.node(*i).inputs.iter().map(|i| *i as usize).collect(), vec![*i])
                }
                Item::Node(_) | Item::Split(_) => return false,
                Item::Child(m) => (self.tree.modules[*m].inputs.clone(), self.tree.modules[*m].outputs.clone()),
            };
            let next = reads == [value];
            value = gives[0];
            next && gives.len() == 1
        });
        all && module.outputs == [value]
    }

    /// Makes all classes of a name, after those that they use.
    fn group(&mut self, name: &str, done: &mut BTreeSet<String>, open: &mut Vec<String>) -> Result<(), PytorchError> {
        if done.contains(name) {
            return Ok(());
        }
        if open.iter().any(|n| n == name) {
            return Err(PytorchError::Recursive { class: name.to_string() });
        }
        open.push(name.to_string());
        let all: Vec<usize> = (0..self.names.len()).filter(|m| self.names[*m].as_deref() == Some(name)).collect();
        for m in &all {
            for used in self.used(*m) {
                self.group(&used, done, open)?;
            }
        }
        open.pop();
        self.unions(name, &all)?;
        done.insert(name.to_string());
        Ok(())
    }

    /// The classes that a module makes itself.
    fn used(&self, module: usize) -> Vec<String> {
        let children =
            self.tree.modules[module].items.iter().filter_map(|i| if let Item::Child(m) = i { Some(*m) } else { None });
        children.flat_map(|m| self.names[m].clone().map_or_else(|| self.used(m), |n| vec![n])).collect()
    }

    fn unions(&mut self, name: &str, modules: &[usize]) -> Result<(), PytorchError> {
        let forms = modules.iter().map(|m| self.form(*m)).collect::<Result<Vec<_>, _>>()?;
        let mut unions: Vec<(Union, Vec<usize>)> = Vec::new();
        for (i, form) in forms.iter().enumerate() {
            let inputs = self.tree.modules[modules[i]].inputs.len();
            let same = |u: &Vec<usize>| self.tree.modules[modules[u[0]]].inputs.len() == inputs;
            let joined =
                unions.iter().enumerate().find_map(|(k, (u, of))| Some((k, u.with(form).filter(|_| same(of))?)));
            match joined {
                Some((k, union)) => {
                    unions[k].0 = union;
                    unions[k].1.push(i);
                }
                None => unions.push((Union::of(form), vec![i])),
            }
        }
        for (k, (union, of)) in unions.into_iter().enumerate() {
            let name = if k == 0 { name.to_string() } else { format!("{name}{}", k + 1) };
            let own: Vec<(usize, &Form)> = of.iter().map(|i| (modules[*i], &forms[*i])).collect();
            self.class(name, union, &own);
        }
        Ok(())
    }

    fn class(&mut self, name: String, union: Union, own: &[(usize, &Form)]) {
        let slots: Vec<Vec<Option<&[Slot]>>> = (0..union.statements.len())
            .map(|s| own.iter().zip(&union.members).map(|((_, f), m)| m[s].map(|i| &f.slots[i][..])).collect())
            .collect();
        let root = self.tree.modules.len() - 1;
        let ends: Vec<Ends> = own.iter().map(|(m, _)| self.ends(*m)).collect();
        let args = resolve(&union, &slots, &ends, own.iter().any(|(m, _)| *m == root));
        for (instance, (m, _)) in own.iter().enumerate() {
            let (mut call, mut slots) = (Vec::new(), Vec::new());
            for (k, p) in args.params.iter().enumerate() {
                call.push(match p.default() {
                    _ if p.is_positional() => format!("{}#{k}", if k == 0 { "" } else { ", " }),
                    Some(default) => format!("<, {}=#{k}|{default}>", p.name),
                    None => format!(", {}=#{k}", p.name),
                });
                let generic = matches!(p.name.as_str(), "inputs" | "outputs" | "channels" | "hidden");
                let (hint, rank) = if generic { ("hidden", 2) } else { (p.name.as_str(), 1) };
                slots.push(Slot { rank, ..Slot::new(p.unit, hint, p.value(instance)) });
            }
            let call = call.concat();
            let call = call.strip_prefix(", ").unwrap_or(&call);
            self.made[*m] = Some(Made { template: format!("{name}({call})"), slots });
        }
        let inputs = own.first().map_or(1, |(m, _)| self.tree.modules[*m].inputs.len());
        self.classes.push(Class { name, union, args, inputs });
    }

    fn ends(&self, module: usize) -> Ends {
        let module = &self.tree.modules[module];
        let out = &self.node(module.outputs[0]).value;
        let input = module.inputs.first().map_or(out, |i| &self.node(*i).value);
        (input.sections.clone(), out.sections.clone(), input.axis + 1 == input.dims.len())
    }

    /// How a module inside another is made.
    fn made(&self, module: usize) -> Result<Made, PytorchError> {
        if let Some(made) = &self.made[module] {
            return Ok(made.clone());
        }
        let mut parts: Vec<(String, Made)> = Vec::new();
        for item in &self.tree.modules[module].items {
            let (_, name, made) = self.part(&self.tree.modules[module], item)?;
            parts.push((name, made));
        }
        let numbered = parts.iter().enumerate().all(|(i, (name, _))| *name == i.to_string());
        // Folding batch norms leaves gaps between numbers, and a number is no keyword of Python's.
        let words = parts.iter().all(|(name, _)| is_identifier(name));
        let (mut elements, mut slots): (Vec<String>, Vec<Slot>) = (Vec::new(), Vec::new());
        let mut rest = &parts[..];
        while let Some((name, made)) = rest.first().map(|p| (&p.0, &p.1)) {
            let run = rest.iter().take_while(|(_, m)| m == made).count();
            let template = shifted(&made.template, slots.len());
            slots.extend(made.slots.iter().cloned());
            let run = if numbered { run } else { 1 };
            if numbered {
                elements.push(format!("{{{template}|#{}}}", slots.len()));
                slots.push(Slot::int(Unit::Count, "depth", run as u32));
            } else {
                elements.push(if words { format!("{name}={template}") } else { format!("(\"{name}\", {template})") });
            }
            rest = &rest[run..];
        }
        let list = elements.join(", ");
        let template = match (numbered, words) {
            (true, _) => format!("nn.Sequential({list})"),
            (false, true) => format!("nn.Sequential(OrderedDict({list}))"),
            (false, false) => format!("nn.Sequential(OrderedDict([{list}]))"),
        };
        Ok(Made { template, slots })
    }

    /// A part of a module: what it reads, its name, and how it is made.
    fn part(&self, module: &Module, item: &Item) -> Result<(Vec<usize>, String, Made), PytorchError> {
        match item {
            Item::Child(m) => {
                let child = &self.tree.modules[*m];
                let name = text(&child.path[module.path.len()..]);
                Ok((child.inputs.clone(), name, self.made(*m)?))
            }
            Item::Node(i) => {
                let line = self.line(module, *i)?;
                let made = Made { template: line.statement.make, slots: line.slots };
                Ok((line.reads, line.statement.name.unwrap_or_default(), made))
            }
            Item::Split(_) => Err(PytorchError::Scattered { at: text(module.path) }),
        }
    }

    /// An operation; one in a list has the name of the list too.
    fn line(&self, module: &Module, index: usize) -> Result<Line, PytorchError> {
        let mut line = At { tree: self.tree, module, index }.line()?;
        let path = self.node(index).path.segments();
        if line.statement.name.is_some() && is_layer(&self.node(index).op) {
            line.statement.name = Some(text(&path[module.path.len()..]));
        }
        Ok(line)
    }

    fn form(&self, index: usize) -> Result<Form, PytorchError> {
        let module = &self.tree.modules[index];
        let mut places: BTreeMap<usize, Ref> =
            module.inputs.iter().enumerate().map(|(k, i)| (*i, Ref::Input(k))).collect();
        let (mut statements, mut args, mut all): (Vec<Statement>, Vec<Vec<Ref>>, Vec<Vec<Slot>>) = Default::default();
        for item in &module.items {
            let here = statements.len();
            let (statement, reads, slots) = self.statement(module, item)?;
            let at = || PytorchError::Scattered { at: text(module.path) };
            args.push(reads.iter().map(|i| places.get(i).copied().ok_or_else(at)).collect::<Result<_, _>>()?);
            statements.push(statement);
            all.push(slots);
            let made = match item {
                Item::Node(i) => std::slice::from_ref(i),
                Item::Child(m) => &self.tree.modules[*m].outputs,
                Item::Split(parts) => parts,
            };
            places.extend(made.iter().enumerate().map(|(k, i)| (*i, Ref::Result(here, k))));
        }
        let outputs = module.outputs.iter().map(|o| places.get(o).copied().unwrap_or(Ref::Input(0))).collect();
        Ok(Form { statements, args, slots: all, outputs })
    }

    fn statement(&self, module: &Module, item: &Item) -> Result<(Statement, Vec<usize>, Vec<Slot>), PytorchError> {
        let line = match item {
            Item::Node(i) => self.line(module, *i)?,
            Item::Split(parts) => {
                split(self.tree, parts).ok_or_else(|| PytorchError::Scattered { at: text(module.path) })?
            }
            Item::Child(m) => {
                let (reads, name, made) = self.part(module, item)?;
                let inputs: Vec<String> = (0..reads.len()).map(|k| format!("${k}")).collect();
                let statement = Statement {
                    name: Some(name),
                    make: made.template,
                    call: format!("~({})", inputs.join(", ")),
                    results: results(self.tree.modules[*m].outputs.len()),
                    skip: Skip::Input(0),
                    helpers: self.helpers(*m)?,
                    divides: false,
                };
                return Ok((statement, reads, made.slots));
            }
        };
        Ok((line.statement, line.reads, line.slots))
    }

    /// What the layers of a chain that is written out need.
    fn helpers(&self, module: usize) -> Result<Vec<crate::helpers::Helper>, PytorchError> {
        if self.names[module].is_some() {
            return Ok(Vec::new());
        }
        let module = &self.tree.modules[module];
        let mut all = Vec::new();
        for item in &module.items {
            match item {
                Item::Node(i) => all.extend(At { tree: self.tree, module, index: *i }.line()?.statement.helpers),
                Item::Child(m) => all.extend(self.helpers(*m)?),
                Item::Split(_) => {}
            }
        }
        Ok(all)
    }
}
