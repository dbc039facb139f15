//! The text of the source.

use std::collections::BTreeSet;

use mobilenas_space::ir::{Graph, Node, Op, Output};

use crate::args::Expr;
use crate::classes::{Class, classes};
use crate::error::PytorchError;
use crate::form::{Skip, Statement, Unit};
use crate::forward::{forward, inputs, python};
use crate::helpers::Helper;
use crate::init;
use crate::template::{WIDTH, fill, is_identifier, write};
use crate::tree::Tree;

/// The class of a network: `mobilevit_xxs` is `MobilevitXxs`.
///
/// # Errors
/// When the name has other characters than letters, digits and underscores, or does not start with a letter.
pub fn class_name(name: &str) -> Result<String, PytorchError> {
    let fits = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !fits {
        return Err(PytorchError::Name { name: name.to_string() });
    }
    let word = |w: &str| format!("{}{}", w[..1].to_uppercase(), &w[1..]);
    Ok(name.split('_').filter(|w| !w.is_empty()).map(word).collect())
}

/// The source `NAME.py` of a graph: a module with the graph's tensors, and `build()`, which makes it.
///
/// For the deployed form pass the folded graph.
///
/// # Errors
/// When the name is not one of Python, or the graph has a form that no module can have.
pub fn source(graph: &Graph, name: &str) -> Result<String, PytorchError> {
    if let Some(waits) = graph.nodes.iter().find(|n| matches!(n.op, Op::Regions { .. })) {
        return Err(PytorchError::Regions { at: waits.path.to_string() });
    }
    let tree = Tree::new(graph)?;
    let classes = classes(&tree, &class_name(name)?)?;
    let statements = || classes.iter().flat_map(|c| &c.union.statements);
    let helpers: BTreeSet<Helper> = statements().flat_map(|s| s.helpers.iter().copied()).collect();
    let mut parts: Vec<String> = helpers.iter().map(|h| h.source().to_string()).collect();
    let root = init::calls(graph);
    parts.extend(classes.iter().enumerate().map(|(k, c)| class(c, (k + 1 == classes.len()).then_some(&root[..]))));
    let body = parts.join("\n\n");
    let body = format!("{}\n\n{body}\n\n{}", init::functions(graph), build(&classes));
    let math = if body.contains("math.") { "import math\n" } else { "" };
    let ordered = if body.contains("OrderedDict(") { "from collections import OrderedDict\n" } else { "" };
    let apart = if math.is_empty() && ordered.is_empty() { "" } else { "\n" };
    let functional = if body.contains("F.") { "from torch.nn import functional as F\n" } else { "" };
    let head = head(graph, name, &classes);
    Ok(format!("{head}\n{math}{ordered}{apart}import torch\nfrom torch import Tensor, nn\n{functional}\n\n{body}"))
}

fn head(graph: &Graph, name: &str, classes: &[Class]) -> String {
    let trained: u64 = graph.params().iter().filter(|p| p.role.trainable()).map(|p| p.elements()).sum();
    let image = graph.input();
    // A block alone may read rows.
    let Some((h, w)) = image.hw() else { return String::new() };
    let c = image.channels();
    // A class that is told sides was written for them.
    let sided = classes.iter().flat_map(|c| &c.args.params).any(|p| p.unit == Unit::Side);
    let sizes = match multiple(graph).filter(|_| !sided) {
        None => "It takes no other size: tables or the sides of maps are made for this one.".to_string(),
        Some(1) => "It takes other sizes, too.".to_string(),
        Some(n) => format!("It takes other sizes, too, if both sides are multiples of {n}."),
    };
    let what = format!("{name}: images of {c} x {h} x {w} to {}", outputs(graph));
    let size = format!("{trained} parameters. Needs torch alone.");
    // Several outputs have a line to themselves.
    let first = if graph.outputs.len() > 1 { format!("{what}.\n\n{size}") } else { format!("{what}, {size}") };
    format!(
        "\"\"\"{first}\n\n{sizes}\n\n    \
         net = build()\n    \
         net.load_state_dict(safetensors.torch.load_file(\"{name}.safetensors\"))\n\"\"\"\n"
    )
}

