//! For every family: a slice of a supernet equals the network on copied weights, and trains exactly its own slices.

use crate::covering;
use crate::seeded;
use crate::side_by_side;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mobilenas_space::ir::{Graph, Op, ParamSpec, Regularization, Role, SliceRule, regularize};
use mobilenas_space::{Genome, Space};
use mobilenas_torch::store::Entry;
use mobilenas_torch::{Mode, Names, Net, Owned, ParamStore, PerWidthNorm, Shared, TrackedStats, Values};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use seeded::seeded;
use side_by_side::side_by_side;
use tch::{Device, Kind, Tensor};

fn small(family: &str) -> Space {
    covering::small(family, 7)
}

fn supernet(space: &Space) -> ParamStore {
    ParamStore::with(&space.lower(&space.largest()).unwrap(), Names::Supernet, Values::Quick, Device::Cpu).unwrap()
}

fn genomes(space: &Space) -> Vec<Genome> {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut all = vec![space.largest(), space.smallest()];
    all.push(space.sample(&mut rng));
    all
}

fn images(size: u32) -> Tensor {
    seeded(3, || Tensor::rand([3, 3, i64::from(size), i64::from(size)], (Kind::Float, Device::Cpu)))
}

fn resolution(g: &Graph) -> u32 {
    g.input().dims[1]
}

#[test]
fn a_subnet_on_shared_weights_equals_the_network_on_copied_weights() {
    side_by_side(covering::families(), |family| {
        let space = small(family.name());
        let supernet = supernet(&space);
        for genome in genomes(&space) {
            let graph = Arc::new(space.lower(&genome).unwrap());
            let shared = Net::bind(graph.clone(), &Shared(&supernet)).unwrap();
            let mut own = ParamStore::with(&graph, Names::Standalone, Values::Zero, Device::Cpu).unwrap();
            for (spec, tensor) in shared.tensors().into_iter().flatten() {
                own.set(&spec.name, &tensor).unwrap();
            }
            let copied = Net::bind(graph.clone(), &Owned(&own)).unwrap();
            let x = images(resolution(&graph));
            shared.recalibrate([&x].into_iter()).unwrap();
            copied.recalibrate([&x].into_iter()).unwrap();
            let (a, b) = tch::no_grad(|| (shared.check(&x).unwrap(), copied.check(&x).unwrap()));
            assert_eq!(a.size(), [3, 7]);
            assert!(a.equal(&b), "{}: {:?}", family.name(), space.values(&genome));
            assert!(bool::try_from(a.isfinite().all()).unwrap());
        }
    });
}

/// 1 at the places of an axis that a subnet's slice holds, 0 elsewhere; computed from the rules, not by the code under test.
fn slice_mask(whole: &SliceRule, slice: &SliceRule) -> Vec<f32> {
    let mut mask = vec![0.0; whole.len() as usize];
    match (whole, slice) {
        (SliceRule::Leading(a), SliceRule::Leading(b)) => {
            let mut start = 0;
            for (a, b) in a.0.iter().zip(&b.0) {
                for (run, channel) in (0..b.count).flat_map(|run| (0..b.len).map(move |c| (run, c))) {
                    mask[(start + run * a.len + channel) as usize] = 1.0;
                }
                start += a.count * a.len;
            }
        }
        (SliceRule::Centre(a), SliceRule::Centre(b)) => mask[((a - b) / 2) as usize..][..*b as usize].fill(1.0),
        (SliceRule::Whole(a), SliceRule::Whole(b)) if a == b => mask.fill(1.0),
        (SliceRule::Table { h, w }, SliceRule::Table { h: h2, w: w2 }) => {
            // Bilinear, corner to corner: what lies less than one step from a place that is read takes part.
            let near = |from: u32, to: u32, k: u32| {
                let step = f64::from(from - 1) / f64::from((to - 1).max(1));
                (0..to).any(|i| (f64::from(i) * step - f64::from(k)).abs() < 1.0)
            };
            for (y, x) in (0..*h).flat_map(|y| (0..*w).map(move |x| (y, x))) {
                mask[(y * w + x) as usize] = f32::from(near(*h, *h2, y) && near(*w, *w2, x));
            }
        }
        other => panic!("no slice: {other:?}"),
    }
    mask
}

