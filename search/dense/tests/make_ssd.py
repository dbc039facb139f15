#!/usr/bin/env python3
"""Write ssd.json: what the references make of boxes, anchors, logits and offsets, and of class maps.

    pip install torch==2.11.0 torchvision==0.26.0 timm==1.0.31 numpy
    python make_ssd.py FOLDER > ssd.json      FOLDER holds dense_reference.py, dense_goldens.json and what they import

`goldens` are taken from dense_goldens.json. `cases` are small and made here in float64: random boxes on three feature
maps, with logits and offsets of three decimals. cvnets' numbers come from dense_reference.py, which was compared with
cvnets; torchvision's from torchvision itself.
"""
import json
import pathlib
import sys
import types

import torch
import torchvision
from torchvision.models.detection import _utils, anchor_utils, ssd
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import boxes as box_ops

folder = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(folder))
import dense_reference as reference  # noqa: E402

MAPS, CLASSES = ((3, 4), (2, 2), (1, 1)), 6
CUT = dict(floor=0.05, per_class=12, iou=0.45, per_image=20)


def goldens():
    told = json.loads((folder / "dense_goldens.json").read_text())
    by_name = {case["case"]: case["outputs"] for case in told["goldens"] if "outputs" in case}
    ours, theirs = by_name["ssdlite/mobilevit_xxs"], by_name["ssdlite/torchvision_mobilenet_v3_large"]
    keep = ("anchors", "anchors_clipped", "positives", "target_labels", "target_boxes_of_positives")
    return {"boxes": told["boxes"], "cvnets": {k: ours[k] for k in keep},
            "torchvision": {k: theirs[k] for k in ("anchors_xyxy_pixels", "positives")}}


def numbers(t):
    return [float(f"{v:.13g}") for v in t.reshape(-1).tolist()]


def found(scores, boxes, labels):
    """By falling score; equal ones keep their order."""
    scores, order = scores.sort(descending=True, stable=True)
    return {"scores": numbers(scores), "labels": labels[order].tolist(), "boxes": numbers(boxes[order])}


def first_paper(scores, boxes):
    """cvnets v0.1: per class all boxes above the threshold, NMS, then the best; no limit for the image."""
    all = []
    for c in range(1, CLASSES):
        chosen = scores[:, c] > CUT["floor"]
        p, b = scores[chosen, c], boxes[chosen]
        keep = torchvision.ops.nms(b, p, CUT["iou"])[:4]
        all.append((p[keep], b[keep], torch.full_like(keep, c)))
    return found(*(torch.cat(part) for part in zip(*all)))


def made_by_torchvision(logits, offsets, boxes):
    generator = anchor_utils.DefaultBoxGenerator([[2, 3], [2], [3]], scales=[0.2, 0.5, 0.8, 1.0])
    maps = [torch.zeros(1, 1, *size) for size in MAPS]
    anchors = generator(ImageList(torch.zeros(1, 3, 100, 200), [(100, 200)]), maps)[0].double()
    rows = len(anchors)
    net = types.SimpleNamespace(
        box_coder=_utils.BoxCoder(weights=(10.0, 10.0, 5.0, 5.0)), score_thresh=CUT["floor"],
        topk_candidates=CUT["per_class"], nms_thresh=CUT["iou"], detections_per_img=CUT["per_image"])
    outputs = {"cls_logits": logits[None, :rows], "bbox_regression": offsets[None, :rows]}
    told = ssd.SSD.postprocess_detections(net, outputs, [anchors], [(100, 200)])[0]
    pixels = boxes * torch.tensor([200.0, 100.0, 200.0, 100.0])
    matched = _utils.SSDMatcher(0.5)(box_ops.box_iou(pixels, anchors))
    return {"anchors": numbers(anchors), "matches": matched.tolist(),
            "detections": found(told["scores"], told["boxes"], told["labels"])}


def case(seed):
    g = torch.Generator().manual_seed(seed)
    anchors = reference.ssd_anchors(MAPS)
    rounded = lambda t: (t.double() * 1000).round() / 1000
    count = (0, 1, 5, 9)[seed]
    corner, side = torch.rand(count, 2, generator=g) * 0.7, torch.rand(count, 2, generator=g) * 0.6 + 0.02
    boxes = rounded(torch.cat((corner, (corner + side).clamp(max=1)), 1))
    labels = torch.randint(1, CLASSES, (count,), generator=g)
    logits = rounded(torch.randn(len(anchors), CLASSES, generator=g) * 2)
    offsets = rounded(torch.randn(len(anchors), 4, generator=g))
    targets, target_labels = reference.ssd_match(boxes, labels, anchors)
    hardness = -logits.log_softmax(-1)[:, 0]
    positive = target_labels > 0
    hardness[positive] = -torch.inf
    rank = hardness.argsort(descending=True).argsort()
    chosen = (rank < 3 * positive.sum()) & ~positive
    decoded = reference.ssd_decode(offsets, anchors)
    scores = logits.softmax(-1)
    return {
        "boxes": numbers(boxes), "labels": labels.tolist(), "logits": numbers(logits), "offsets": numbers(offsets),
        "target_labels": target_labels.tolist(), "target_offsets_of_positives": numbers(targets[positive]),
        "negatives": chosen.nonzero().reshape(-1).tolist(), "decoded": numbers(decoded),
        "cvnets": found(*reference.ssd_detect(scores, decoded, **CUT)),
        "cvnets_v01": first_paper(scores, decoded),
        **({"torchvision": made_by_torchvision(logits, offsets, boxes)} if count else {}),
    }


def class_maps(classes, side):
    """mIoU and pixel accuracy as make_dense_goldens.py computes them; 255 is ignored, and a class may not occur."""
    g = torch.Generator().manual_seed(classes)
    truth = torch.randint(0, classes - 1, (3, side, side), generator=g)
    right = torch.rand(truth.shape, generator=g) < 0.7
    guess = torch.where(right, truth, torch.randint(0, classes - 1, truth.shape, generator=g))
    truth[torch.rand(truth.shape, generator=g) < 0.1] = 255
    known = truth != 255
    counts = torch.bincount(classes * truth[known] + guess[known], minlength=classes ** 2)
    counts = counts.reshape(classes, classes).double()
    hit = counts.diag()
    union = counts.sum(0) + counts.sum(1) - hit
    return {"classes": classes, "truth": truth.reshape(3, -1).tolist(), "guess": guess.reshape(3, -1).tolist(),
            "miou": float((hit / union)[union > 0].mean()), "pixel_accuracy": float(hit.sum() / counts.sum())}


print(json.dumps({"class_maps": [class_maps(21, 24), class_maps(150, 40)], "goldens": goldens(), "maps": MAPS,
                  "classes": CLASSES, "cases": [case(seed) for seed in range(4)]}))
