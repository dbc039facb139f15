//! The text of `forward`: statements nested into lines, with few variables.

use std::collections::BTreeMap;

use mobilenas_space::ir::ActFn;

use crate::args::{Args, Expr};
use crate::form::{MATMUL, Num, Ref, Skip, Unit};
use crate::merge::Union;
use crate::template::{fill, is_identifier, is_operand};

/// How deep calls are nested in a line.
const DEPTH: usize = 3;
/// Longer expressions are put into a variable.
const LONG: usize = 90;
/// Names of variables, unless a statement names its results.
pub(crate) const NAMES: [&str; 8] = ["x", "y", "z", "a", "b", "c", "d", "e"];
/// Modules whose results have their names.
const ATTENTION: [&str; 3] = ["q", "k", "v"];
/// Stands around the index of a variable whose name is not known yet.
const MARK: char = '\u{1}';

/// An activation as a function.
fn function(act: Option<ActFn>) -> &'static str {
    match act {
        None => "",
        Some(ActFn::Relu) => "F.relu",
        Some(ActFn::Relu6) => "F.relu6",
        Some(ActFn::Silu) => "F.silu",
        Some(ActFn::Gelu) => "F.gelu",
        Some(ActFn::Sigmoid) => "torch.sigmoid",
        Some(ActFn::HardSigmoid) => "F.hardsigmoid",
        Some(ActFn::HardSwish) => "F.hardswish",
    }
}

/// An activation as a module.
fn module(act: Option<ActFn>) -> &'static str {
    match act {
        None => "nn.Identity",
        Some(ActFn::Relu) => "nn.ReLU",
        Some(ActFn::Relu6) => "nn.ReLU6",
        Some(ActFn::Silu) => "nn.SiLU",
        Some(ActFn::Gelu) => "nn.GELU",
        Some(ActFn::Sigmoid) => "nn.Sigmoid",
        Some(ActFn::HardSigmoid) => "nn.Hardsigmoid",
        Some(ActFn::HardSwish) => "nn.Hardswish",
    }
}

/// A number as Python, with arguments after `prefix`.
pub(crate) fn python(expr: &Expr, args: &Args, prefix: &str) -> String {
    match expr {
        Expr::Num(Num::Int(n)) => n.to_string(),
        Expr::Num(Num::Channels(s)) => s.total().to_string(),
        Expr::Num(Num::Real(r)) => r.clone(),
        Expr::Num(Num::Bool(b)) => if *b { "True" } else { "False" }.to_string(),
        Expr::Num(Num::Act(f)) if prefix.is_empty() => module(*f).to_string(),
        Expr::Num(Num::Act(f)) => function(*f).to_string(),
        Expr::Arg(i) => format!("{prefix}{}", args.params[*i].name),
        Expr::Half(e) => format!("{} // 2", python(e, args, prefix)),
        Expr::Sum(terms) => {
            let term = |(n, factors): &(u32, Vec<Expr>)| {
                let times = (*n > 1).then(|| n.to_string());
                let factor = |e: &Expr| {
                    let text = python(e, args, prefix);
                    if is_operand(&text) { text } else { format!("({text})") }
                };
                times.into_iter().chain(factors.iter().map(factor)).collect::<Vec<_>>().join(" * ")
            };
            terms.iter().map(term).collect::<Vec<_>>().join(" + ")
        }
    }
}

/// An expression that is not in a line yet.
struct Pending {
    text: String,
    depth: usize,
}

/// A line: the variables that it makes, with the names that they ask for, and their expression.
struct Line {
    makes: Vec<(usize, Option<&'static str>)>,
    text: String,
}

struct Forward<'a> {
    union: &'a Union,
    args: &'a Args,
    uses: BTreeMap<Ref, Vec<usize>>,
    pending: BTreeMap<Ref, Pending>,
    lines: Vec<Line>,
    variables: usize,
}

