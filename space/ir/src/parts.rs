//! A network that waits for regions, as the networks that it runs one after the other.

use smallvec::SmallVec;

use super::{Graph, Node, Op, Output};

/// Names of the maps that regions are cut from, the finest first.
const LEVELS: [&str; 8] = ["level_0", "level_1", "level_2", "level_3", "level_4", "level_5", "level_6", "level_7"];

impl Graph {
    /// For each node, the node that reads regions on which it depends; that node itself among them.
    pub fn region_roots(&self) -> Vec<Option<usize>> {
        let mut roots: Vec<Option<usize>> = Vec::with_capacity(self.nodes.len());
        for (i, node) in self.nodes.iter().enumerate() {
            let inherited = node.inputs.iter().find_map(|x| roots[*x as usize]);
            roots.push(if matches!(node.op, Op::Regions { .. }) { Some(i) } else { inherited });
        }
        roots
    }

    /// The graph up to its regions, whose outputs are also the maps that they are cut from; and for each node that reads
    /// regions, the graph after it, whose input is the features of a region. A graph that waits for none is its only part.
    pub fn parts(&self) -> Vec<Graph> {
        let roots = self.region_roots();
        let stages: Vec<usize> = (0..roots.len()).filter(|i| roots[*i] == Some(*i)).collect();
        let Some(first) = stages.first() else { return vec![self.clone()] };
        let mut before = self.part(|i| roots[i].is_none(), None);
        let maps = self.nodes[*first].inputs.iter().zip(LEVELS);
        // Nodes before the first regions keep their places.
        before.outputs.extend(maps.map(|(node, name)| Output { name, node: *node as usize }));
        before.heads = before.outputs.iter().map(|o| o.node).collect();
        let after = stages.iter().map(|stage| self.part(|i| roots[i] == Some(*stage), Some(*stage)));
        std::iter::once(before).chain(after).collect()
    }

    /// The nodes for which `of` holds, with their outputs; one of them may be the input.
    fn part(&self, of: impl Fn(usize) -> bool, input: Option<usize>) -> Graph {
        let (mut nodes, mut at) = (Vec::<Node>::new(), Vec::with_capacity(self.nodes.len()));
        for (i, node) in self.nodes.iter().enumerate() {
            at.push(nodes.len());
            if !of(i) {
                continue;
            }
            let mut node = node.clone();
            if input == Some(i) {
                (node.op, node.inputs) = (Op::Input, SmallVec::new());
            }
            // One region is as one image.
            node.value.windows = if input.is_some() { 1 } else { node.value.windows };
            node.inputs.iter_mut().for_each(|x| *x = at[*x as usize] as u32);
            nodes.push(node);
        }
        let outputs: Vec<Output> = self.outputs.iter().filter(|o| of(o.node)).cloned().collect();
        let heads = outputs.iter().map(|o| o.node).collect();
        let whole = Graph { outputs, heads, blocks: Vec::new(), nodes: Vec::new(), ..self.clone() };
        whole.moved(nodes, |old| at[old])
    }
}

#[cfg(test)]
mod tests {
    use crate::{Builder, Graph, InitStyle, Op, Sections, Value};

    /// Two maps, and of 5 regions a vector and a map.
    fn graph() -> Graph {
        let (mut b, x) = Builder::new(Value::map(Sections::plain(3), 16, 16), InitStyle::Mobile);
        let fine = b.conv("a", x, 4, 3, 4, false).unwrap();
        let coarse = b.conv("b", fine, 4, 3, 2, false).unwrap();
        let cut = |b: &mut Builder, side| b.op(Op::Regions { count: 5, side, stride: 4 }, &[fine, coarse]).unwrap();
        let first = cut(&mut b, 2);
        let vector = b.op(Op::Vector, &[first]).unwrap();
        let score = b.linear("c", vector, Sections::plain(7)).unwrap();
        let second = cut(&mut b, 3);
        let op = Op::ConvTranspose { out: Sections::plain(2), kernel: 2, bias: true };
        let mask = b.op_at("d", op, &[second]).unwrap();
        let rest = b.conv("e", coarse, 1, 1, 1, true).unwrap();
        b.finish_with(&[("rows", rest), ("scores", score), ("masks", mask)])
    }

    #[test]
    fn parts_have_all_that_the_whole_has() {
        let whole = graph();
        let parts = whole.parts();
        let names = |g: &Graph| g.outputs.iter().map(|o| o.name).collect::<Vec<_>>();
        assert_eq!(
            parts.iter().map(names).collect::<Vec<_>>(),
            [vec!["rows", "level_0", "level_1"], vec!["scores"], vec!["masks"]]
        );
        let params = |g: &Graph| g.params().into_iter().map(|p| p.name).collect::<Vec<_>>();
        let mut all: Vec<String> = parts.iter().flat_map(params).collect();
        let mut expected = params(&whole);
        all.sort_unstable();
        expected.sort_unstable();
        assert_eq!(all, expected);
        assert_eq!(parts[1].input().to_string(), "4x2x2");
        let sizes = |g: &Graph| g.outputs.iter().map(|o| g.nodes[o.node].value.to_string()).collect::<Vec<_>>();
        assert_eq!(
            parts.iter().map(sizes).collect::<Vec<_>>(),
            [vec!["1x2x2", "4x4x4", "4x2x2"], vec!["7"], vec!["2x6x6"]]
        );
        let one = whole.parts()[0].parts();
        assert_eq!((one.len(), names(&one[0])), (1, names(&parts[0])));
    }
}
