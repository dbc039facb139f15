//! Which values of an ONNX graph become whole numbers, by the operators that make and read them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::super::proto::{Graph, Node, kind};
use super::table::{Role, role};

/// What is whole in an int8 file. Nodes are counted as the float graph has them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Values that become whole numbers, each with the value whose range it has: its own, or that of what it is moved from.
    pub whole: BTreeMap<String, String>,
    /// Nodes that read whole numbers.
    pub integer: BTreeSet<usize>,
    /// Values that come as whole numbers from what makes them, so that everyone reads those.
    made: BTreeSet<String>,
}

impl Plan {
    /// Plans a graph.
    pub fn of(graph: &Graph) -> Plan {
        let reading = Reading::of(graph);
        let able = reading.able();
        let wanted = reading.wanted(&able);
        let mut plan = Plan::default();
        reading.inputs.iter().filter(|v| wanted.contains(**v)).for_each(|v| plan.own(v));
        for (i, node) in graph.node.iter().enumerate() {
            let (out, first) = (made(node), first(node));
            let asked = wanted.contains(out);
            let clipped = reading.clips_a_layer(i);
            let whole = match reading.roles[i] {
                Role::Layer { floats, .. } => !reading.is_clipped(out) && (!floats || asked),
                _ => clipped || asked,
            };
            let whole = whole && !reading.outputs.contains(out);
            let integer = match reading.roles[i] {
                Role::Layer { .. } => true,
                Role::Whole => whole && able[i],
                Role::Moves => whole && plan.whole.contains_key(first),
                _ => false,
            };
            if integer {
                plan.integer.insert(i);
            }
            match (whole, reading.roles[i]) {
                (true, Role::Moves) if integer => {
                    let root = plan.whole.get(first).cloned().unwrap_or_default();
                    plan.whole.insert(out.to_string(), root);
                }
                (true, _) => plan.own(out),
                (false, _) => {}
            }
            if whole && (integer || clipped) {
                plan.made.insert(out.to_string());
            }
        }
        plan
    }

    fn own(&mut self, value: &str) {
        self.whole.insert(value.to_string(), value.to_string());
    }

    /// Whether a node reads a value through whole numbers.
    pub fn reads_whole(&self, node: usize, value: &str) -> bool {
        self.whole.contains_key(value) && (self.integer.contains(&node) || self.made.contains(value))
    }

    /// The values whose ranges are needed.
    pub fn ranges(&self) -> BTreeSet<&str> {
        self.whole.values().map(String::as_str).collect()
    }
}

/// The value that a node makes.
pub fn made(node: &Node) -> &str {
    node.output.first().map_or("", String::as_str)
}

fn first(node: &Node) -> &str {
    node.input.first().map_or("", String::as_str)
}

/// Who makes and who reads each value.
struct Reading<'g> {
    nodes: &'g [Node],
    roles: Vec<Role>,
    maker: HashMap<&'g str, usize>,
    readers: HashMap<&'g str, Vec<usize>>,
    inputs: Vec<&'g str>,
    outputs: HashSet<&'g str>,
}

