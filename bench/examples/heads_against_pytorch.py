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
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path


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
    seen = {form: [] for form in forms}
    with torch.inference_mode():
        for turn in range(rounds + 3):
            for form, run in forms.items():
                began = time.perf_counter()
                run(x)
                if turn >= 3:
                    seen[form].append((time.perf_counter() - began) * 1e3)
    return {form: statistics.median(times) for form, times in seen.items()}


def output(command: list[str]) -> dict:
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)


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
    commands = {
        "ours": [args.program, "--engines", "libtorch", *rounds, "--head", args.head, network],
        "theirs": [sys.executable, __file__, str(args.source), "--side", str(args.side), *rounds],
    }
    ratios, times = {"eager": [], "optimized": []}, []
    for _ in range(args.processes):
        turn = {which: output(commands[which]) for which in random.sample(["ours", "theirs"], 2)}
        own = turn["ours"]["models"][network]["median_ms"]["libtorch"]
        times.append(own)
        for form in ratios:
            ratios[form].append(own / turn["theirs"][form])
    words = [f"{form} {statistics.median(r):.3f} ({min(r):.3f} to {max(r):.3f})" for form, r in ratios.items()]
    print(f"{args.head} on {network}: {statistics.median(times):.2f} ms, relative to {', to '.join(words)}")


if __name__ == "__main__":
    main()
