//! The text of the source.

use std::collections::BTreeSet;

use mobilenas_space::ir::{Graph, InitStyle, Node, Op};

use crate::args::Expr;
use crate::classes::{Class, classes};
use crate::error::PytorchError;
use crate::form::{Skip, Statement, Unit};
use crate::forward::{forward, inputs, python};
use crate::helpers::Helper;
use crate::template::{WIDTH, fill, write};
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
    let tree = Tree::new(graph)?;
    let classes = classes(&tree, &class_name(name)?)?;
    let statements = || classes.iter().flat_map(|c| &c.union.statements);
    let helpers: BTreeSet<Helper> = statements().flat_map(|s| s.helpers.iter().copied()).collect();
    let mut parts: Vec<String> = helpers.iter().map(|h| h.source().to_string()).collect();
    parts.extend(classes.iter().enumerate().map(|(k, c)| class(c, k + 1 == classes.len())));
    let body = parts.join("\n\n");
    let body = format!("{}\n\n{body}\n\n{}", init(graph.style), build(&classes));
    let math = if body.contains("math.") { "import math\n" } else { "" };
    let ordered = if body.contains("OrderedDict(") { "from collections import OrderedDict\n" } else { "" };
    let apart = if math.is_empty() && ordered.is_empty() { "" } else { "\n" };
    let functional = if body.contains("F.") { "from torch.nn import functional as F\n" } else { "" };
    let head = head(graph, name);
    Ok(format!("{head}\n{math}{ordered}{apart}import torch\nfrom torch import Tensor, nn\n{functional}\n\n{body}"))
}

fn head(graph: &Graph, name: &str) -> String {
    let trained: u64 = graph.params().iter().filter(|p| p.role.trainable()).map(|p| p.elements()).sum();
    let (image, classes) = (graph.input(), graph.output_value().channels());
    // A block alone may read rows.
    let Some((h, w)) = image.hw() else { return String::new() };
    let c = image.channels();
    let sizes = match multiple(graph) {
        None => "It takes no other size: tables of learnt positions are made for this one.".to_string(),
        Some(1) => "It takes other sizes, too.".to_string(),
        Some(n) => format!("It takes other sizes, too, if both sides are multiples of {n}."),
    };
    format!(
        "\"\"\"{name}: images of {c} x {h} x {w} to logits of {classes} classes, {trained} parameters. Needs torch alone.\n\n\
         {sizes}\n\n    \
         net = build()\n    \
         net.load_state_dict(safetensors.torch.load_file(\"{name}.safetensors\"))\n\"\"\"\n"
    )
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

/// Initialisation of convolutions and linear layers; norms and tables make their own.
fn init(style: InitStyle) -> String {
    let conv = match style {
        InitStyle::Mobile => {
            "    if isinstance(module, nn.Conv2d):\n        \
             fan_out = module.weight.shape[0] // module.groups * module.weight.shape[2] * module.weight.shape[3]\n        \
             nn.init.normal_(module.weight, std=(2.0 / fan_out) ** 0.5)\n        \
             if module.bias is not None:\n            \
             nn.init.zeros_(module.bias)\n"
        }
        InitStyle::Former => "",
        // Those of heads, which are not written as source.
        InitStyle::Xavier | InitStyle::Normal { .. } => "",
    };
    format!(
        "def init_weights(module: nn.Module) -> None:\n{conv}    \
         if isinstance(module, nn.Linear):\n        \
         nn.init.trunc_normal_(module.weight, std=0.02, a=-0.04, b=0.04)\n        \
         if module.bias is not None:\n            \
         nn.init.zeros_(module.bias)\n"
    )
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

fn class(class: &Class, root: bool) -> String {
    let mut out = format!("class {}(nn.Module):\n", class.name);
    let arguments = signature(class, root);
    let list = if arguments.is_empty() { "self".to_string() } else { format!("self, {arguments}") };
    write(&mut out, 4, &format!("def __init__({list}):"));
    write(&mut out, 8, "super().__init__()");
    for (s, statement) in class.union.statements.iter().enumerate() {
        attribute(&mut out, class, s, statement);
    }
    let lines = forward(&class.union, &class.args, class.inputs);
    let text = lines.join("\n");
    for p in &class.args.params {
        if is_read(&text, &p.name) && !class.union.statements.iter().any(|s| s.name.as_ref() == Some(&p.name)) {
            let call = if p.unit == Unit::Act { "()" } else { "" };
            write(&mut out, 8, &format!("self.{0} = {0}{call}", p.name));
        }
    }
    if root {
        write(&mut out, 8, "self.apply(init_weights)");
    }
    let images: Vec<String> = inputs(class.inputs).iter().map(|n| format!("{n}: Tensor")).collect();
    let results = match class.union.outputs.len() {
        1 => "Tensor".to_string(),
        n => format!("tuple[{}]", vec!["Tensor"; n].join(", ")),
    };
    out.push_str(&format!("\n    def forward(self, {}) -> {results}:\n", images.join(", ")));
    lines.iter().for_each(|l| write(&mut out, 8, l));
    out
}

/// Whether a text reads an attribute.
fn is_read(text: &str, name: &str) -> bool {
    let read = format!("self.{name}");
    let ends = |at: usize| !text[at + read.len()..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    text.match_indices(&read).any(|(at, _)| ends(at))
}

/// As [`attribute`], of a module whose name is a number, which is no name of Python's.
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
    let is_in = |name: &Option<String>| name.as_ref().and_then(|n| n.split_once('.')).is_some_and(|(l, _)| l == list);
    if !statements[..s].iter().any(|earlier| is_in(&earlier.name)) {
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
    if name.starts_with(|c: char| c.is_ascii_digit()) {
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
