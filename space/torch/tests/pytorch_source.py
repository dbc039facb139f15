#!/usr/bin/env python3
"""Checks emitted PyTorch sources: python pytorch_source.py DIR [--all] [--inductor NAME,NAME...]

Takes every NAME.py of the folder with the files beside it, and prints one line of JSON for each; the exit status is 1 if
one fails. Needs torch 2.11.0 and safetensors.

    NAME.safetensors     weights
    NAME.io.safetensors  images and the outputs for them in float64: output.0, output.1 and so on
    NAME.json            [[name, shape, type, [mean, standard deviation]], ...] of the tensors and their initial values

What is checked:
    tensors    names, shapes and types of the state_dict are those of NAME.json; the weights load strictly
    initial    values that build() draws have the mean and the standard deviation, up to five standard errors
    outputs    in float64 they are the given ones, relative error at most 1e-9; 1e-8 where sines of positions are rounded to
               single precision, whose last digit two libraries may round differently
    sizes      what the docstring says of other image sizes
With --all also:
    script, trace, export (strict, with a fixed and a dynamic batch), compile (full graph, aot_eager): all run, and their
               outputs are those of the module in float32, relative error at most 1e-5; all but export also on another batch
    form       in the exported graph no value has more than four axes, and there is no einsum, expand_as or fused attention
    training   a step in train mode: all parameters have finite gradients and the step changes every one
    inductor   the networks named are compiled by inductor, too, relative error at most 1e-4
"""
import importlib.util
import json
import re
import sys
import time
import traceback
import warnings
from pathlib import Path

import torch
from safetensors.torch import load_file

FORBIDDEN = ("einsum", "expand_as", "scaled_dot_product")


def close(out, reference, relative: float) -> float:
    if isinstance(reference, (tuple, list)):
        assert len(out) == len(reference), f"{len(out)} outputs instead of {len(reference)}"
        return max(close(a, b, relative) for a, b in zip(out, reference))
    assert out.shape == reference.shape, f"{list(out.shape)} instead of {list(reference.shape)}"
    error = float((out - reference).norm() / reference.norm().clamp_min(1e-30))
    assert error <= relative, f"relative error {error:.2e} above {relative:.0e}"
    return error


def load_source(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    source = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = source
    spec.loader.exec_module(source)
    return source


def check_tensors(net: torch.nn.Module, tensors: list) -> None:
    want = {name: (shape, "torch." + kind) for name, shape, kind, _ in tensors}
    # Tables that follow from the size are no part of the state.
    have = {name: (list(t.shape), str(t.dtype)) for name, t in net.state_dict().items()}
    assert want.keys() == have.keys(), f"names differ: {sorted(want.keys() ^ have.keys())[:6]}"
    wrong = [f"{n}: {have[n]} instead of {want[n]}" for n in want if want[n] != have[n]]
    assert not wrong, wrong[:6]


def check_initial(net: torch.nn.Module, tensors: list) -> None:
    state, wrong = net.state_dict(), []
    for name, _, _, initial in tensors:
        values = state[name].double()
        if initial is None or values.numel() == 0:
            continue
        mean, deviation = initial
        if deviation == 0:
            right = bool((values - mean).abs().max() <= 1e-6 * max(1.0, abs(mean)))
        elif values.numel() < 200:
            continue
        else:
            found = float((values - mean).square().mean().sqrt())
            # Kurtosis of a normal distribution, the largest that is drawn from.
            right = abs(found / deviation - 1) <= 5 / (2 * values.numel()) ** 0.5
        if not right:
            wrong.append(f"{name}: {values.mean():.3g}, {values.std(correction=0):.3g} instead of {mean:.3g}, {deviation:.3g}")
    assert not wrong, wrong[:6]


def check_sizes(net: torch.nn.Module, says: str, x: torch.Tensor) -> None:
    fixed, multiple = "takes no other size" in says, re.search(r"multiples of (\d+)", says)
    assert fixed or "takes other sizes" in says, says
    step = int(multiple[1]) if multiple else 32
    height, width = x.shape[2] // step * step + step, max(step, x.shape[3] // step * step)
    other = torch.nn.functional.interpolate(x[:1], size=(height, width))
    try:
        out = net(other)
    except RuntimeError:
        assert fixed, f"{height} x {width} fails"
        return
    assert not fixed, f"{height} x {width} runs, but the docstring says that only one size does"
    for one in out if isinstance(out, tuple) else (out,):
        assert one.shape[0] == 1 and bool(one.isfinite().all())


def check_forms(net: torch.nn.Module, x: torch.Tensor, inductor: bool) -> None:
    more = torch.cat([x, x.flip(0)[:1]])
    reference, of_more = net(x), net(more)
    scripted = torch.jit.script(net)
    close(scripted(x), reference, 1e-5)
    close(scripted(more), of_more, 1e-5)
    traced = torch.jit.trace(net, x)
    close(traced(more), of_more, 1e-5)
    exported = torch.export.export(net, (x,), strict=True)
    close(exported.module()(x), reference, 1e-5)
    check_graph(exported)
    exported = torch.export.export(net, (x,), dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=64)},), strict=True)
    close(exported.module()(more), of_more, 1e-5)
    torch._dynamo.reset()
    compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
    close(compiled(x), reference, 1e-5)
    close(compiled(more), of_more, 1e-5)
    if inductor:
        torch._dynamo.reset()
        close(torch.compile(net, fullgraph=True)(x), reference, 1e-4)
    torch._dynamo.reset()


