#!/usr/bin/env python3
"""Trains a segmentation network in PyTorch as `mobilenas train` trains it, and scores its class maps at the images' sizes.

    python deeplabv3_in_pytorch.py SOURCE DATA --backbone FILE --epochs 20 --batch 16 --lr 0.002

SOURCE is a folder that `mobilenas weights export --format pytorch` wrote for a network with a segmentation head; its layers
are used, not its weights: `build()` initialises them, and the backbone's come from FILE, a classifier that `mobilenas train`
wrote. DATA is a folder that `mobilenas data shapes` wrote. The shorter side of an image becomes a random one between
--short-min and --short-max by Pillow, then it is mirrored or not, and a random square is cut out in which no class has 75 %
of the pixels, if one of ten squares is so. The loss is PyTorch's cross-entropy. Scored images are resized to squares.

Prints the loss every 200 steps, and mean IoU and pixel accuracy at the end. Needs torch, pillow, numpy and safetensors.
"""
import argparse
from pathlib import Path

import as_we_train
import numpy
import torch
from PIL import Image

IGNORED = 255


def pictures(data: Path, split: str) -> list[tuple[Image.Image, Image.Image]]:
    """Images and class maps."""
    names = (data / "ImageSets" / "Segmentation" / f"{split}.txt").read_text().split()
    image = [Image.open(data / "JPEGImages" / f"{name}.png").convert("RGB") for name in names]
    # The palette's numbers are the classes.
    return list(zip(image, (Image.open(data / "SegmentationClass" / f"{name}.png").copy() for name in names)))


def tensors(image: Image.Image, classes: Image.Image) -> tuple[torch.Tensor, torch.Tensor]:
    levels = torch.from_numpy(numpy.array(image)).permute(2, 0, 1)
    return levels.float() / 255, torch.from_numpy(numpy.array(classes)).long()


def augmented(image: Image.Image, classes: Image.Image, args: argparse.Namespace) -> tuple[torch.Tensor, torch.Tensor]:
    """A random square of the image at a random size."""
    draw = lambda low, high: int(torch.randint(low, high + 1, ()))
    scale = draw(args.short_min, args.short_max) / min(image.size)
    size = tuple(max(1, round(side * scale)) for side in image.size)
    image, classes = image.resize(size, Image.Resampling.BILINEAR), classes.resize(size, Image.Resampling.NEAREST)
    x, y = tensors(image, classes)
    if torch.rand(()) < 0.5:
        x, y = x.flip(2), y.flip(1)
    right, below = max(0, args.side - x.shape[2]), max(0, args.side - x.shape[1])
    x = torch.nn.functional.pad(x, (0, right, 0, below))
    y = torch.nn.functional.pad(y, (0, right, 0, below), value=IGNORED)
    for _ in range(10):
        top, left = draw(0, y.shape[0] - args.side), draw(0, y.shape[1] - args.side)
        part = y[top: top + args.side, left: left + args.side]
        counts = torch.bincount(part[part != IGNORED])
        if counts.sum() > 0 and counts.max() / counts.sum() < 0.75:
            break
    return x[:, top: top + args.side, left: left + args.side], part


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    as_we_train.add_arguments(parser, epochs=20, batch=16, clip=10, side=160)
    parser.add_argument("--short-min", type=int, default=160)
    parser.add_argument("--short-max", type=int, default=200)
    parser.add_argument("--align-corners", action="store_true", help="resizes logits corner to corner")
    args = parser.parse_args()
    net = as_we_train.network(args)
    scenes = pictures(args.data, "train")

    def loss(batch: list[int]) -> torch.Tensor:
        x, y = (torch.stack(t) for t in zip(*(augmented(*scenes[i], args) for i in batch)))
        logits = torch.nn.functional.interpolate(net(x), y.shape[1:], mode="bilinear", align_corners=args.align_corners)
        return torch.nn.functional.cross_entropy(logits, y, ignore_index=IGNORED)

    as_we_train.train(net, len(scenes), loss, args)
    confusion, scenes = 0, pictures(args.data, "val")
    with torch.no_grad():
        for image, classes in scenes:
            x, _ = tensors(image.resize((args.side, args.side), Image.Resampling.BILINEAR), classes)
            _, y = tensors(image, classes)
            logits = torch.nn.functional.interpolate(net(x[None]), y.shape, mode="bilinear", align_corners=args.align_corners)
            known = y != IGNORED
            pair = y[known] * logits.shape[1] + logits[0].argmax(0)[known]
            confusion += torch.bincount(pair, minlength=logits.shape[1] ** 2).reshape(logits.shape[1], -1)
    hits, present = confusion.diag(), confusion.sum(1) > 0
    iou = hits / (confusion.sum(0) + confusion.sum(1) - hits)
    accuracy = hits.sum() / confusion.sum()
    print(f"mIoU {100 * iou[present].mean():.2f} %, pixel accuracy {100 * accuracy:.2f} % of {len(scenes)} images")


if __name__ == "__main__":
    main()
