"""Trains an exported network in PyTorch with the schedule of `mobilenas train`; shared by the experiments beside it.

AdamW, a linear warm-up and a cosine for each step, clipping by norm, averaged weights. Vectors do not decay.
"""
import argparse
import importlib.util
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file


def add_arguments(parser: argparse.ArgumentParser, epochs: float, batch: int, clip: float, side: int) -> None:
    """The arguments of a training, with an experiment's own defaults."""
    parser.add_argument("source", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--backbone", type=Path)
    parser.add_argument("--epochs", type=float, default=epochs)
    parser.add_argument("--batch", type=int, default=batch)
    parser.add_argument("--lr", type=float, default=0.002)
    parser.add_argument("--min-lr", type=float, default=0.00003)
    parser.add_argument("--warmup", type=float, default=0.2, help="epochs")
    parser.add_argument("--weight-decay", type=float, default=0.01)
    parser.add_argument("--clip", type=float, default=clip)
    parser.add_argument("--ema", type=float, default=0.999)
    parser.add_argument("--held-out", type=int, default=50, help="training images that are not used")
    parser.add_argument("--side", type=int, default=side)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)


def network(args: argparse.Namespace) -> torch.nn.Module:
    """The network of the folder `args.source` with new weights, its backbone's from `args.backbone`."""
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    torch.set_flush_denormal(True)
    (file,) = (f for f in args.source.glob("*.py") if f.name != "example.py")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    source = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = source
    spec.loader.exec_module(source)
    net = source.build()
    if args.backbone:
        given = {f"backbone.{name}": t for name, t in load_file(args.backbone).items()}
        known = {name: t for name, t in given.items() if name in net.state_dict()}
        missing, _ = net.load_state_dict(known, strict=False)
        left = [name for name in missing if name.startswith("backbone.")]
        print(f"backbone: {len(known)} tensors, not in the file: {left}", flush=True)
    return net


def train(net: torch.nn.Module, images: int, loss: Callable[[list[int]], torch.Tensor], args: argparse.Namespace) -> None:
    """Trains on all of `images` but those held out; `loss` takes a batch's numbers. Leaves the averaged weights."""
    keep = torch.randperm(images)[args.held_out:].tolist()
    decayed = [p for p in net.parameters() if p.dim() > 1]
    plain = [p for p in net.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": args.weight_decay}, {"params": plain, "weight_decay": 0.0}], lr=args.lr
    )
    averages = {name: t.clone() for name, t in net.state_dict().items() if t.is_floating_point()}
    per_epoch = len(keep) // args.batch
    steps, warm = round(args.epochs * per_epoch), round(args.warmup * per_epoch)
    began, order, shown = time.time(), [], []
    net.train()
    for step in range(steps):
        if len(order) < args.batch:
            order = [keep[i] for i in torch.randperm(len(keep)).tolist()]
        batch, order = order[: args.batch], order[args.batch:]
        share = (step + 1) / warm if step < warm else None
        cosine = 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
        lr = args.lr * share if share else args.min_lr + (args.lr - args.min_lr) * cosine
        for group in optimizer.param_groups:
            group["lr"] = lr
        value = loss(batch)
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), args.clip)
        optimizer.step()
        decay = min(args.ema, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, t in net.state_dict().items():
                if name in averages:
                    averages[name].lerp_(t, 1 - decay)
        shown.append(float(value.detach()))
        if (step + 1) % 200 == 0 or step + 1 == steps:
            seconds = time.time() - began
            rate = (step + 1) * args.batch / seconds
            print(f"step {step + 1}/{steps}: loss {sum(shown) / len(shown):.3f}, {rate:.0f} images/s", flush=True)
            shown.clear()
    net.load_state_dict(averages, strict=False)
    net.eval()
