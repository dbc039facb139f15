#!/usr/bin/env python3
"""Training steps of one network by mobilenas, PyTorch eager and torch.compile, in turn; prints one JSON object."""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import timm
import torch


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mobilenas", default="target/debug/mobilenas", help="the program")
    parser.add_argument("--model", default="mobilevit_s")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=50, help="steps that count, after three that do not")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    return parser.parse_args()


def mobilenas(args):
    """Images per second of the program's own step."""
    numbers = {name: str(getattr(args, name)) for name in ("size", "batch", "classes", "steps", "threads", "device")}
    command = [args.mobilenas, "bench", "train", "--models", args.model, "--amp", "--json"]
    command += [word for name, value in numbers.items() for word in (f"--{name}", value)]
    libtorch = str(pathlib.Path(torch.__file__).parent)
    done = subprocess.run(command, env={**os.environ, "MOBILENAS_LIBTORCH": libtorch}, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)["images_per_second"][args.model]


class Peer:
    """timm's network under PyTorch."""

    def __init__(self, args, compiled):
        self.args = args
        network = timm.create_model(args.model, num_classes=args.classes).to(args.device)
        network = network.to(memory_format=torch.channels_last).train()
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.01)
        self.network = torch.compile(network) if compiled else network
        images = torch.randn(args.batch, 3, args.size, args.size, device=args.device)
        self.images = images.to(memory_format=torch.channels_last)
        self.labels = torch.randint(args.classes, (args.batch,), device=args.device)

    def step(self):
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.args.device, torch.bfloat16):
            logits = self.network(self.images)
        loss = torch.nn.functional.cross_entropy(logits.float(), self.labels, label_smoothing=0.1)
        loss.backward()
        self.optimizer.step()
        if self.args.device == "cuda":
            torch.cuda.synchronize()

    def rate(self):
        seconds = []
        for step in range(self.args.steps + 3):
            begin = time.perf_counter()
            self.step()
            if step >= 3:
                seconds.append(time.perf_counter() - begin)
        return self.args.batch / statistics.median(seconds)


def main():
    args = arguments()
    if args.device == "cuda" and not torch.cuda.is_available():
        sys.exit("no GPU that PyTorch can use; --device cpu tries the program out")
    torch.set_num_threads(args.threads)
    seen = {"mobilenas": [], "eager": [], "compiled": []}
    for _ in range(args.rounds):
        seen["mobilenas"].append(mobilenas(args))
        # One network at a time in the GPU's memory.
        for name in ("eager", "compiled"):
            peer = Peer(args, name == "compiled")
            seen[name].append(peer.rate())
            del peer
            if args.device == "cuda":
                torch.cuda.empty_cache()
        print({name: round(rates[-1], 1) for name, rates in seen.items()}, file=sys.stderr)
    ratio = lambda other: statistics.median(a / b for a, b in zip(seen["mobilenas"], seen[other]))
    print(json.dumps({
        "device": torch.cuda.get_device_name() if args.device == "cuda" else "cpu",
        "torch": torch.__version__, "cuda": torch.version.cuda, "timm": timm.__version__, **vars(args),
        "images_per_second": seen, "median": {name: statistics.median(rates) for name, rates in seen.items()},
        "over_eager": ratio("eager"), "over_compiled": ratio("compiled"),
    }, indent=1))


main()
