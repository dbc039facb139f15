#!/usr/bin/env python3
"""The engine libtorch beside timm's models: eager, and after `torch.jit.optimize_for_inference`.

    cargo build -p mobilenas-bench --example engines
    python engines_against_timm.py target/debug/examples/engines [--processes 5] [--rounds 15] MODEL ...

One image, one thread. For each network, processes of the program and processes of PyTorch run in turn, in random order;
a process's figure is the median of its runs. Printed is the median over processes of the program's time over PyTorch's of
the same turn, with the smallest and the largest. Models that are trained with parallel branches are folded before they are
timed, as the program does (`timm.utils.reparameterize_model`). Needs torch and timm, and the environment that `cargo xtask
env` prints.
"""
import argparse
import json
import random
import statistics
import subprocess
import sys
import time


def in_pytorch(name, rounds):
    """Medians of the runs of a model in this process, in ms."""
    import timm
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = timm.utils.reparameterize_model(timm.create_model(name).eval())
    side = model.default_cfg["input_size"][-1]
    x = torch.randn(1, 3, side, side)
    with torch.no_grad():
        traced = torch.jit.freeze(torch.jit.trace(model, x, check_trace=False))
        optimized = torch.jit.optimize_for_inference(traced)
    forms = {"eager": model, "optimized": optimized}
    seen = {form: [] for form in forms}
    with torch.inference_mode():
        for turn in range(rounds + 3):
            for form, run in forms.items():
                begin = time.perf_counter()
                run(x)
                if turn >= 3:
                    seen[form].append((time.perf_counter() - begin) * 1e3)
    return {form: statistics.median(times) for form, times in seen.items()}


def output(command):
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--processes", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    if args.program == "pytorch":
        return print(json.dumps(in_pytorch(args.models[0], args.rounds)))
    random.seed(1)
    for name in args.models:
        ours = [args.program, "--engines", "libtorch", "--rounds", str(args.rounds), name]
        theirs = [sys.executable, __file__, "pytorch", "--rounds", str(args.rounds), name]
        ratios, times = {"eager": [], "optimized": []}, []
        for _ in range(args.processes):
            turn = {which: None for which in random.sample(["ours", "theirs"], 2)}
            for which in turn:
                turn[which] = output(ours if which == "ours" else theirs)
            own = turn["ours"]["models"][name]["median_ms"]["libtorch"]
            times.append(own)
            for form in ratios:
                ratios[form].append(own / turn["theirs"][form])
        words = [f"{form} {statistics.median(r):.3f} ({min(r):.3f} to {max(r):.3f})" for form, r in ratios.items()]
        print(f"{name:24} {statistics.median(times):7.2f} ms, relative to {', to '.join(words)}", flush=True)


main()
