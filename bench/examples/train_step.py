#!/usr/bin/env python3
"""Training steps of this program beside PyTorch's, eager and with torch.compile: the same networks, in turn.

    python bench/examples/train_step.py --program mobilenas mobilevit_xxs --size 32 --batch 128 --threads 1

PyTorch trains the source that `weights export --format pytorch` writes, which has the network's own tensors and initial
values' distributions. A step is forward, cross-entropy with label smoothing, backward and AdamW. Each round runs the
program, eager PyTorch and torch.compile once, in random order, each in a process of its own; a process's figure is the
median over its steps after three that do not count. Printed are the medians over rounds, in images per second, and the
median over rounds of the program's speed over each. Needs torch; torch.compile needs a C++ compiler too.
"""
import argparse
import importlib.util
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve()


def parsed():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--program", default="mobilenas")
    for name, default in [("size", 32), ("batch", 128), ("classes", 10), ("threads", 1), ("steps", 12), ("rounds", 5)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--step", choices=["eager", "compile"], help=argparse.SUPPRESS)
    parser.add_argument("--source", help=argparse.SUPPRESS)
    return parser.parse_args()


def pytorch(a):
    """Images per second of the source file's network."""
    import torch

    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    spec = importlib.util.spec_from_file_location("network", a.source)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.build().train().to(memory_format=torch.channels_last)
    run = torch.compile(model) if a.step == "compile" else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    images = torch.randn(a.batch, 3, a.size, a.size).to(memory_format=torch.channels_last)
    labels = torch.randint(a.classes, (a.batch,))
    seen = []
    for step in range(a.steps + 3):
        begin = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        out = run(images)
        heads = out if isinstance(out, (tuple, list)) else [out]
        loss = sum(torch.nn.functional.cross_entropy(h, labels, label_smoothing=0.1) for h in heads) / len(heads)
        loss.backward()
        optimizer.step()
        if step >= 3:
            seen.append(time.perf_counter() - begin)
    return a.batch / statistics.median(seen)


def ours(a, model):
    flags = ["--models", model, "--json"]
    for name in ["size", "batch", "classes", "threads", "steps"]:
        flags += [f"--{name}", str(getattr(a, name))]
    said = subprocess.run([a.program, "bench", "train", *flags], check=True, capture_output=True, text=True).stdout
    return json.loads(said)["images_per_second"][model]


def theirs(a, source, step):
    command = [sys.executable, str(HERE), "-", "--step", step, "--source", str(source)]
    for name in ["size", "batch", "classes", "threads", "steps"]:
        command += [f"--{name}", str(getattr(a, name))]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main():
    a = parsed()
    if a.step:
        print(pytorch(a))
        return
    random.seed(a.seed)
    for model in a.models:
        with tempfile.TemporaryDirectory() as folder:
            sizes = ["--resolution", str(a.size), "--classes", str(a.classes)]
            export = ["weights", "export", "--model", model, "--format", "pytorch", *sizes, "--out", folder]
            subprocess.run([a.program, *export], check=True, capture_output=True)
            source = Path(folder) / f"{model}.py"
            runs = {
                "mobilenas": lambda: ours(a, model),
                "eager": lambda: theirs(a, source, "eager"),
                "torch.compile": lambda: theirs(a, source, "compile"),
            }
            seen = {name: [] for name in runs}
            for _ in range(a.rounds):
                for name in random.sample(list(runs), len(runs)):
                    seen[name].append(runs[name]())
        speeds = ", ".join(f"{name} {statistics.median(all_of):.0f} images/s" for name, all_of in seen.items())
        over = {n: statistics.median(x / y for x, y in zip(seen["mobilenas"], seen[n])) for n in seen if n != "mobilenas"}
        ratios = ", ".join(f"{ratio:.2f} x {name}" for name, ratio in over.items())
        print(f"{model} at {a.size} px, batch {a.batch}: {speeds}; mobilenas is {ratios}", flush=True)


if __name__ == "__main__":
    main()