/// What a network gives, in words.
fn outputs(graph: &Graph) -> String {
    let one = |o: &Output| {
        let value = &graph.nodes[o.node].value;
        match value.dims[..] {
            [_] => format!("{} of {} classes", o.name, value.channels()),
            _ => format!("{} of {}", o.name, value.dims.iter().map(u32::to_string).collect::<Vec<_>>().join(" x ")),
        }
    };
    graph.outputs.iter().map(one).collect::<Vec<_>>().join(" and ")
}

/// What the sides of an image must be multiples of; `None` if only the graph's own size will do.
fn multiple(graph: &Graph) -> Option<u32> {
    let (nodes, side) = (&graph.nodes, graph.input().dims[1]);
    let is_fixed = |op: &Op| {
        // Learnt for each place of the image.
        let by_place = matches!(op, Op::Learnt { value, .. } if value.positions() > 1 && value.channels() > 1);
        let by_side = matches!(op, Op::MergeHeads { .. } | Op::Unwindow { .. });
        by_place || by_side || matches!(op, Op::BiasTable { .. } | Op::RelativeLogits { .. })
    };
    let divisor = |n: &Node| {
        let from = &nodes[*n.inputs.first()? as usize];
        let Op::Unfold { patch, .. } = n.op else { return None };
        // A map that is resized to whole patches may have had any size.
        let stride = side / from.value.hw().map_or(side, |(h, _)| h).max(1);
        // Neither may a flat one, which is a row for each position.
        (!matches!(from.op, Op::Resize { .. }) && stride > 0).then_some(stride * patch)
    };
    let lcm = |a: u32, b: u32| (a..).step_by(a as usize).find(|m| m % b == 0).unwrap_or(a);
    (!nodes.iter().any(|n| is_fixed(&n.op))).then(|| nodes.iter().filter_map(divisor).fold(1, lcm))
}