/// The mask of a subnet's slice in a shared tensor.
fn mask(entry: &Entry, p: &ParamSpec) -> Tensor {
    let mut mask = Tensor::ones_like(&entry.tensor).detach();
    for (axis, (whole, slice)) in entry.axes.iter().zip(&p.axes).enumerate() {
        let mut shape = vec![1; entry.axes.len()];
        shape[axis] = -1;
        mask *= Tensor::from_slice(&slice_mask(whole, slice)).view(shape.as_slice());
    }
    mask
}

/// Whether a parameter adds the same to everything that a softmax or a batch norm compares, so that its gradient is zero but
/// for rounding: a bias before a batch norm, of keys, or of the logits of a head. Or whether it only makes queries or keys
/// of the attention of MobileNetV4 or EfficientViT-M, which on small images has one key, so that its softmax passes no
/// gradient. Or whether it shifts what a pool less its input reads. Or whether it stands beside the ReLU of
/// squeeze-and-excitation, which at such widths may be 0 for all images.
fn is_invariant(graph: &Graph, node: usize, p: &ParamSpec) -> bool {
    let reader = graph.readers()[node].first().copied();
    let before_norm = reader.is_some_and(|r| graph.nodes[r].op == Op::BatchNorm);
    let pooled = reader.is_some_and(|r| matches!(graph.nodes[r].op, Op::AvgPool { .. })) && p.name.ends_with(".bias");
    let names = [".k.bn.bias", ".attn.k.bias", ".talking_head1.bias"];
    let attends = [".attn.query.", ".attn.key.", ".attn.dws."].iter().any(|n| p.name.contains(n));
    let squeezed = [".se.conv_reduce.weight", ".se.conv_reduce.bias", ".se.conv_expand.weight"];
    let dead = squeezed.iter().any(|n| p.name.ends_with(n));
    // A softmax over one key passes no gradient.
    let table = &graph.nodes[node];
    let one_key = matches!(table.op, Op::BiasTable { .. }) && table.value.dims.last() == Some(&1);
    p.role == Role::Bias && before_norm
        || pooled
        || one_key
        || names.iter().any(|n| p.name.ends_with(n))
        || attends
        || dead
}

#[test]
fn gradients_reach_exactly_the_slices_of_a_subnet() {
    side_by_side(covering::families(), |family| {
        let space = small(family.name());
        let mut supernet = supernet(&space);
        for genome in genomes(&space) {
            supernet.zero_grad();
            // What is dropped at random has no gradient.
            let graph = Arc::new(regularize(&space.lower(&genome).unwrap(), &Regularization::NONE));
            let net = Net::bind(graph.clone(), &Shared(&supernet)).unwrap();
            let out = net.heads(&images(resolution(&graph)), Mode::Train).unwrap();
            // The square of random projections: no symmetry of a loss hides a path.
            let loss = out
                .iter()
                .fold(Tensor::from(0f32), |sum, y| sum + (y * Tensor::rand_like(y)).square().sum(Kind::Float));
            loss.backward();
            let specs = (0..graph.nodes.len()).flat_map(|i| graph.node_params(i).into_iter().map(move |p| (i, p)));
            let slices: BTreeMap<String, (usize, ParamSpec)> =
                specs.filter(|(_, p)| p.role.trainable()).map(|(i, p)| (p.shared.clone(), (i, p))).collect();
            for (name, entry) in supernet.entries().filter(|(_, e)| e.role.trainable()) {
                let (grad, what) = (entry.tensor.grad(), format!("{}: {name}", family.name()));
                let total = |t: &Tensor| f64::try_from(t.abs().sum(Kind::Double)).unwrap();
                let Some((node, p)) = slices.get(name) else {
                    assert!(!grad.defined() || total(&grad) == 0.0, "{what} is off the path and has a gradient");
                    continue;
                };
                assert!(grad.defined(), "{what} is on the path and has no gradient");
                let mask = mask(entry, p);
                let off = total(&(&grad * (1.0 - &mask)));
                assert!(off == 0.0, "{what} has a gradient of {off} outside the subnet's slice");
                let on = total(&(&grad * &mask));
                assert!(on > 0.0 || is_invariant(&graph, *node, p), "{what} has no gradient on the subnet's slice");
            }
        }
    });
}

