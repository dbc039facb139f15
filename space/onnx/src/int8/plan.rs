//! Which values of an ONNX graph are quantized, by the operators that make and read them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::roles::{OpRole, role};
use crate::proto::{Graph, Node, Tensor, ValueInfo, kind};

/// What is quantized in an int8 file. Nodes have the indices of the float graph.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QuantPlan {
    /// Quantized values, each with the value whose range it has: its own, or the one that it is moved from.
    pub quantized: BTreeMap<String, String>,
    /// Nodes that compute on integers.
    pub integer: BTreeSet<usize>,
    /// Values that are integers where they are made, so that every reader reads those.
    made_integer: BTreeSet<String>,
}

impl QuantPlan {
    /// Plans a graph.
    pub fn of(graph: &Graph) -> QuantPlan {
        let flow = Dataflow::of(graph);
        let able = flow.quantizable();
        let wanted = flow.wanted(&able);
        let mut plan = QuantPlan::default();
        flow.inputs.iter().filter(|v| wanted.contains(**v)).for_each(|v| plan.own(v));
        for (i, node) in graph.node.iter().enumerate() {
            let (out, first) = (made(node), first(node));
            let asked = wanted.contains(out);
            let clipped = flow.clips_a_layer(i);
            let quantized = match flow.roles[i] {
                OpRole::Layer { floats, .. } => !flow.is_clipped(out) && (!floats || asked),
                OpRole::Clip => clipped || asked,
                OpRole::Integer | OpRole::Movement | OpRole::Activation | OpRole::Float => asked,
            };
            let quantized = quantized && !flow.outputs.contains(out);
            let integer = match flow.roles[i] {
                OpRole::Layer { .. } => true,
                OpRole::Integer => quantized && able[i],
                OpRole::Movement => quantized && plan.quantized.contains_key(first),
                OpRole::Clip | OpRole::Activation | OpRole::Float => false,
            };
            if integer {
                plan.integer.insert(i);
            }
            match (quantized, flow.roles[i]) {
                (true, OpRole::Movement) if integer => {
                    let root = plan.quantized.get(first).cloned().unwrap_or_default();
                    plan.quantized.insert(out.to_string(), root);
                }
                (true, _) => plan.own(out),
                (false, _) => {}
            }
            if quantized && (integer || clipped) {
                plan.made_integer.insert(out.to_string());
            }
        }
        plan
    }

    fn own(&mut self, value: &str) {
        self.quantized.insert(value.to_string(), value.to_string());
    }

    /// Whether a node reads a value quantized.
    pub fn reads_quantized(&self, node: usize, value: &str) -> bool {
        self.quantized.contains_key(value) && (self.integer.contains(&node) || self.made_integer.contains(value))
    }

    /// The values whose ranges are needed.
    pub fn ranges(&self) -> BTreeSet<&str> {
        self.quantized.values().map(String::as_str).collect()
    }
}

/// The value that a node makes.
pub fn made(node: &Node) -> &str {
    node.output.first().map_or("", String::as_str)
}

fn first(node: &Node) -> &str {
    node.input.first().map_or("", String::as_str)
}

/// Maker and readers of each value.
struct Dataflow<'g> {
    nodes: &'g [Node],
    roles: Vec<OpRole>,
    maker: HashMap<&'g str, usize>,
    readers: HashMap<&'g str, Vec<usize>>,
    inputs: Vec<&'g str>,
    outputs: HashSet<&'g str>,
}

