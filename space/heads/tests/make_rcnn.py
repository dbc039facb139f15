#!/usr/bin/env python3
"""Write golden outputs of Mask R-CNN for fixed, formula-made weights.

    pip install torch==2.11.0 torchvision==0.26.0 timm==1.0.31 numpy
    python make_rcnn.py rcnn.json.gz

The pyramid, the heads and RoIAlign are torchvision's, under the names that mmdetection has for their tensors; what torchvision
has otherwise is written here as mmdetection 2 has it: the level of a region, RoIAlign with aligned corners of pixels and as
many samples as a bin has positions, no box of the background, classes with the background last. Weights and images are those
of make_goldens.py, computed in float64; `told` is its. `regions` are rows of image, left, top, right, bottom; outputs after
them have a row for each, of which the first half is told as one image, the other as the second.
"""

import gzip
import json
import sys
from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.detection import mask_rcnn, rpn
from torchvision.models.detection.faster_rcnn import TwoMLPHead
from torchvision.ops import FeaturePyramidNetwork, roi_align
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

import importlib.util
from pathlib import Path

import make_goldens as made
from dense_reference import efficientformer

spec = importlib.util.spec_from_file_location("rcnn", Path(__file__).parents[3] / "search/dense/tests/make_rcnn.py")
rules = importlib.util.module_from_spec(spec)
spec.loader.exec_module(rules)

WIDTH, CLASSES, ANCHORS, STRIDES = 32, 7, 3, (4, 8, 16, 32)
NAMES = {
    "neck.inner_blocks.{}.0": "neck.lateral_convs.{}.conv",
    "neck.layer_blocks.{}.0": "neck.fpn_convs.{}.conv",
    "rpn.conv.0.0": "rpn_head.rpn_conv",
    "rpn.cls_logits": "rpn_head.rpn_cls",
    "rpn.bbox_pred": "rpn_head.rpn_reg",
    "box.fc6": "roi_head.bbox_head.shared_fcs.0",
    "box.fc7": "roi_head.bbox_head.shared_fcs.1",
    "fc_cls": "roi_head.bbox_head.fc_cls",
    "fc_reg": "roi_head.bbox_head.fc_reg",
    "mask.{}.0": "roi_head.mask_head.convs.{}.conv",
    "predictor.conv5_mask": "roi_head.mask_head.upsample",
    "predictor.mask_fcn_logits": "roi_head.mask_head.conv_logits",
}
NAMES = {k.format(i): v.format(i) for k, v in NAMES.items() for i in range(4)}


class MaskRCNN(nn.Module):
    def __init__(self, backbone, size, classes=CLASSES, width=WIDTH):
        super().__init__()
        self.backbone = efficientformer(backbone, size)
        self.neck = FeaturePyramidNetwork(self.backbone.channels, width, LastLevelMaxPool())
        self.rpn = rpn.RPNHead(width, ANCHORS)
        self.box = TwoMLPHead(width * 49, 4 * width)
        self.fc_cls, self.fc_reg = nn.Linear(4 * width, classes), nn.Linear(4 * width, 4 * (classes - 1))
        self.mask = mask_rcnn.MaskRCNNHeads(width, (width,) * 4, 1)
        self.predictor = mask_rcnn.MaskRCNNPredictor(width, width, classes - 1)

    def forward(self, x):
        """Rows of anchors, and the levels that regions are cut from."""
        levels = list(self.neck(OrderedDict(enumerate(self.backbone(x)))).values())
        rows = []
        for logits, offsets in zip(*self.rpn(levels)):
            n, _, h, w = logits.shape
            rows.append([rpn.permute_and_flatten(t, n, ANCHORS, c, h, w) for t, c in ((logits, 1), (offsets, 4))])
        scores, boxes = (torch.cat(part, 1) for part in zip(*rows))
        return {"rpn_scores": scores, "rpn_boxes": boxes}, levels[:-1]

    def cut(self, levels, regions, side):
        areas = (regions[:, 3] - regions[:, 1]) * (regions[:, 4] - regions[:, 2])
        at = torch.floor(torch.log2(areas.sqrt() / 56 + 1e-6)).clamp(0, 3).long()
        out = torch.zeros(len(regions), levels[0].shape[1], side, side, dtype=levels[0].dtype)
        for k, (level, stride) in enumerate(zip(levels, STRIDES)):
            mine = at == k
            out[mine] = roi_align(level, regions[mine], (side, side), 1 / stride, sampling_ratio=-1, aligned=True)
        return out

    def after(self, levels, regions):
        shared = self.box(self.cut(levels, regions, 7))
        return {
            "scores": self.fc_cls(shared),
            "boxes": self.fc_reg(shared),
            "masks": self.predictor(self.mask(self.cut(levels, regions, 14))),
        }


def renamed(key):
    module, _, leaf = key.rpartition(".")
    return f"{NAMES[module]}.{leaf}" if module in NAMES else key


def filled(model, scaled):
    official = {renamed(k): k for k in model.state_dict()}

    class Named(nn.Module):  # under the official names
        def state_dict(self):
            return {o: model.state_dict()[k] for o, k in official.items()}

        def load_state_dict(self, state, strict):
            return model.load_state_dict({official[o]: t for o, t in state.items()}, strict=strict)

    made.filled(Named(), scaled)
    return model.eval(), official