impl<'g> Reading<'g> {
    fn of(graph: &'g Graph) -> Reading<'g> {
        let float = |t: &&super::super::proto::Tensor| t.data_type == Some(kind::FLOAT);
        let tensors: HashSet<&str> = graph.initializer.iter().filter(float).filter_map(|t| t.name.as_deref()).collect();
        let named = |all: &'g [super::super::proto::ValueInfo]| all.iter().filter_map(|v| v.name.as_deref());
        let (mut maker, mut readers) = (HashMap::new(), HashMap::<&str, Vec<usize>>::new());
        for (i, node) in graph.node.iter().enumerate() {
            maker.extend(node.output.iter().map(|v| (v.as_str(), i)));
            node.input.iter().for_each(|v| readers.entry(v.as_str()).or_default().push(i));
        }
        let of = |node: &Node| match role(node.op_type.as_deref().unwrap_or_default()) {
            // A layer's weights are written down, or it is none.
            Role::Layer { .. } if !node.input.iter().skip(1).all(|v| tensors.contains(v.as_str())) => Role::Floats,
            role => role,
        };
        Reading {
            nodes: &graph.node,
            roles: graph.node.iter().map(of).collect(),
            maker,
            readers,
            inputs: named(&graph.input).collect(),
            outputs: named(&graph.output).collect(),
        }
    }

    /// Of each node, whether its result can be had as whole numbers without a float in the way.
    fn able(&self) -> Vec<bool> {
        let mut able: Vec<bool> = Vec::with_capacity(self.nodes.len());
        for (node, role) in self.nodes.iter().zip(&self.roles) {
            let has = |v: &String| self.maker.get(v.as_str()).is_some_and(|m| able[*m]);
            able.push(match role {
                Role::Layer { .. } => true,
                Role::Whole => node.input.iter().all(has),
                Role::Moves | Role::Clips | Role::Pointwise => node.input.first().is_some_and(has),
                Role::Floats => false,
            });
        }
        able
    }

    /// Values that a reader wants as whole numbers.
    fn wanted(&self, able: &[bool]) -> HashSet<&'g str> {
        let mut wanted = HashSet::new();
        for (i, node) in self.nodes.iter().enumerate().rev() {
            let asked = wanted.contains(made(node)) && !self.outputs.contains(made(node));
            match self.roles[i] {
                Role::Layer { .. } => wanted.extend(node.input.first().map(String::as_str)),
                Role::Whole if asked && able[i] => wanted.extend(node.input.iter().map(String::as_str)),
                Role::Moves if asked && self.is_computed(first(node)) => {
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
        let only = self.readers.get(value).is_some_and(|r| matches!(r[..], [i] if self.roles[i] == Role::Clips));
        only && !self.outputs.contains(value)
    }

    /// Whether a node is the clip after a layer that nothing else reads.
    fn clips_a_layer(&self, node: usize) -> bool {
        let from = first(&self.nodes[node]);
        let layer = self.maker.get(from).is_some_and(|m| matches!(self.roles[*m], Role::Layer { .. }));
        self.roles[node] == Role::Clips && layer && self.is_clipped(from)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::proto::{Tensor, ValueInfo};
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
        }
    }

    /// Whole values, with `=root` where they have another's range, and the places of nodes that read whole numbers.
    fn plan(lines: &[&str]) -> (String, Vec<usize>) {
        let plan = Plan::of(&graph(lines));
        let word = |(value, root): (&String, &String)| {
            if value == root { value.clone() } else { format!("{value}={root}") }
        };
        let whole: Vec<String> = plan.whole.iter().map(word).collect();
        (whole.join(" "), plan.integer.into_iter().collect())
    }

    #[test]
    fn a_clip_between_layers_is_the_end_of_the_first() {
        let (whole, integer) = plan(&["Conv a images w1", "Clip b a low high", "Conv c b w2", "Softmax logits c"]);
        assert_eq!((whole.as_str(), integer), ("b c images", vec![0, 2]));
    }

    #[test]
    fn gates_between_layers_are_whole() {
        let silu = ["Conv a images w1", "Sigmoid g a", "Mul b a g", "Gemm logits b w2"];
        assert_eq!(plan(&silu), ("a b g images".to_string(), vec![0, 1, 2, 3]));
        // Read by a norm alone it is not worth it; the convolution itself has no other form.
        let norm = ["Conv a images w1", "Sigmoid g a", "Mul b a g", "LayerNormalization logits b"];
        assert_eq!(plan(&norm), ("a images".to_string(), vec![0]));
    }

    #[test]
    fn a_matrix_product_gives_floats_where_nobody_wants_whole_numbers() {
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
        // A tensor that is moved is no value of an image.
        let constant = ["Reshape r w0 shape", "Conv d r w1", "Erf logits d"];
        assert_eq!(plan(&constant), ("d r".to_string(), vec![1]));
    }

    #[test]
    fn sums_with_a_float_side_are_floats_and_are_rounded_after() {
        let lines = ["Conv a images w1", "Softmax b a", "Add s a b", "Conv c s w2", "Erf logits c"];
        assert_eq!(plan(&lines), ("a c images s".to_string(), vec![0, 3]));
        let p = Plan::of(&graph(&lines));
        assert!(p.reads_whole(1, "a") && p.reads_whole(2, "a") && p.reads_whole(3, "s"));
        assert!(!p.reads_whole(2, "b"));
    }

    #[test]
    fn floats_that_are_rounded_for_a_layer_stay_floats_for_others() {
        let lines = ["LayerNormalization n images", "Conv a n w1", "Add logits a n"];
        let p = Plan::of(&graph(&lines));
        assert!(p.reads_whole(1, "n") && !p.reads_whole(2, "n") && p.reads_whole(2, "a"));
    }

    #[test]
    fn a_layer_without_written_weights_is_none() {
        let lines = ["Conv a images w1", "Gemm b a a", "Erf logits b"];
        assert_eq!(plan(&lines), ("a images".to_string(), vec![0]));
    }

    #[test]
    fn the_output_is_a_float() {
        assert_eq!(plan(&["Conv a images w1", "Conv logits a w2"]), ("a images".to_string(), vec![0, 1]));
    }
}