impl<'g> Dataflow<'g> {
    fn of(graph: &'g Graph) -> Dataflow<'g> {
        let float = |t: &&Tensor| t.data_type == Some(kind::FLOAT);
        let tensors: HashSet<&str> = graph.initializer.iter().filter(float).filter_map(|t| t.name.as_deref()).collect();
        let named = |all: &'g [ValueInfo]| all.iter().filter_map(|v| v.name.as_deref());
        let (mut maker, mut readers) = (HashMap::new(), HashMap::<&str, Vec<usize>>::new());
        for (i, node) in graph.node.iter().enumerate() {
            maker.extend(node.output.iter().map(|v| (v.as_str(), i)));
            node.input.iter().for_each(|v| readers.entry(v.as_str()).or_default().push(i));
        }
        let of = |node: &Node| match role(node.op_type.as_deref().unwrap_or_default()) {
            // Only layers with constant weights are quantized.
            OpRole::Layer { .. } if !node.input.iter().skip(1).all(|v| tensors.contains(v.as_str())) => OpRole::Float,
            role => role,
        };
        Dataflow {
            nodes: &graph.node,
            roles: graph.node.iter().map(of).collect(),
            maker,
            readers,
            inputs: named(&graph.input).collect(),
            outputs: named(&graph.output).collect(),
        }
    }

    /// For each node, whether its result can be quantized without an operator on floats in between.
    fn quantizable(&self) -> Vec<bool> {
        let mut able: Vec<bool> = Vec::with_capacity(self.nodes.len());
        for (node, role) in self.nodes.iter().zip(&self.roles) {
            let has = |v: &String| self.maker.get(v.as_str()).is_some_and(|m| able[*m]);
            able.push(match role {
                OpRole::Layer { .. } => true,
                OpRole::Integer => node.input.iter().all(has),
                OpRole::Movement | OpRole::Clip | OpRole::Activation => node.input.first().is_some_and(has),
                OpRole::Float => false,
            });
        }
        able
    }

    /// Values that a reader wants quantized.
    fn wanted(&self, able: &[bool]) -> HashSet<&'g str> {
        let mut wanted = HashSet::new();
        for (i, node) in self.nodes.iter().enumerate().rev() {
            let asked = wanted.contains(made(node)) && !self.outputs.contains(made(node));
            match self.roles[i] {
                OpRole::Layer { .. } => wanted.extend(node.input.first().map(String::as_str)),
                OpRole::Integer if asked && able[i] => wanted.extend(node.input.iter().map(String::as_str)),
                OpRole::Movement if asked && self.is_computed(first(node)) => {
                    wanted.extend(node.input.first().map(String::as_str));
                }
                _ => {}
            }
        }
        wanted
    }

    /// Whether a value depends on the image.
    fn is_computed(&self, value: &str) -> bool {
        self.maker.contains_key(value) || self.inputs.contains(&value)
    }

    /// Whether a value is read by nothing but a clip.
    fn is_clipped(&self, value: &str) -> bool {
        let only = self.readers.get(value).is_some_and(|r| matches!(r[..], [i] if self.roles[i] == OpRole::Clip));
        only && !self.outputs.contains(value)
    }

