#!/usr/bin/env python3
"""The engine libtorch on a network with a head beside the same network in PyTorch: eager, and optimised for inference.

    mobilenas weights export --model M --head H --resolution R --classes C --format pytorch --out SOURCE
    cargo build -p mobilenas-bench --example engines
    python heads_against_pytorch.py SOURCE target/debug/examples/engines --model M --head H --side R

One image, one thread. Processes of the program and of PyTorch run in turn, in random order; a process's figure is the median
of its runs. Printed is the median over processes of the program's time over PyTorch's of the same turn, with the smallest and
the largest. The program has the head's published number of classes: give the export no --classes, or the same number. Needs
torch and safetensors, and the environment that `cargo xtask env` prints.
"""
import argparse
import json
import sys
from pathlib import Path

import paired


def in_pytorch(source: Path, side: int, rounds: int) -> dict[str, float]:
    """Medians of the runs in this process, in ms."""
    import emitted
    import torch

    torch.set_num_threads(1)
    net = emitted.load(source)
    x = torch.randn(1, 3, side, side)
    with torch.no_grad():
        traced = torch.jit.freeze(torch.jit.trace(net, x, check_trace=False))
        forms = {"eager": net, "optimized": torch.jit.optimize_for_inference(traced)}
    return paired.medians(forms, x, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("program", nargs="?")
    parser.add_argument("--model")
    parser.add_argument("--head")
    parser.add_argument("--side", type=int, required=True)
    parser.add_argument("--processes", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    if not args.program:
        return print(json.dumps(in_pytorch(args.source, args.side, args.rounds)))
    network, rounds = f"{args.model}@{args.side}", ["--rounds", str(args.rounds)]
    ours = [args.program, "--engines", "libtorch", *rounds, "--head", args.head, network]
    theirs = [sys.executable, __file__, str(args.source), "--side", str(args.side), *rounds]
    print(f"{args.head} on {network}: {paired.in_words(network, ours, theirs, args.processes)}")


if __name__ == "__main__":
    main()
