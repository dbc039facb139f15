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
import sys

import paired


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
    return paired.medians(forms, x, rounds)


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
        print(f"{name:24} {paired.in_words(name, ours, theirs, args.processes)}", flush=True)


main()
