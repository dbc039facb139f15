"""python score_in_torch.py FOLDER SCORE.json [--threads 2] [--repeats 3]

Scores the subnet that `mobilenas bench score CONFIG --json --export FOLDER > SCORE.json` wrote, as one does in PyTorch: builds the
same MobileViT by timm, copies the weights, recalibrates the batch norms and evaluates, on the same images in the same batches.
Prints seconds by part, top-1 of both, and how many times faster the program was.
"""
import argparse
import dataclasses
import json
import pathlib
import statistics
import time

import torch
from safetensors.torch import load_file
from timm.models.byobnet import ByobNet, ByoModelCfg
from timm.models.mobilevit import _inverted_residual_block, _mobilevit_block

parser = argparse.ArgumentParser()
parser.add_argument("folder", type=pathlib.Path)
parser.add_argument("score", type=pathlib.Path)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--repeats", type=int, default=3)
args = parser.parse_args()
torch.set_num_threads(args.threads)

score = json.loads(args.score.read_text())
weights = load_file(args.folder / "weights.safetensors")
images = load_file(args.folder / "images.safetensors")
knobs = json.loads((args.folder / "genome.json").read_text())


def build():
    """The network of the genome, in timm's words."""
    blocks = []
    for i in range(5):
        of = lambda name, default=None: knobs.get(f"stages.{i}.{name}", default)
        width, stride, expand = of("width"), of("stride"), float(of("expand"))
        if i < 2:
            blocks.append(_inverted_residual_block(of("depth", 1), width, stride, expand))
        else:
            first, second = _mobilevit_block(1, width, stride, of("dim"), of("depth"), of("patch"), expand)
            more = {"mlp_ratio": float(of("mlp")), "num_heads": of("heads")}
            blocks.append((first, dataclasses.replace(second, block_kwargs={**second.block_kwargs, **more})))
    cfg = ByoModelCfg(
        blocks=tuple(blocks), stem_chs=weights["stem.conv.weight"].shape[0], stem_type="3x3", stem_pool="", downsample="",
        act_layer="silu", num_features=weights["final_conv.conv.weight"].shape[0],
    )
    model = ByobNet(cfg, num_classes=weights["head.fc.weight"].shape[0], in_chans=3)
    if knobs["stem.stride"] != 2:
        raise SystemExit("timm's stem has stride 2; found another")
    model.load_state_dict(weights, strict=True)
    return model


@torch.inference_mode()
def once():
    parts, at = {}, time.perf_counter()

    def lap(name):
        nonlocal at
        now = time.perf_counter()
        parts[name], at = now - at, now

    model = build()
    lap("build")
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    model.train()
    three = lambda x: x.expand(-1, 3, -1, -1)
    for batch in images["calibration"].split(256):
        model(three(batch))
    lap("recalibrate")
    model.eval()
    right = 0
    for batch, labels in zip(images["validation"].split(score["batch"]), images["validation_labels"].split(score["batch"])):
        right += (model(three(batch)).argmax(1) == labels).sum().item()
    lap("evaluate")
    return parts, 100 * right / len(images["validation"])


once()
runs = sorted((once() for _ in range(args.repeats)), key=lambda r: sum(r[0].values()))
parts, top1 = runs[len(runs) // 2]
theirs = sum(parts.values())
ours = score["subnets"][0]
print(json.dumps({
    "torch": torch.__version__, "threads": args.threads, "seconds": theirs, **parts, "top1": top1,
    "mobilenas_seconds": ours["seconds"], "mobilenas_top1": ours["metrics"]["top1"], "times_faster": theirs / ours["seconds"],
}, indent=1))
