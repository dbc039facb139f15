//! Over the list of families: a slice of a supernet is the network it says it is, and touches what it should.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mobilenas_space::families::FAMILIES;
use mobilenas_space::ir::{Graph, Op, Role};
use mobilenas_space::{Design, Genome, Space};
use mobilenas_torch::{Apart, Mode, Names, Net, Owned, Params, Shared, Store, Tracked};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

/// The published space of a family, at an eighth of its width and on small images.
fn small(family: &str) -> Space {
    let knobs = BTreeMap::from([("resolution".to_string(), vec![64])]);
    Space::new(&Design { family: family.into(), width: 0.25, divisor: 8, knobs, classes: 7 }).unwrap()
}

fn genomes(space: &Space) -> Vec<Genome> {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut all = vec![space.largest(), space.smallest()];
    all.extend((0..6).map(|_| space.sample(&mut rng)));
    all
}

fn images(size: u32) -> Tensor {
    tch::manual_seed(3);
    Tensor::rand([3, 3, i64::from(size), i64::from(size)], (Kind::Float, Device::Cpu))
}

fn resolution(g: &Graph) -> u32 {
    g.input().dims[1]
}

#[test]
fn a_child_on_shared_weights_equals_the_child_on_copied_weights() {
    for family in FAMILIES {
        let space = small(family.name());
        let supernet = Store::init(&space.lower(&space.largest()).unwrap(), Names::Shared, 1, Device::Cpu).unwrap();
        for genome in genomes(&space) {
            let graph = Arc::new(space.lower(&genome).unwrap());
            let shared = Net::bind(graph.clone(), &Shared(&supernet)).unwrap();
            let mut own = Store::init(&graph, Names::Own, 2, Device::Cpu).unwrap();
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
    }
}

#[test]
fn gradients_reach_exactly_the_shared_tensors_on_the_childs_paths() {
    for family in FAMILIES {
        let space = small(family.name());
        let mut supernet = Store::init(&space.lower(&space.largest()).unwrap(), Names::Shared, 1, Device::Cpu).unwrap();
        for genome in genomes(&space) {
            supernet.zero_grad();
            let graph = Arc::new(space.lower(&genome).unwrap());
            let net = Net::bind(graph.clone(), &Shared(&supernet)).unwrap();
            let out = net.heads(&images(resolution(&graph)), Mode::Train).unwrap();
            // The square of random projections: no symmetry of a loss hides a path.
            let loss = out
                .iter()
                .fold(Tensor::from(0f32), |sum, y| sum + (y * Tensor::rand_like(y)).square().sum(Kind::Float));
            loss.backward();
            let on_path: BTreeSet<String> =
                graph.params().into_iter().filter(|p| p.role.trainable()).map(|p| p.shared).collect();
            for (name, entry) in supernet.entries().filter(|(_, e)| e.role.trainable()) {
                let grad = entry.tensor.grad();
                let touched = grad.defined() && f64::try_from(grad.abs().sum(Kind::Double)).unwrap() > 0.0;
                // The bias of a key adds the same to every logit of a row, and what a batch norm follows has no mean:
                // their gradient is zero up to rounding, so only that they are defined can be asked of them.
                if on_path.contains(name) {
                    assert!(grad.defined(), "{}: {name} is on the path and has no gradient", family.name());
                } else {
                    assert!(!touched, "{}: {name} is off the path and has a gradient", family.name());
                }
            }
        }
    }
}

#[test]
fn only_the_slice_of_a_shared_tensor_gets_a_gradient() {
    for family in FAMILIES {
        let space = small(family.name());
        let supernet = Store::init(&space.lower(&space.largest()).unwrap(), Names::Shared, 1, Device::Cpu).unwrap();
        let graph = Arc::new(space.lower(&space.smallest()).unwrap());
        let net = Net::bind(graph.clone(), &Shared(&supernet)).unwrap();
        let out = net.forward(&images(resolution(&graph)), Mode::Train).unwrap();
        (&out * Tensor::rand_like(&out)).square().sum(Kind::Float).backward();
        for p in graph.params().iter().filter(|p| p.role.trainable()) {
            let whole = &supernet.entry(&p.shared).unwrap().tensor;
            let touched = whole.grad().count_nonzero(None);
            assert!(
                i64::try_from(touched).unwrap() as u64 <= p.elements(),
                "{}: {} has gradients outside the child's slice",
                family.name(),
                p.shared
            );
        }
    }
}

#[test]
fn scoring_leaves_the_supernets_statistics_alone() {
    let space = small("mobilevit_v1");
    let supernet = Store::init(&space.lower(&space.largest()).unwrap(), Names::Shared, 1, Device::Cpu).unwrap();
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
    for family in FAMILIES {
        let space = small(family.name());
        let graph = Arc::new(space.lower(&space.smallest()).unwrap());
        let store = Store::init(&graph, Names::Own, 1, Device::Cpu).unwrap();
        let net = Net::bind(graph.clone(), &Owned(&store)).unwrap();
        let size = i64::from(resolution(&graph));
        let _guard = tch::no_grad_guard();
        let x = Tensor::rand([5, 1, size, size], (Kind::Float, Device::Cpu));
        let all = net.check(&x.repeat([1, 3, 1, 1])).unwrap();
        assert!(net.forward(&x, Mode::Eval).unwrap().allclose(&all, 1e-5, 1e-6, false));
        let one = net.check(&x.narrow(0, 2, 1).repeat([1, 3, 1, 1])).unwrap();
        assert!(one.allclose(&all.narrow(0, 2, 1), 1e-4, 1e-5, false), "{}", family.name());
    }
}

/// Convolutions on a processor are faster for it, those of training by up to a half. The maps of attention by heads are matrices.
#[test]
fn channels_of_what_is_normalised_lie_together_in_memory() {
    for family in FAMILIES {
        let space = small(family.name());
        for genome in genomes(&space) {
            let graph = Arc::new(space.lower(&genome).unwrap());
            let store = Store::init(&graph, Names::Own, 1, Device::Cpu).unwrap();
            let net = Net::bind(graph.clone(), &Owned(&store)).unwrap();
            for mode in [Mode::Train, Mode::Calibrate(1), Mode::Eval] {
                let together = |i: usize, t: &Tensor| {
                    let (node, size, stride) = (&graph.nodes[i], t.size(), t.stride());
                    if node.op == Op::BatchNorm && size.len() == 4 && size[1] > 1 && size[2] * size[3] > 1 {
                        assert_eq!(stride[1], 1, "{} {}: {size:?} by {stride:?}", family.name(), node.path);
                    }
                    Ok(())
                };
                net.watch(&images(resolution(&graph)), mode, together).unwrap();
            }
        }
    }
}

#[test]
fn a_missing_tensor_is_named() {
    let space = small("mobilenet_v2");
    let largest = space.lower(&space.largest()).unwrap();
    let store = Store::init(&space.lower(&space.smallest()).unwrap(), Names::Shared, 1, Device::Cpu).unwrap();
    let spec = largest.params().into_iter().find(|p| p.shared.starts_with("blocks.1.1")).unwrap();
    let error = Shared(&store).get(&spec).unwrap_err().to_string();
    assert!(error.starts_with("blocks.1.1.conv_pw.weight: no such tensor"), "{error}");
}

/// Kept apart by width, a batch norm's weights and statistics belong to one number of channels.
#[test]
fn batch_norms_kept_apart_are_those_of_a_width() {
    for family in FAMILIES {
        let space = small(family.name());
        let widths = mobilenas_space::widths(&space, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
        let whole = space.lower(&space.largest()).unwrap();
        let mut supernet = Store::init_apart(&whole, &widths, 1, Device::Cpu).unwrap();
        let shared = Store::init(&whole, Names::Shared, 1, Device::Cpu).unwrap();
        for genome in genomes(&space) {
            let graph = Arc::new(space.lower(&genome).unwrap());
            let x = images(resolution(&graph));
            let apart = Net::bind(graph.clone(), &Apart(&supernet)).unwrap();
            let cut = Net::bind(graph.clone(), &Shared(&shared)).unwrap();
            // Untrained weights are those of the shared ones, so batch statistics give the same values.
            let run = |net: &Net| tch::no_grad(|| net.forward(&x, Mode::Train).unwrap());
            for ((p, ours), (_, theirs)) in apart.tensors().iter().flatten().zip(cut.tensors().iter().flatten()) {
                assert!(ours.equal(theirs), "{}: {}", family.name(), p.name);
            }
            // Equal tensors at other places in memory may be summed in another order.
            let off = (run(&apart) - run(&cut)).abs().max().double_value(&[]);
            assert!(off < 1e-5, "{}: off by {off:e} at {:?}", family.name(), space.values(&genome));
        }
        let before: BTreeMap<String, Tensor> = supernet.named().into_iter().map(|(n, t)| (n, t.copy())).collect();
        let graph = Arc::new(space.lower(&space.smallest()).unwrap());
        let net = Net::bind(graph.clone(), &Apart(&supernet)).unwrap();
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
        for p in graph.params().iter().filter(|p| supernet.keeps_apart(p) && p.role == Role::Norm) {
            let name = supernet.shared_name(p);
            assert!(supernet.entry(&name).unwrap().tensor.grad().defined(), "{}: {name}", family.name());
            if name.contains('@') {
                assert!(!supernet.entry(&p.shared).unwrap().tensor.grad().defined(), "{}: {name}", family.name());
            }
        }
        // Recalibrating is a subnet's own affair: it moves nothing of the supernet.
        let kept: BTreeMap<String, Tensor> = supernet.named().into_iter().map(|(n, t)| (n, t.copy())).collect();
        let recalibrated = Net::bind(graph.clone(), &Shared(&supernet)).unwrap();
        recalibrated.recalibrate([&images(resolution(&graph))].into_iter()).unwrap();
        assert!(supernet.named().iter().all(|(n, t)| t.equal(&kept[n])), "{}", family.name());
    }
}

/// Statistics that all subnets share: each moves the channels that it has, wherever they lie, and no others.
#[test]
fn tracked_statistics_are_moved_where_a_subnet_has_channels() {
    for family in FAMILIES {
        let space = small(family.name());
        let store = Store::init(&space.lower(&space.largest()).unwrap(), Names::Shared, 1, Device::Cpu).unwrap();
        let tracked = Tracked(&store);
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
            assert!(store.named().iter().all(|(n, t)| t.equal(&before[n])), "{}: copies until kept", family.name());
            tracked.keep(&net).unwrap();
            // What the subnet reads now is what it left, and so many channels have moved, no more.
            for ((name, left), (_, read)) in statistics(&net).iter().zip(statistics(&bind(&genome))) {
                assert!(left.equal(&read), "{}: {name}", family.name());
                let now = &store.entry(name).unwrap().tensor;
                let moved = i64::try_from(now.ne_tensor(&before[name]).sum(Kind::Int64)).unwrap();
                assert!(moved > 0 && moved <= left.size()[0], "{}: {name}: {moved} moved", family.name());
            }
            for (name, entry) in store.entries().filter(|(_, e)| e.role != Role::Statistic) {
                assert!(entry.tensor.equal(&before[name]), "{}: {name} is learnt and stays", family.name());
            }
        }
    }
}

/// Batches shared out among twins leave the statistics that one network would have got from all of them.
#[test]
fn statistics_of_twins_are_those_of_one() {
    for family in FAMILIES {
        let space = small(family.name());
        let store = Store::init(&space.lower(&space.largest()).unwrap(), Names::Shared, 1, Device::Cpu).unwrap();
        let graph = Arc::new(space.lower(&space.smallest()).unwrap());
        let bind = || Net::bind(graph.clone(), &Shared(&store)).unwrap();
        let (one, shared) = (bind(), bind());
        let batches: Vec<Tensor> = (0..3).map(|_| images(resolution(&graph))).collect();
        one.recalibrate(batches.iter()).unwrap();
        let parts = [&batches[..2], &batches[2..]].map(|part| {
            let twin = shared.twin().unwrap();
            twin.recalibrate(part.iter()).unwrap();
            (part.len() as u32, twin)
        });
        let untouched = bind();
        let same = |a: &Net, b: &Net| {
            a.named().iter().zip(b.named()).all(|((_, a), (_, b))| a.allclose(&b, 1e-4, 1e-5, false))
        };
        let some = graph.params().iter().any(|p| p.role == Role::Statistic);
        assert!(same(&shared, &untouched) && (!some || !same(&one, &untouched)), "{}", family.name());
        shared.mean_of(&parts).unwrap();
        for ((name, a), (_, b)) in shared.named().iter().zip(one.named()) {
            // How many batches were seen is nobody's statistic.
            assert!(name.ends_with("num_batches_tracked") || a.allclose(&b, 1e-4, 1e-5, false), "{name}");
        }
    }
}

/// How far statistics are from others: means in standard deviations, variances in variances, the largest of a norm's.
fn apart(own: &[Tensor], exact: &[Tensor]) -> f64 {
    let most = |t: &Tensor| f64::try_from(t.abs().max()).unwrap();
    let pairs = own.chunks(2).zip(exact.chunks(2));
    let one = |(own, exact): (&[Tensor], &[Tensor])| {
        let (mean, variance) = (most(&(&own[0] - &exact[0])), most(&(&own[1] - &exact[1])));
        let scale = most(&exact[1]).max(1e-12);
        (mean / scale.sqrt()).max(variance / scale)
    };
    pairs.map(one).fold(0.0, f64::max)
}

/// On one thread norms and attention are the program's own, on more they are libtorch's: they are equally near to what double
/// precision gives.
#[test]
fn statistics_on_one_thread_are_as_good_as_libtorchs() {
    for family in FAMILIES {
        let space = small(family.name());
        let supernet = Store::init(&space.lower(&space.largest()).unwrap(), Names::Shared, 1, Device::Cpu).unwrap();
        for genome in genomes(&space).into_iter().take(2) {
            let graph = Arc::new(space.lower(&genome).unwrap());
            tch::manual_seed(5);
            let side = i64::from(resolution(&graph));
            let x: Vec<Tensor> = (0..2).map(|_| Tensor::rand([8, 3, side, side], (Kind::Float, Device::Cpu))).collect();
            let statistics = |threads: i32, kind: Kind| -> Vec<Tensor> {
                tch::set_num_threads(threads);
                let net = Net::bind(graph.clone(), &Shared(&supernet)).unwrap().to_kind(kind).unwrap();
                let x: Vec<Tensor> = x.iter().map(|x| x.to_kind(kind)).collect();
                net.recalibrate(x.iter()).unwrap();
                let all = net.tensors().into_iter().flatten();
                let moments = all.filter(|(p, t)| p.role == Role::Statistic && t.dim() == 1);
                moments.map(|(_, t)| t.to_kind(Kind::Double)).collect()
            };
            let exact = statistics(2, Kind::Double);
            let (own, theirs) =
                (apart(&statistics(1, Kind::Float), &exact), apart(&statistics(2, Kind::Float), &exact));
            let name = family.name();
            assert!(own <= 2.0 * theirs + 1e-5, "{name}: {own:.1e} from double precision, libtorch {theirs:.1e}");
        }
    }
}

#[test]
fn a_width_that_was_not_foreseen_is_named() {
    let space = small("mobilenet_v2");
    let whole = space.lower(&space.largest()).unwrap();
    let store = Store::init_apart(&whole, &mobilenas_space::Widths::new(), 1, Device::Cpu).unwrap();
    let smallest = Arc::new(space.lower(&space.smallest()).unwrap());
    let error = Net::bind(smallest, &Apart(&store)).unwrap_err().to_string();
    assert!(error.contains('@') && error.contains("no such tensor"), "{error}");
}
