#!/usr/bin/env python3
"""Write rcnn.json: anchors, proposals, matches, detections and masks of a detector in two stages.

    pip install torch==2.11.0 torchvision==0.26.0 numpy
    python make_rcnn.py > fixtures/rcnn.json

NMS and RoIAlign are torchvision's; the rest is written here after mmdetection 2.19's AnchorGenerator, delta2bbox, bbox2delta,
MaxIoUAssigner, multiclass_nms, BitmapMasks.crop_and_resize and _do_paste_mask. All in float64.
"""
import json

import numpy as np
import torch
import torch.nn.functional as F
from torchvision.ops import batched_nms, box_iou, roi_align

LEVELS, STRIDES = ((12, 16), (6, 8), (3, 4), (2, 2), (1, 1)), (4, 8, 16, 32, 64)
SIZE = (64.0, 48.0)  # width, height
CLASSES = 4
BOUND = abs(np.log(16 / 1000))
rng = np.random.default_rng(7)


def even(low, high, *shape):
    return torch.from_numpy(np.round(rng.uniform(low, high, shape), 3))


def boxes(n, least=2):
    corner = even(-4, 50, n, 2)
    return torch.cat([corner, corner + even(least, 40, n, 2)], 1)


def anchors():
    """Centred on the upper left corner of a cell; heights over widths 1/2, 1 and 2; side 8 strides."""
    out = []
    for (rows, columns), stride in zip(LEVELS, STRIDES):
        h = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64).sqrt()
        w, h = 8 * stride / h, 8 * stride * h
        base = torch.stack([-w / 2, -h / 2, w / 2, h / 2], 1)
        y, x = torch.meshgrid(torch.arange(rows) * stride, torch.arange(columns) * stride, indexing="ij")
        shifts = torch.stack([x, y, x, y], -1).reshape(-1, 1, 4)
        out.append((shifts + base).reshape(-1, 4))
    return out


def decode(rois, deltas, stds):
    deltas = deltas * torch.tensor(stds, dtype=torch.float64)
    p, size = (rois[:, :2] + rois[:, 2:]) / 2, rois[:, 2:] - rois[:, :2]
    g = p + size * deltas[:, :2]
    half = size * deltas[:, 2:].clamp(-BOUND, BOUND).exp() / 2
    out = torch.cat([g - half, g + half], 1)
    limit = torch.tensor(SIZE * 2, dtype=torch.float64)
    return torch.minimum(out.clamp(min=0), limit)


def proposals(levels, logits, offsets, per_level, per_image):
    all, scores, ids, begin = [], [], [], 0
    for k, level in enumerate(levels):
        part = slice(begin, begin + len(level))
        begin += len(level)
        s = logits[part].sigmoid()
        s, order = s.sort(descending=True, stable=True)
        s, order = s[:per_level], order[:per_level]
        b = decode(level[order], offsets[part][order], (1, 1, 1, 1))
        valid = ((b[:, 2:] - b[:, :2]) > 0).all(1)
        all.append(b[valid]); scores.append(s[valid]); ids.append(torch.full((int(valid.sum()),), k))
    all, scores, ids = torch.cat(all), torch.cat(scores), torch.cat(ids)
    return all[batched_nms(all, scores, ids, 0.7)[:per_image]]


def matches(objects, of, positive, negative, least):
    """-1 neither, 0 background, else the object's place from 1."""
    overlaps = box_iou(objects, of)
    most, best = overlaps.max(0)
    out = torch.full((len(of),), -1)
    out[most < negative] = 0
    out[most >= positive] = best[most >= positive] + 1
    for i, row in enumerate(overlaps):
        if row.max() >= least:
            out[row == row.max()] = i + 1
    return out


def detect(rois, logits, deltas):
    scores = logits.softmax(1)[:, :-1]
    n, c = scores.shape
    every = decode(rois[:, None].expand(n, c, 4).reshape(-1, 4), deltas.reshape(-1, 4), (0.1, 0.1, 0.2, 0.2))
    labels = torch.arange(c).expand(n, c).reshape(-1)
    scores = scores.reshape(-1)
    valid = scores > 0.05
    every, scores, labels = every[valid], scores[valid], labels[valid]
    keep = batched_nms(every, scores, labels, 0.5)[:100]
    return every[keep], scores[keep], labels[keep]


def paste(mask, box, width, height):
    """_do_paste_mask, on the whole image."""
    x0, y0, x1, y1 = box
    x = (torch.arange(width, dtype=torch.float64) + 0.5 - x0) / (x1 - x0) * 2 - 1
    y = (torch.arange(height, dtype=torch.float64) + 0.5 - y0) / (y1 - y0) * 2 - 1
    grid = torch.stack([x.expand(height, width), y[:, None].expand(height, width)], -1)[None]
    return F.grid_sample(mask[None, None], grid, align_corners=False)[0, 0] >= 0.5


def numbers(t):
    return [float(f"{v:.15g}") for v in t.double().reshape(-1).tolist()]


def main():
    levels = anchors()
    n = sum(map(len, levels))
    logits, offsets = even(-6, 2, n), even(-0.6, 0.6, n, 4)
    objects = boxes(5, least=6)
    of = torch.cat([boxes(80), objects + even(-2, 2, 5, 4)])
    rois = boxes(40, least=8).clamp(min=0)
    scores, deltas = even(-3, 3, len(rois), CLASSES), even(-2, 2, len(rois), CLASSES - 1, 4)
    found = detect(rois, scores, deltas)
    yy, xx = np.mgrid[:48, :64]
    mask = torch.from_numpy(((xx - 30) ** 2 / 400 + (yy - 22) ** 2 / 144 < 1) & ((xx + yy) % 17 > 2))
    regions = torch.cat([boxes(10, least=5), torch.tensor([[20.0, 10, 20, 30], [-3, -3, 80, 60]], dtype=torch.float64)])
    cut = roi_align(mask.double()[None, None], torch.cat([torch.zeros(len(regions), 1), regions], 1).double(), (28, 28), 1.0,
                    -1, aligned=True)[:, 0]
    probabilities = even(0, 1, 14, 14)
    places = [b.tolist() for b in (even(-5, 20, 6, 2).repeat(1, 2) + torch.tensor([0, 0, 17.5, 12.25], dtype=torch.float64))]
    pasted = [paste(probabilities, b, 40, 30) for b in places]
    print(json.dumps({
        "levels": LEVELS, "size": SIZE, "classes": CLASSES,
        "anchors": numbers(torch.cat(levels)), "logits": numbers(logits), "offsets": numbers(offsets),
        "proposals": numbers(proposals(levels, logits, offsets, 100, 60)),
        "objects": numbers(objects), "boxes": numbers(of),
        "anchor_matches": matches(objects, of, 0.7, 0.3, 0.3).tolist(),
        "region_matches": matches(objects, of, 0.5, 0.5, 0.5).tolist(),
        "rois": numbers(rois), "scores": numbers(scores), "deltas": numbers(deltas),
        "found": [numbers(found[0]), numbers(found[1]), found[2].tolist()],
        "mask": mask.int().reshape(-1).tolist(), "mask_regions": numbers(regions),
        "cut": ["".join(str(int(v >= 0.5)) for v in c.reshape(-1)) for c in cut],
        "probabilities": numbers(probabilities), "places": places,
        "pasted": ["".join(str(int(v)) for v in p.reshape(-1)) for p in pasted],
    }, separators=(",", ":")))


if __name__ == "__main__":
    main()