def check_graph(exported) -> None:
    for node in exported.graph.nodes:
        value = node.meta.get("val")
        rank = value.dim() if isinstance(value, torch.Tensor) else 0
        assert rank <= 4, f"{node.name} has {rank} axes"
        assert not any(word in str(node.target) for word in FORBIDDEN), f"{node.target} in the exported graph"


def check_training(net: torch.nn.Module, x: torch.Tensor) -> None:
    net.train()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    # A block that stochastic depth drops for every image has gradients of 0: several images, and a seed.
    torch.manual_seed(0)
    before = [p.detach().clone() for p in net.parameters()]
    outputs = net(torch.cat([x, x.flip(3)]))
    if isinstance(outputs, torch.Tensor) and outputs.dim() == 2:
        torch.nn.functional.cross_entropy(outputs, torch.arange(len(outputs)) % outputs.shape[1]).backward()
    else:
        # Some loss that reads every value of what a head gives.
        sum((one - one.detach().cos()).square().mean() for one in (outputs if isinstance(outputs, tuple) else (outputs,))).backward()
    missing = [n for n, p in net.named_parameters() if p.grad is None or not bool(p.grad.isfinite().all())]
    assert not missing, f"no finite gradient: {missing[:6]}"
    optimizer.step()
    changed = sum(not torch.equal(a, b) for a, b in zip(before, net.parameters()))
    assert changed > len(before) / 2, f"a step changed {changed} of {len(before)} parameters"
    net.eval()


def check(path: Path, everything: bool, inductor: bool) -> dict:
    source = load_source(path)
    torch.manual_seed(0)
    net = source.build()
    tensors = json.loads(path.with_suffix(".json").read_text())
    check_tensors(net, tensors)
    check_initial(net, tensors)
    net.load_state_dict(load_file(path.with_suffix(".safetensors")), strict=True)
    io = load_file(path.with_suffix(".io.safetensors"))
    images, single = io["images"], io["images"].float()
    with torch.no_grad():
        outputs = tuple(io[f"output.{i}"] for i in range(len(io) - 1))
        limit = 1e-8 if hasattr(source, "fourier") else 1e-9
        found = {"outputs": close(net.double().eval()(images), outputs if len(outputs) > 1 else outputs[0], limit)}
        net.float()
        check_sizes(net, source.__doc__, single)
        if everything:
            check_forms(net, single, inductor)
    if everything:
        check_training(net, single)
    return found


def main() -> int:
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    folder, *rest = sys.argv[1:] or sys.exit(__doc__)
    inductor = rest[rest.index("--inductor") + 1].split(",") if "--inductor" in rest else []
    paths = sorted(Path(folder).glob("*.py"))
    failed = 0 if paths else 1
    for path in paths:
        began = time.perf_counter()
        try:
            found = {"ok": True, **check(path, "--all" in rest, path.stem in inductor)}
        except Exception as error:
            where = traceback.format_exc().strip().splitlines()
            found = {"ok": False, "error": f"{type(error).__name__}: {error}"[:2000], "at": where[-3:]}
            failed += 1
        seconds = round(time.perf_counter() - began, 1)
        print(json.dumps({"name": path.stem, **found, "seconds": seconds}), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
