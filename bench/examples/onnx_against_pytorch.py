#!/usr/bin/env python3
"""Latency of our ONNX files over those that PyTorch exports of timm's models, both on ONNX Runtime in one process.

    cargo run -p mobilenas-bench --example onnx_files DIR mobilevit_xxs ...
    python onnx_against_pytorch.py DIR [--loads 20] [--rounds 30] [--threads 1] [--seed 1]

One image. Both files are loaded anew many times, in random order, since where a load happens to put the weights changes a
network's time by a percent or so. After each load the two sessions run in turn, each round in random order, which gives a
ratio of two medians. Printed are both medians over all loads in milliseconds, and the mean of the loads' ratios with its
95 % interval by a bootstrap over loads. Needs torch, timm, onnx and onnxruntime.
"""
import argparse
import random
import statistics
import time
from pathlib import Path

import numpy
import onnxruntime
import timm
import torch


def session(path, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def exported(name, folder):
    """PyTorch's own file of timm's model, untrained but for its batch norms.

    Those of an untrained network are all alike, so that PyTorch would store one bias for all convolutions of a width, which
    no trained network allows.
    """
    path = folder / f"{name}.pytorch.onnx"
    torch.manual_seed(0)
    model = timm.create_model(name).eval()
    with torch.no_grad():
        for norm in (m for m in model.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)):
            norm.bias.normal_(0, 0.1)
            norm.running_mean.normal_(0, 0.1)
            norm.running_var.uniform_(0.5, 1.5)
    # Parallel branches become one convolution, as in our files.
    model = timm.utils.reparameterize_model(model)
    side = model.default_cfg["input_size"][-1]
    torch.onnx.export(model, torch.randn(1, 3, side, side), str(path), dynamo=False, opset_version=17)
    return path


def medians(files, threads, rounds):
    """Both files loaded in random order, and the median time of each over the rounds in ms, after five rounds that do not count."""
    loaded = {f: session(f, threads) for f in random.sample(files, len(files))}
    runs = [loaded[f] for f in files]
    shape = runs[0].get_inputs()[0].shape
    image = numpy.random.default_rng(random.randrange(2**32)).standard_normal(shape).astype(numpy.float32)
    seen = [[] for _ in files]
    for round_number in range(rounds + 5):
        for which in random.sample(range(len(files)), len(files)):
            name = runs[which].get_inputs()[0].name
            begin = time.perf_counter()
            runs[which].run(None, {name: image})
            if round_number >= 5:
                seen[which].append((time.perf_counter() - begin) * 1e3)
    return [statistics.median(s) for s in seen]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--loads", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    random.seed(args.seed)
    for ours in sorted(p for p in args.folder.glob("*.onnx") if "." not in p.stem):
        theirs = exported(ours.stem, args.folder)
        loads = [medians([ours, theirs], args.threads, args.rounds) for _ in range(args.loads)]
        ratios = [a / b for a, b in loads]
        means = sorted(statistics.fmean(random.choices(ratios, k=len(ratios))) for _ in range(2000))
        a, b = (statistics.median(times) for times in zip(*loads))
        middle, low, high = statistics.fmean(ratios), means[49], means[1949]
        print(f"{ours.stem:24} ours {a:7.3f}  PyTorch's {b:7.3f}  ratio {middle:.4f} [{low:.4f}, {high:.4f}]", flush=True)


main()
