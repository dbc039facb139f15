"""python where_eager_spends.py MODEL[@SIDE]... [--threads 1] [--runs 15]

Where PyTorch's eager form of timm's models spends its time, one image, by operation: share of the time inside operations, that of
each operation alone (without those it calls), from PyTorch's own profiler. What stands under a kernel's own name, such as
_slow_conv2d_forward, is that kernel.
"""
import argparse
import collections
import json

import timm
import torch
from torch.profiler import ProfilerActivity, profile

parser = argparse.ArgumentParser()
parser.add_argument("models", nargs="+")
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--runs", type=int, default=15)
args = parser.parse_args()
torch.set_num_threads(args.threads)

out = {"torch": torch.__version__, "timm": timm.__version__, "threads": args.threads, "runs": args.runs, "models": {}}
for word in args.models:
    name, _, side = word.partition("@")
    model = timm.create_model(name).eval()
    side = int(side or model.default_cfg["input_size"][1])
    x = torch.rand(1, 3, side, side)
    with torch.inference_mode():
        for _ in range(5):
            model(x)
        with profile(activities=[ProfilerActivity.CPU]) as seen:
            for _ in range(args.runs):
                model(x)
    own = collections.Counter()
    calls = collections.Counter()
    for event in seen.key_averages():
        own[event.key] += event.self_cpu_time_total
        calls[event.key] += event.count
    total = sum(own.values())
    rows = [(k, round(100 * t / total, 1), calls[k] // args.runs) for k, t in own.most_common() if t > 0.01 * total]
    out["models"][f"{name}@{side}"] = [{"operation": k, "percent": p, "calls": n} for k, p, n in rows]
print(json.dumps(out, indent=1))