#[test]
fn scoring_leaves_the_supernets_statistics_alone() {
    let space = small("mobilevit_v1");
    let supernet = supernet(&space);
    let before: Vec<Tensor> = supernet.entries().map(|(_, e)| e.tensor.copy()).collect();
    let graph = Arc::new(space.lower(&space.smallest()).unwrap());
    let net = Net::bind(graph.clone(), &Shared(&supernet)).unwrap();
    let x = images(resolution(&graph));
    net.recalibrate([&x, &x].into_iter()).unwrap();
    for ((name, e), b) in supernet.entries().zip(&before) {
        assert!(e.tensor.equal(b), "{name} moved");
    }
}

#[test]
fn every_batch_size_and_a_single_channel_work() {
    side_by_side(covering::families(), |family| {
        let space = small(family.name());
        let graph = Arc::new(space.lower(&space.smallest()).unwrap());
        let store = ParamStore::with(&graph, Names::Standalone, Values::Quick, Device::Cpu).unwrap();
        let net = Net::bind(graph.clone(), &Owned(&store)).unwrap();
        let size = i64::from(resolution(&graph));
        let _guard = tch::no_grad_guard();
        let x = Tensor::rand([5, 1, size, size], (Kind::Float, Device::Cpu));
        let all = net.check(&x.repeat([1, 3, 1, 1])).unwrap();
        assert!(net.forward(&x, Mode::Eval).unwrap().allclose(&all, 1e-5, 1e-6, false));
        let one = net.check(&x.narrow(0, 2, 1).repeat([1, 3, 1, 1])).unwrap();
        assert!(one.allclose(&all.narrow(0, 2, 1), 1e-4, 1e-5, false), "{}", family.name());
    });
}

/// Convolutions on a CPU are faster on channels-last maps, in training by up to a half. The maps of talking heads are matrices.
#[test]
fn batch_norms_read_channels_last_maps() {
    side_by_side(covering::families(), |family| {
        let space = small(family.name());
        // Strides follow from operations, not from widths.
        for genome in [space.largest(), space.smallest()] {
            let graph = Arc::new(space.lower(&genome).unwrap());
            let store = ParamStore::with(&graph, Names::Standalone, Values::Quick, Device::Cpu).unwrap();
            let net = Net::bind(graph.clone(), &Owned(&store)).unwrap();
            for mode in [Mode::Train, Mode::Calibrate(1), Mode::Eval] {
                let hook = |i: usize, t: &Tensor| {
                    let (node, size, stride) = (&graph.nodes[i], t.size(), t.stride());
                    if node.op == Op::BatchNorm && size.len() == 4 && size[1] > 1 && size[2] * size[3] > 1 {
                        assert_eq!(stride[1], 1, "{} {}: {size:?} by {stride:?}", family.name(), node.path);
                    }
                    Ok(())
                };
                net.forward_with_hook(&images(resolution(&graph)), mode, hook).unwrap();
            }
        }
    });
}