/// The lines of `forward` of a class with so many inputs; the inputs have the first names.
pub(crate) fn forward(union: &Union, args: &Args, inputs: usize) -> Vec<String> {
    let mut f =
        Forward { union, args, uses: BTreeMap::new(), pending: BTreeMap::new(), lines: Vec::new(), variables: inputs };
    for (s, refs) in union.args.iter().enumerate() {
        refs.iter().for_each(|r| f.uses.entry(*r).or_default().push(s));
    }
    for k in 0..inputs {
        f.pending.insert(Ref::Input(k), Pending { text: format!("{MARK}{k}{MARK}"), depth: 0 });
    }
    (0..union.statements.len()).for_each(|s| f.statement(s));
    let results: Vec<String> = union.outputs.iter().map(|r| f.take(*r).text).collect();
    f.lines.push(Line { makes: Vec::new(), text: results.join(", ") });
    named(&f.lines, inputs)
}

/// The names of the inputs.
pub(crate) fn inputs(count: usize) -> Vec<String> {
    (0..count).map(|k| NAMES.get(k).map_or_else(|| format!("x{k}"), |n| (*n).to_string())).collect()
}

impl Forward<'_> {
    fn take(&self, r: Ref) -> Pending {
        self.pending
            .get(&r)
            .map_or(Pending { text: String::new(), depth: 0 }, |p| Pending { text: p.text.clone(), ..*p })
    }

    /// Puts a value into a variable.
    fn keep(&mut self, r: Ref) {
        let text = self.take(r).text;
        if text.starts_with(MARK) && text.matches(MARK).count() == 2 && text.ends_with(MARK) {
            return;
        }
        let (hint, variable) = (self.hint(r), self.variable(r));
        self.lines.push(Line { makes: vec![(variable, hint)], text });
    }

    /// What papers call a value of attention: query, key, value, or the weights that the softmax normalises.
    fn hint(&self, r: Ref) -> Option<&'static str> {
        let Ref::Result(s, _) = r else { return None };
        let statement = &self.union.statements[s];
        let of = |k: usize| self.union.args[s].get(k).and_then(|r| self.hint(*r));
        match (statement.name.as_deref(), statement.call.as_str()) {
            (Some(name), _) if ATTENTION.contains(&name) => ATTENTION.into_iter().find(|n| *n == name),
            (_, MATMUL) => (of(0) == Some("q")).then_some("attn"),
            (Some(_), call) if !call.contains("unsqueeze") => None,
            _ => of(0),
        }
    }

    fn variable(&mut self, r: Ref) -> usize {
        self.variables += 1;
        let variable = self.variables - 1;
        self.pending.insert(r, Pending { text: format!("{MARK}{variable}{MARK}"), depth: 0 });
        variable
    }

    fn statement(&mut self, s: usize) {
        let statement = &self.union.statements[s];
        let residual = self.args.flags[s].as_ref().filter(|_| statement.skip == Skip::Residual);
        let template = match residual {
            Some(flag) => format!("$0 + $1 if {} else $1", python(flag, self.args, "self.")),
            None => statement.call.clone(),
        };
        let refs = &self.union.args[s];
        for (k, r) in refs.iter().enumerate() {
            let occurs = template.matches(&format!("${k}")).count() + template.matches(&format!("@{k}")).count();
            if occurs > 1 {
                self.keep(*r);
            }
        }
        let (mut text, mut depth) = self.call(s, &template);
        if text.chars().count() > LONG {
            refs.iter().for_each(|r| self.keep(*r));
            (text, depth) = self.call(s, &template);
        }
        if !statement.results.is_empty() {
            let variables: Vec<usize> =
                (0..statement.results.len()).map(|k| self.variable(Ref::Result(s, k))).collect();
            let makes = variables.into_iter().zip(statement.results.iter().copied().map(Some)).collect();
            self.lines.push(Line { makes, text });
            return;
        }
        let (result, long) = (Ref::Result(s, 0), text.chars().count() > LONG);
        self.pending.insert(result, Pending { text, depth: depth + 1 });
        let uses = self.uses.get(&result).cloned().unwrap_or_default();
        let continued = matches!(uses[..], [one] if self.continues(one));
        let one_of_several = self.union.outputs.len() > 1 && self.union.outputs.contains(&result);
        if uses.len() > 1 || one_of_several || (!uses.is_empty() && (long || (depth + 1 >= DEPTH && !continued))) {
            self.keep(result);
        }
    }

    /// The expression of a statement, and how deep its calls are nested.
    fn call(&self, s: usize, template: &str) -> (String, usize) {
        let (statement, refs) = (&self.union.statements[s], &self.union.args[s]);
        let numbers = |k: usize| self.args.exprs[s].get(k).map_or_else(String::new, |e| python(e, self.args, "self."));
        let mut text = fill(template, &numbers).replace('~', &attribute(statement.name.as_deref().unwrap_or("")));
        let mut depth = 0;
        for (k, r) in refs.iter().enumerate() {
            let value = self.take(*r);
            let operand = if is_operand(&value.text) { value.text.clone() } else { format!("({})", value.text) };
            text = text.replace(&format!("${k}"), &value.text).replace(&format!("@{k}"), &operand);
            depth = depth.max(value.depth);
        }
        (text, depth)
    }

    /// Whether a statement ends the line that it continues: an activation or a residual sum.
    fn continues(&self, s: usize) -> bool {
        let unit = |e: &Expr| match e {
            Expr::Num(Num::Act(_)) => true,
            Expr::Arg(i) => self.args.params[*i].unit == Unit::Act,
            Expr::Num(_) | Expr::Half(_) | Expr::Sum(_) => false,
        };
        let sum = self.union.statements[s].skip == Skip::Residual && self.args.flags[s].is_none();
        sum || (self.union.statements[s].make.is_empty() && self.args.exprs[s].first().is_some_and(unit))
    }
}

