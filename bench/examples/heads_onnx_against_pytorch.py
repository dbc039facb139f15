#!/usr/bin/env python3
"""Our ONNX file of a network with a head beside the one that torch.onnx.export makes of the same network.

    mobilenas weights export --model M --head H --resolution R --classes C --format pytorch --out SOURCE
    mobilenas weights import SOURCE/M.safetensors --model M --head H --resolution R --classes C --out w.safetensors
    mobilenas weights export --model M --head H --resolution R --weights w.safetensors --out OURS.onnx
    python heads_onnx_against_pytorch.py SOURCE OURS.onnx --side R

Both files run on ONNX Runtime, one thread, one image, in turn; they are loaded anew --loads times. Printed are the ratio of
our time to theirs for each load, the median, and the largest difference of each output. Needs torch, onnx, onnxruntime and
safetensors.
"""
import argparse
import random
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import emitted
import onnxruntime
import torch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("ours", type=Path)
    parser.add_argument("--side", type=int, required=True)
    parser.add_argument("--loads", type=int, default=8)
    parser.add_argument("--calls", type=int, default=25)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    net = emitted.load(args.source)
    x = torch.rand(1, 3, args.side, args.side)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        theirs = Path(folder) / "theirs.onnx"
        torch.onnx.export(net, (x,), str(theirs), dynamo=False, opset_version=17)
        ratios = []
        for _ in range(args.loads):
            sessions = [onnxruntime.InferenceSession(f, options, ["CPUExecutionProvider"]) for f in (args.ours, theirs)]
            feeds = [{s.get_inputs()[0].name: x.numpy()} for s in sessions]
            times = [[], []]
            for _ in range(args.calls):
                for k in random.sample([0, 1], 2):
                    began = time.perf_counter()
                    sessions[k].run(None, feeds[k])
                    times[k].append(time.perf_counter() - began)
            # The first calls are warm-up.
            ratios.append(statistics.median(times[0][3:]) / statistics.median(times[1][3:]))
        outputs = [s.run(None, f) for s, f in zip(sessions, feeds)]
    print("ours over theirs:", " ".join(f"{r:.3f}" for r in ratios), f"median {statistics.median(ratios):.3f}")
    print("largest differences:", " ".join(f"{abs(a - b).max():.1e}" for a, b in zip(*outputs)))


if __name__ == "__main__":
    main()