/// The arguments of a class as a signature, each with its default.
fn signature(class: &Class, root: bool) -> String {
    let one = |p: &crate::args::Param| {
        let own = root.then(|| p.value(0).plain()).map(|n| python(&Expr::Num(n), &class.args, ""));
        let default = own.or(p.default().map(str::to_string));
        format!("{}: {}{}", p.name, p.unit.annotation(), default.map_or_else(String::new, |d| format!(" = {d}")))
    };
    class.args.params.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn build(classes: &[Class]) -> String {
    let Some(root) = classes.last() else { return String::new() };
    let names: Vec<&str> = root.args.params.iter().map(|p| p.name.as_str()).collect();
    format!("def build({}) -> {1}:\n    return {1}({2})\n", signature(root, true), root.name, names.join(", "))
}

/// A class; that of the network initialises itself by some more lines.
fn class(class: &Class, root: Option<&[String]>) -> String {
    let mut out = format!("class {}(nn.Module):\n", class.name);
    let arguments = signature(class, root.is_some());
    let list = if arguments.is_empty() { "self".to_string() } else { format!("self, {arguments}") };
    write(&mut out, 4, &format!("def __init__({list}):"));
    write(&mut out, 8, "super().__init__()");
    for s in made(&class.union.statements) {
        attribute(&mut out, class, s, &class.union.statements[s]);
    }
    let mut lines = forward(&class.union, &class.args, class.inputs);
    for p in &class.args.params {
        let is_module = class.union.statements.iter().any(|s| s.name.as_ref() == Some(&p.name));
        // A flag that says whether there is a module has the module's name, which is the attribute already.
        let (reads, flag) = (format!(" if self.{} else", p.name), format!(" if self.has_{} else", p.name));
        if is_module && lines.iter().any(|l| l.contains(&reads)) {
            lines.iter_mut().for_each(|l| *l = l.replace(&reads, &flag));
            write(&mut out, 8, &format!("self.has_{0} = {0}", p.name));
        } else if !is_module && is_read(&lines.join("\n"), &p.name) {
            let call = if p.unit == Unit::Act { "()" } else { "" };
            write(&mut out, 8, &format!("self.{0} = {0}{call}", p.name));
        }
    }
    root.into_iter().flatten().for_each(|line| write(&mut out, 8, line));
    let images: Vec<String> = inputs(class.inputs).iter().map(|n| format!("{n}: Tensor")).collect();
    let results = match class.union.outputs.len() {
        1 => "Tensor".to_string(),
        n => format!("tuple[{}]", vec!["Tensor"; n].join(", ")),
    };
    out.push_str(&format!("\n    def forward(self, {}) -> {results}:\n", images.join(", ")));
    lines.iter().for_each(|l| write(&mut out, 8, l));
    out
}

/// The order in which modules are made: that of the statements, but the modules of a list by their numbers.
fn made(statements: &[Statement]) -> Vec<usize> {
    let list = |s: usize| statements[s].name.as_ref().and_then(|n| n.split_once('.'));
    let first = |s: usize| match list(s) {
        Some((name, _)) => (0..s).find(|e| list(*e).is_some_and(|(other, _)| other == name)).unwrap_or(s),
        None => s,
    };
    let number = |s: usize| list(s).and_then(|(_, number)| number.parse::<usize>().ok());
    let mut order: Vec<usize> = (0..statements.len()).collect();
    order.sort_by_key(|s| (first(*s), number(*s)));
    order
}

/// Whether a text reads an attribute.
fn is_read(text: &str, name: &str) -> bool {
    let read = format!("self.{name}");
    let ends = |at: usize| !text[at + read.len()..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    text.match_indices(&read).any(|(at, _)| ends(at))
}

/// As [`attribute`], of a module whose name is none of Python's: `0`, `os_-1`.
fn numbered(out: &mut String, class: &Class, s: usize, statement: &Statement, name: &str) {
    let numbers = |k: usize| class.args.exprs[s].get(k).map_or_else(String::new, |e| python(e, &class.args, ""));
    let made = fill(&statement.make, &numbers);
    let missing = class.args.flags[s].as_ref().filter(|_| matches!(statement.skip, Skip::Input(_)));
    let otherwise = missing.map(|flag| format!(" if {} else nn.Identity()", python(flag, &class.args, "")));
    write(out, 8, &format!("self.add_module(\"{name}\", {made}{})", otherwise.unwrap_or_default()));
}

/// As [`attribute`], of a module in a list, which its first module makes.
fn listed(out: &mut String, class: &Class, s: usize, list: &str) {
    let statements = &class.union.statements;
    let of_list =
        |s: &usize| statements[*s].name.as_ref().and_then(|n| n.split_once('.')).is_some_and(|(l, _)| l == list);
    if made(statements).into_iter().find(of_list) == Some(s) {
        write(out, 8, &format!("self.{list} = nn.ModuleList()"));
    }
    let numbers = |k: usize| class.args.exprs[s].get(k).map_or_else(String::new, |e| python(e, &class.args, ""));
    let made = fill(&statements[s].make, &numbers);
    let missing = class.args.flags[s].as_ref().filter(|_| matches!(statements[s].skip, Skip::Input(_)));
    let otherwise = missing.map(|flag| format!(" if {} else nn.Identity()", python(flag, &class.args, "")));
    write(out, 8, &format!("self.{list}.append({made}{})", otherwise.unwrap_or_default()));
}

/// The line of the constructor that makes what a statement calls.
fn attribute(out: &mut String, class: &Class, s: usize, statement: &Statement) {
    let Some(name) = &statement.name else { return };
    if let Some((list, _)) = name.split_once('.') {
        return listed(out, class, s, list);
    }
    if !is_identifier(name) {
        return numbered(out, class, s, statement, name);
    }
    let numbers = |k: usize| class.args.exprs[s].get(k).map_or_else(String::new, |e| python(e, &class.args, ""));
    let made = fill(&statement.make, &numbers);
    let mut lines = made.lines();
    let first = lines.next().unwrap_or_default();
    let missing = class.args.flags[s].as_ref().filter(|_| matches!(statement.skip, Skip::Input(_)));
    match missing {
        Some(flag) => {
            let flag = python(flag, &class.args, "");
            let made = format!("{first} if {flag} else nn.Identity()");
            if made.len() + name.len() + 16 <= WIDTH {
                write(out, 8, &format!("self.{name} = {made}"));
            } else {
                write(out, 8, &format!("self.{name} = ("));
                write(out, 12, &made);
                write(out, 8, ")");
            }
        }
        None => write(out, 8, &format!("self.{name} = {first}")),
    }
    lines.for_each(|l| write(out, 8, l));
}