/// The variables of a line, in order.
fn variables(text: &str) -> Vec<usize> {
    text.split(MARK).skip(1).step_by(2).filter_map(|n| n.parse().ok()).collect()
}

/// Gives variables names; one that is read for the last time passes its name on.
fn named(lines: &[Line], inputs: usize) -> Vec<String> {
    let mut last: BTreeMap<usize, usize> = BTreeMap::new();
    for (i, line) in lines.iter().enumerate() {
        variables(&line.text).into_iter().for_each(|v| {
            last.insert(v, i);
        });
    }
    let mut names: BTreeMap<usize, String> = self::inputs(inputs).into_iter().enumerate().collect();
    let mut out = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        let read = variables(&line.text);
        let mut text = line.text.clone();
        for v in &read {
            text = text.replace(&format!("{MARK}{v}{MARK}"), names.get(v).map_or("", String::as_str));
        }
        let live: Vec<String> =
            names.iter().filter(|(v, _)| last.get(v).is_some_and(|l| *l > i)).map(|(_, n)| n.clone()).collect();
        let freed: Vec<String> =
            read.iter().filter(|v| last.get(v) == Some(&i)).filter_map(|v| names.get(v).cloned()).collect();
        let mut made: Vec<String> = Vec::new();
        for (v, hint) in &line.makes {
            let plain = freed.iter().filter(|n| NAMES.contains(&n.as_str())).cloned();
            let wish = hint.map(str::to_string).into_iter().chain(plain).chain(NAMES.iter().map(|n| (*n).to_string()));
            let free = |n: &String| !live.contains(n) && !made.contains(n);
            let name = wish.chain((1..).map(|k| format!("x{k}"))).find(free).unwrap_or_default();
            made.push(name.clone());
            names.insert(*v, name);
        }
        out.push(if made.is_empty() { format!("return {text}") } else { format!("{} = {text}", made.join(", ")) });
    }
    out
}

/// A module's attribute, or a part of a list.
fn attribute(name: &str) -> String {
    if let Some((list, index)) = name.split_once('.') {
        return format!("self.{list}[{index}]");
    }
    match is_identifier(name) {
        true => format!("self.{name}"),
        false => format!("getattr(self, \"{name}\")"),
    }
}