# Inside, at the border, beyond it; small, large, flat, tall; without an area.
REGIONS = [
    [0, 3.25, 5.5, 40.75, 33.125],
    [0, 0, 0, 128, 128],
    [1, -6.5, 20, 30.5, 141],
    [1, 64, 64, 66.5, 65.25],
    [0, 10, 60, 118, 71],
    [1, 90.5, 3, 97, 120],
    [1, 1, 2, 115, 119],
    [0, 50, 50, 50, 80],
]


OBJECTS = [
    [[0, 10, 12, 58, 70], [3, 60, 30, 120, 118], [5, 20, 90, 44, 110]],
    [[2, 5, 5, 122, 100], [2, 100, 100, 126, 125]],
]


def ellipse(box, size):
    x1, y1, x2, y2 = box.tolist()
    y, x = torch.meshgrid(torch.arange(size) + 0.5, torch.arange(size) + 0.5, indexing="ij")
    return ((2 * x - x1 - x2) / (x2 - x1)) ** 2 + ((2 * y - y1 - y2) / (y2 - y1)) ** 2 < 1


def encode(boxes, of, stds):
    centre, size = (of[:, :2] + of[:, 2:]) / 2, of[:, 2:] - of[:, :2]
    to, side = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    return torch.cat([(to - centre) / size, (side / size).log()], 1) / torch.tensor(stds, dtype=torch.float64)


def losses(model, outputs, levels, size):
    rules.SIZE = (float(size), float(size))
    shapes = [tuple(level.shape[-2:]) for level in levels] + [((levels[-1].shape[-1] + 1) // 2,) * 2]
    rules.LEVELS = tuple(shapes)
    by_level = rules.anchors()
    anchors = torch.cat(by_level)
    objects = [torch.tensor(o, dtype=torch.float64) for o in OBJECTS]
    count, found, wanted, off = 0, [], [], 0
    regions, classes, deltas, masks = [], [], [], []
    for i, rows in enumerate(objects):
        boxes, logits, offsets = rows[:, 1:], outputs["rpn_scores"][i, :, 0], outputs["rpn_boxes"][i]
        of = rules.matches(boxes, anchors, 0.7, 0.3, 0.3)
        positive, negative = of > 0, of == 0
        count += max(int(positive.sum()), 1) + max(int(negative.sum()), 1)
        found += [logits[positive], logits[negative]]
        wanted += [torch.ones_like(logits[positive]), torch.zeros_like(logits[negative])]
        off += (offsets[positive] - encode(boxes[of[positive] - 1], anchors[positive], (1, 1, 1, 1))).abs().sum()
        proposed = rules.proposals(by_level, logits, offsets, 2000, 1000)
        of = torch.cat([torch.arange(len(boxes)) + 1, rules.matches(boxes, proposed, 0.5, 0.5, 0.5)])
        proposed = torch.cat([boxes, proposed])
        regions.append(torch.cat([torch.full((len(proposed), 1), i), proposed], 1))
        own = rows[(of - 1).clamp(min=0)]
        classes.append(torch.where(of > 0, own[:, 0].long(), CLASSES - 1))
        deltas.append(encode(own[:, 1:], proposed, (0.1, 0.1, 0.2, 0.2)))
        drawn = torch.stack([ellipse(b, size) for b in boxes]).double()[:, None]
        at = torch.cat([(of[of > 0] - 1)[:, None], proposed[of > 0]], 1)
        masks.append(roi_align(drawn, at, (28, 28), 1.0, -1, aligned=True)[:, 0] >= 0.5)
    regions, classes, deltas = torch.cat(regions), torch.cat(classes), torch.cat(deltas)
    after = model.after(levels, regions)
    positive = (classes < CLASSES - 1).nonzero()[:, 0]
    boxes = after["boxes"].reshape(len(regions), -1, 4)[positive, classes[positive]]
    logits = model.after(levels, regions[positive])["masks"][torch.arange(len(positive)), classes[positive]]
    parts = [
        F.binary_cross_entropy_with_logits(torch.cat(found), torch.cat(wanted), reduction="sum") / count,
        off / count,
        F.cross_entropy(after["scores"], classes),
        (boxes - deltas[positive]).abs().sum() / len(regions),
        F.binary_cross_entropy_with_logits(logits, torch.cat(masks).double()),
    ]
    return {"parts": [made.number(v) for v in parts], "regions": len(regions), "with_object": len(positive)}


@torch.no_grad()
def golden(backbone, size):
    scaled = next((s for start, s in made.SCALED.items() if backbone.startswith(start)), {})
    model, official = filled(MaskRCNN(backbone, size), scaled)
    model, x = model.double(), made.image(size).double()
    regions = torch.tensor(REGIONS, dtype=torch.float64)
    outputs, levels = model(x)
    after = {k: v.reshape(2, len(REGIONS) // 2, *v.shape[1:]) for k, v in model.after(levels, regions).items()}
    state = model.state_dict()
    return {
        "case": f"mask_rcnn/{backbone}@{size}",
        "model": backbone,
        "resolution": size,
        "width": WIDTH,
        "classes": CLASSES,
        "params": sum(p.numel() for p in model.parameters()),
        "scaled": scaled,
        "state_dict": {o: list(state[k].shape) for o, k in official.items()},
        "regions": REGIONS,
        "objects": OBJECTS,
        "losses": losses(model, outputs, levels, size),
        "outputs": {k: made.told(v) for k, v in (outputs | after).items()},
    }


def main():
    out = {"goldens": [golden("efficientformerv2_s0", 128), golden("efficientformer_l1", 128)]}
    with open(sys.argv[1], "wb") as file, gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
        packed.write(json.dumps(out).encode())


if __name__ == "__main__":
    main()