/// With batch norms per width, parameters and statistics belong to one number of channels.
#[test]
fn batch_norms_per_width_belong_to_one_width() {
    side_by_side(covering::families(), |family| {
        let space = small(family.name());
        let widths = mobilenas_space::widths(&space, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
        let whole = space.lower(&space.largest()).unwrap();
        let mut supernet = ParamStore::per_width(&whole, &widths, Values::Quick, Device::Cpu).unwrap();
        let shared = ParamStore::with(&whole, Names::Supernet, Values::Quick, Device::Cpu).unwrap();
        for genome in genomes(&space) {
            // What is dropped at random differs from one run to the next.
            let graph = Arc::new(regularize(&space.lower(&genome).unwrap(), &Regularization::NONE));
            let x = images(resolution(&graph));
            let per_width = Net::bind(graph.clone(), &PerWidthNorm(&supernet)).unwrap();
            let cut = Net::bind(graph.clone(), &Shared(&shared)).unwrap();
            // Before training both have the same parameters.
            let run = |net: &Net| tch::no_grad(|| net.forward(&x, Mode::Train).unwrap());
            for ((p, ours), (_, theirs)) in per_width.tensors().iter().flatten().zip(cut.tensors().iter().flatten()) {
                assert!(ours.equal(theirs), "{}: {}", family.name(), p.name);
            }
            // The memory alignment of equal tensors may change the order of sums.
            let off = (run(&per_width) - run(&cut)).abs().max().double_value(&[]);
            assert!(off < 1e-5, "{}: off by {off:e} at {:?}", family.name(), space.values(&genome));
        }
        let before: BTreeMap<String, Tensor> = supernet.named().into_iter().map(|(n, t)| (n, t.copy())).collect();
        let graph = Arc::new(space.lower(&space.smallest()).unwrap());
        let net = Net::bind(graph.clone(), &PerWidthNorm(&supernet)).unwrap();
        supernet.zero_grad();
        let out = net.forward(&images(resolution(&graph)), Mode::TrainTracking).unwrap();
        (&out * Tensor::rand_like(&out)).square().sum(Kind::Float).backward();
        let statistics = graph.params().into_iter().filter(|p| p.role == Role::Statistic);
        let own: BTreeSet<String> = statistics.map(|p| supernet.shared_name(&p)).collect();
        let several = widths.values().any(|w| w.len() > 1);
        assert_eq!(own.iter().any(|n| n.contains('@')), several, "{}", family.name());
        for (name, now) in supernet.statistics() {
            let moved = !now.equal(&before[name]);
            assert_eq!(moved, own.contains(name), "{}: {name}", family.name());
        }
        for p in graph.params().iter().filter(|p| supernet.is_per_width(p) && p.role == Role::Norm) {
            let name = supernet.shared_name(p);
            let grad = |name: &str| supernet.entry(name).unwrap().tensor.grad();
            let reached = grad(&name).defined() && i64::try_from(grad(&name).count_nonzero(None)).unwrap() > 0;
            // A softmax over one key, as on these small images, passes no gradient to queries.
            let of_query = p.name.contains(".attn.dws.");
            assert!(reached || of_query || p.name.ends_with(".k.bn.bias"), "{}: {name}", family.name());
            assert!(!name.contains('@') || !grad(&p.shared).defined(), "{}: {name}", family.name());
        }
        // Recalibration of a subnet changes nothing in the supernet.
        let kept: BTreeMap<String, Tensor> = supernet.named().into_iter().map(|(n, t)| (n, t.copy())).collect();
        let recalibrated = Net::bind(graph.clone(), &Shared(&supernet)).unwrap();
        recalibrated.recalibrate([&images(resolution(&graph))].into_iter()).unwrap();
        assert!(supernet.named().iter().all(|(n, t)| t.equal(&kept[n])), "{}", family.name());
    });
}

/// With shared statistics, a subnet updates exactly the channels that it has.
#[test]
fn tracked_statistics_change_where_a_subnet_has_channels() {
    side_by_side(covering::families(), |family| {
        let space = small(family.name());
        let store = supernet(&space);
        let tracked = TrackedStats(&store);
        let statistics = |net: &Net| -> Vec<(String, Tensor)> {
            let all = net.tensors().into_iter().flatten();
            all.filter(|(p, _)| p.role == Role::Statistic && !p.axes.is_empty()).map(|(p, t)| (p.shared, t)).collect()
        };
        let bind = |genome: &Genome| Net::bind(Arc::new(space.lower(genome).unwrap()), &tracked).unwrap();
        let run = |net: &Net| {
            let x = images(resolution(net.graph()));
            let _ = tch::no_grad(|| net.forward(&x, Mode::TrainTracking).unwrap());
        };
        for genome in genomes(&space) {
            let before: BTreeMap<String, Tensor> = store.named().into_iter().map(|(n, t)| (n, t.copy())).collect();
            let net = bind(&genome);
            run(&net);
            assert!(
                store.named().iter().all(|(n, t)| t.equal(&before[n])),
                "{}: copies until written back",
                family.name()
            );
            tracked.write_back(&net).unwrap();
            // The subnet reads what it wrote, and no more than its number of channels has changed.
            for ((name, left), (_, read)) in statistics(&net).iter().zip(statistics(&bind(&genome))) {
                assert!(left.equal(&read), "{}: {name}", family.name());
                let now = &store.entry(name).unwrap().tensor;
                let moved = i64::try_from(now.ne_tensor(&before[name]).sum(Kind::Int64)).unwrap();
                assert!(moved > 0 && moved <= left.size()[0], "{}: {name}: {moved} moved", family.name());
            }
            for (name, entry) in store.entries().filter(|(_, e)| e.role != Role::Statistic) {
                assert!(entry.tensor.equal(&before[name]), "{}: {name} is a parameter and stays", family.name());
            }
        }
    });
}

/// Replicas that calibrate on parts of the batches leave the statistics that one network gets from all of them.
#[test]
fn statistics_of_replicas_average_to_those_of_one_network() {
    side_by_side(covering::families(), |family| {
        let space = small(family.name());
        let store = supernet(&space);
        let graph = Arc::new(space.lower(&space.smallest()).unwrap());
        let bind = || Net::bind(graph.clone(), &Shared(&store)).unwrap();
        let (one, shared) = (bind(), bind());
        // Batches that differ, and shares that do: a mean without weights would be another.
        let batches: Vec<Tensor> = (1..=3).map(|n| images(resolution(&graph)) * f64::from(n)).collect();
        one.recalibrate(batches.iter()).unwrap();
        let parts = [&batches[..2], &batches[2..]].map(|part| {
            let replica = shared.replica().unwrap();
            replica.recalibrate(part.iter()).unwrap();
            (part.len() as u32, replica)
        });
        let untouched = bind();
        let same = |a: &Net, b: &Net| {
            a.named().iter().zip(b.named()).all(|((_, a), (_, b))| a.allclose(&b, 1e-4, 1e-5, false))
        };
        let some = graph.params().iter().any(|p| p.role == Role::Statistic);
        assert!(same(&shared, &untouched) && (!some || !same(&one, &untouched)), "{}", family.name());
        shared.average_statistics(&parts).unwrap();
        for ((name, a), (_, b)) in shared.named().iter().zip(one.named()) {
            // The number of batches is not averaged.
            assert!(name.ends_with("num_batches_tracked") || a.allclose(&b, 1e-4, 1e-5, false), "{name}");
        }
    });
}

/// The distance between statistics: of means in standard deviations, of variances relative to the largest of the norm.
fn distance(own: &[Tensor], exact: &[Tensor]) -> f64 {
    let most = |t: &Tensor| f64::try_from(t.abs().max()).unwrap();
    let pairs = own.chunks(2).zip(exact.chunks(2));
    let one = |(own, exact): (&[Tensor], &[Tensor])| {
        let (mean, variance) = (most(&(&own[0] - &exact[0])), most(&(&own[1] - &exact[1])));
        let scale = most(&exact[1]).max(1e-12);
        (mean / scale.sqrt()).max(variance / scale)
    };
    pairs.map(one).fold(0.0, f64::max)
}

/// Batch norms are the project's own, under autocast they are libtorch's; both are equally close to float64.
#[test]
fn statistics_are_as_good_as_libtorchs() {
    side_by_side(covering::families(), |family| {
        let space = small(family.name());
        let supernet = supernet(&space);
        for genome in genomes(&space).into_iter().take(2) {
            let graph = Arc::new(space.lower(&genome).unwrap());
            let side = i64::from(resolution(&graph));
            let draw = |_| Tensor::rand([8, 3, side, side], (Kind::Float, Device::Cpu));
            let x: Vec<Tensor> = seeded(5, || (0..2).map(draw).collect());
            let statistics = |kind: Kind, autocast: bool| -> Vec<Tensor> {
                let net = Net::bind(graph.clone(), &Shared(&supernet)).unwrap().to_kind(kind).unwrap();
                let net = if autocast { net.with_autocast(kind) } else { net };
                let x: Vec<Tensor> = x.iter().map(|x| x.to_kind(kind)).collect();
                net.recalibrate(x.iter()).unwrap();
                let all = net.tensors().into_iter().flatten();
                let moments = all.filter(|(p, t)| p.role == Role::Statistic && t.dim() == 1);
                moments.map(|(_, t)| t.to_kind(Kind::Double)).collect()
            };
            let exact = statistics(Kind::Double, false);
            let [own, theirs] = [false, true].map(|autocast| distance(&statistics(Kind::Float, autocast), &exact));
            let name = family.name();
            assert!(own <= 2.0 * theirs + 1e-5, "{name}: {own:.1e} from double precision, libtorch {theirs:.1e}");
        }
    });
}
