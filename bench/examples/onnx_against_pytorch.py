#!/usr/bin/env python3
"""Latency of our ONNX files over those that PyTorch exports of timm's models, both on ONNX Runtime in one process.

    cargo run -p mobilenas-bench --example onnx_files DIR mobilevit_xxs ...
    python onnx_against_pytorch.py DIR [--rounds 60] [--threads 1]

One image. The two sessions run in turn, each round in random order; printed are both medians in milliseconds, and the
median over the rounds of the ratio within a round, with its middle half. Needs torch, timm, onnx and onnxruntime.
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
    """PyTorch's own file of timm's model."""
    path = folder / f"{name}.pytorch.onnx"
    if not path.exists():
        model = timm.create_model(name).eval()
        side = model.default_cfg["input_size"][-1]
        torch.onnx.export(model, torch.randn(1, 3, side, side), str(path), dynamo=False, opset_version=17)
    return path


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--export-only", action="store_true")
    args = parser.parse_args()
    for ours in sorted(p for p in args.folder.glob("*.onnx") if ".pytorch" not in p.name):
        theirs = exported(ours.stem, args.folder)
        if args.export_only:
            continue
        seen = [[], []]
        # What is loaded first may be a little slower, so each is first for half of the rounds.
        for files in ([ours, theirs], [theirs, ours]):
            loaded = {f: session(f, args.threads) for f in files}
            runs = [loaded[ours], loaded[theirs]]
            shape = runs[0].get_inputs()[0].shape
            image = numpy.random.default_rng(0).standard_normal(shape).astype(numpy.float32)
            for round_number in range(args.rounds // 2 + 5):
                for which in random.sample([0, 1], 2):
                    name = runs[which].get_inputs()[0].name
                    begin = time.perf_counter()
                    runs[which].run(None, {name: image})
                    if round_number >= 5:
                        seen[which].append((time.perf_counter() - begin) * 1e3)
        ratios = [a / b for a, b in zip(*seen)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        a, b = map(statistics.median, seen)
        print(f"{ours.stem:24} ours {a:7.3f}  PyTorch's {b:7.3f}  ratio {middle:.3f} [{low:.3f}, {high:.3f}]", flush=True)


main()