    /// Whether a node is the clip after a layer that nothing else reads.
    fn clips_a_layer(&self, node: usize) -> bool {
        let from = first(&self.nodes[node]);
        let layer = self.maker.get(from).is_some_and(|m| matches!(self.roles[*m], OpRole::Layer { .. }));
        self.roles[node] == OpRole::Clip && layer && self.is_clipped(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A graph from lines `operator output input...`; tensors of weights begin with `w`.
    fn graph(lines: &[&str]) -> Graph {
        let border = |name: &str| ValueInfo { name: Some(name.to_string()), kind: None };
        let tensor =
            |name: &str| Tensor { name: Some(name.to_string()), data_type: Some(kind::FLOAT), ..Tensor::default() };
        let node = |line: &&str| {
            let mut words = line.split(' ').map(str::to_string);
            let (op_type, output) = (words.next(), words.next().into_iter().collect());
            Node { op_type, output, input: words.collect(), ..Node::default() }
        };
        let node: Vec<Node> = lines.iter().map(node).collect();
        let weights: BTreeSet<&str> =
            node.iter().flat_map(|n| &n.input).map(String::as_str).filter(|v| v.starts_with('w')).collect();
        Graph {
            initializer: weights.into_iter().map(tensor).collect(),
            node: node.clone(),
            name: None,
            input: vec![border("images")],
            output: vec![border("logits")],
            ..Graph::default()
        }
    }

    /// Quantized values, with `=root` where they have another's range, and the indices of nodes that compute on integers.
    fn plan(lines: &[&str]) -> (String, Vec<usize>) {
        let plan = QuantPlan::of(&graph(lines));
        let word = |(value, root): (&String, &String)| {
            if value == root { value.clone() } else { format!("{value}={root}") }
        };
        let quantized: Vec<String> = plan.quantized.iter().map(word).collect();
        (quantized.join(" "), plan.integer.into_iter().collect())
    }

    #[test]
    fn a_clip_between_layers_is_the_end_of_the_first() {
        let (quantized, integer) = plan(&["Conv a images w1", "Clip b a low high", "Conv c b w2", "Softmax logits c"]);
        assert_eq!((quantized.as_str(), integer), ("b c images", vec![0, 2]));
    }

    #[test]
    fn gates_between_layers_are_quantized() {
        let silu = ["Conv a images w1", "Sigmoid g a", "Mul b a g", "Gemm logits b w2"];
        assert_eq!(plan(&silu), ("a b g images".to_string(), vec![0, 1, 2, 3]));
        // Read only by a norm, the gate stays in floats; a convolution always gives integers.
        let norm = ["Conv a images w1", "Sigmoid g a", "Mul b a g", "LayerNormalization logits b"];
        assert_eq!(plan(&norm), ("a images".to_string(), vec![0]));
    }

    #[test]
    fn a_matrix_product_gives_floats_where_no_reader_wants_integers() {
        let lines = ["LayerNormalization n images", "Gemm a n w1", "Add s images a", "LayerNormalization logits s"];
        assert_eq!(plan(&lines), ("n".to_string(), vec![1]));
        let fed = ["Gemm a images w1", "Gelu g a", "Gemm b g w2", "Add logits b a"];
        assert_eq!(plan(&fed), ("g images".to_string(), vec![0, 2]));
    }

    #[test]
    fn moved_values_have_the_range_of_what_they_are_moved_from() {
        let lines =
            ["LayerNormalization n images", "Transpose t n", "Reshape r t shape", "Conv c r w1", "Erf logits c"];
        assert_eq!(plan(&lines), ("c n r=n t=n".to_string(), vec![1, 2, 3]));
        // A constant that is moved is not quantized.
        let constant = ["Reshape r w0 shape", "Conv d r w1", "Erf logits d"];
        assert_eq!(plan(&constant), ("d r".to_string(), vec![1]));
    }

    #[test]
    fn sums_with_a_float_side_are_floats_and_are_quantized_after() {
        let lines = ["Conv a images w1", "Softmax b a", "Add s a b", "Conv c s w2", "Erf logits c"];
        assert_eq!(plan(&lines), ("a c images s".to_string(), vec![0, 3]));
        let p = QuantPlan::of(&graph(&lines));
        assert!(p.reads_quantized(1, "a") && p.reads_quantized(2, "a") && p.reads_quantized(3, "s"));
        assert!(!p.reads_quantized(2, "b"));
    }

    #[test]
    fn floats_that_are_quantized_for_a_layer_stay_floats_for_others() {
        let lines = ["LayerNormalization n images", "Conv a n w1", "Add logits a n"];
        let p = QuantPlan::of(&graph(&lines));
        assert!(p.reads_quantized(1, "n") && !p.reads_quantized(2, "n") && p.reads_quantized(2, "a"));
    }

    #[test]
    fn a_layer_without_constant_weights_is_not_quantized() {
        let lines = ["Conv a images w1", "Gemm b a a", "Erf logits b"];
        assert_eq!(plan(&lines), ("a images".to_string(), vec![0]));
    }

    #[test]
    fn the_output_is_a_float() {
        assert_eq!(plan(&["Conv a images w1", "Conv logits a w2"]), ("a images".to_string(), vec![0, 1]));
    }
}
