#!/usr/bin/env python3
"""Trains a detector with torchvision's SSD as `mobilenas train` trains it, and scores it with pycocotools.

    python ssdlite_in_torchvision.py SOURCE DATA --backbone FILE --epochs 22 --batch 8 --lr 0.002

SOURCE is a folder that `mobilenas weights export --format pytorch` wrote for a network with the head `ssdlite`; its layers
are used, not its weights: `build()` initialises them, and the backbone's come from FILE, a classifier that `mobilenas train`
wrote. Anchors, matching, the coding of boxes, the loss with its hard negatives, and non-maximum suppression are those of
torchvision.models.detection. DATA is a folder that `mobilenas data shapes` wrote. Images are resized to squares by Pillow;
augmentation is mirroring alone. AdamW, a linear warm-up and a cosine for each step, clipping by norm, averaged weights.

Prints the loss every 200 steps and the two average precisions at the end. Needs torch, torchvision, pycocotools,
pillow and safetensors.
"""
import argparse
import contextlib
import io
import json
from pathlib import Path

import as_we_train
import torch
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.ssd import SSD
from torchvision.ops import box_iou


class Network(torch.nn.Module):
    """The exported network with its outputs under torchvision's names."""

    def __init__(self, net: torch.nn.Module):
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        boxes, scores = self.net(x)
        return {"bbox_regression": boxes, "cls_logits": scores}


def map_sizes(side: int) -> list[tuple[int, int]]:
    """Six maps at strides 16 to 256, and one of a single position."""
    sides, at = [side // 16], side // 16
    while len(sides) < 5:
        at = (at + 1) // 2
        sides.append(at)
    return [(s, s) for s in sides + [1]]


def pictures(data: Path, split: str, side: int):
    """Images as bytes [N, 3, side, side], boxes in pixels of the square, labels from 1, ids and sizes."""
    file = data / "annotations" / f"instances_{split}.json"
    coco = json.loads(file.read_text())
    classes = {c["id"]: i + 1 for i, c in enumerate(coco["categories"])}
    objects = {i["id"]: [] for i in coco["images"]}
    for a in coco["annotations"]:
        objects[a["image_id"]].append(a)
    images, targets = torch.empty(len(coco["images"]), 3, side, side, dtype=torch.uint8), []
    for k, i in enumerate(coco["images"]):
        picture = Image.open(data / "JPEGImages" / i["file_name"]).convert("RGB")
        square = picture.resize((side, side), Image.Resampling.BILINEAR)
        images[k] = torch.frombuffer(bytearray(square.tobytes()), dtype=torch.uint8).reshape(side, side, 3).permute(2, 0, 1)
        scale = torch.tensor([side / i["width"], side / i["height"]]).repeat(2)
        xywh = torch.tensor([a["bbox"] for a in objects[i["id"]]]).reshape(-1, 4)
        boxes = torch.cat([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], 1) * scale
        labels = torch.tensor([classes[a["category_id"]] for a in objects[i["id"]]], dtype=torch.int64)
        targets.append({"boxes": boxes, "labels": labels, "id": i["id"], "scale": scale})
    return images, targets, file, {i: c for c, i in classes.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    as_we_train.add_arguments(parser, epochs=22, batch=8, clip=10, side=192)
    args = parser.parse_args()
    net = as_we_train.network(args)

    sizes = map_sizes(args.side)
    anchors_of = DefaultBoxGenerator([[2, 3]] * 5 + [[2]], scales=[0.1 + 0.95 / 6 * i for i in range(7)], clip=True)
    network = Network(net)
    classes = net(torch.zeros(2, 3, args.side, args.side))[1].shape[-1]
    ssd = SSD(
        network, anchors_of, (args.side, args.side), classes, head=torch.nn.Identity(), iou_thresh=0.5,
        score_thresh=0.01, nms_thresh=0.5, detections_per_img=200, topk_candidates=400, positive_fraction=0.25,
    )
    maps = [torch.zeros(1, 1, *size) for size in sizes]
    anchors = anchors_of(ImageList(torch.zeros(1, 3, args.side, args.side), [(args.side, args.side)]), maps)[0]
    assert len(anchors) == net(torch.zeros(2, 3, args.side, args.side))[0].shape[1]

    images, targets, _, _ = pictures(args.data, "train", args.side)

    def loss(batch: list[int]) -> torch.Tensor:
        x, wanted, matched = [], [], []
        for i in batch:
            image, boxes = images[i].float() / 255, targets[i]["boxes"]
            if torch.rand(()) < 0.5:
                image = image.flip(2)
                boxes = torch.stack([args.side - boxes[:, 2], boxes[:, 1], args.side - boxes[:, 0], boxes[:, 3]], 1)
            x.append(image)
            wanted.append({"boxes": boxes, "labels": targets[i]["labels"]})
            matched.append(ssd.proposal_matcher(box_iou(boxes, anchors)))
        outputs = network(torch.stack(x))
        return sum(ssd.compute_loss(wanted, outputs, [anchors] * len(batch), matched).values())

    as_we_train.train(net, len(images), loss, args)
    images, targets, file, ids = pictures(args.data, "val", args.side)
    found = []
    with torch.no_grad():
        for i, target in enumerate(targets):
            outputs = network(images[i: i + 1].float() / 255)
            side = (args.side, args.side)
            one = ssd.postprocess_detections(outputs, [anchors], [side])[0]
            boxes = one["boxes"] / target["scale"]
            for box, score, label in zip(boxes.tolist(), one["scores"].tolist(), one["labels"].tolist()):
                xywh = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
                found.append({"image_id": target["id"], "category_id": ids[label], "bbox": xywh, "score": score})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(file))
        evaluator = COCOeval(truth, truth.loadRes(found), "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    print(f"mAP {100 * evaluator.stats[0]:.2f} %, mAP@.5 {100 * evaluator.stats[1]:.2f} % of {len(targets)} images")


if __name__ == "__main__":
    main()
