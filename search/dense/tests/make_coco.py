#!/usr/bin/env python3
"""Write random sets of boxes and masks with the numbers that pycocotools gives for them.

    pip install pycocotools==2.0.11 numpy==2.4.6
    python make_coco.py fixture FOLDER > coco.json    the stored cases; FOLDER holds dense_goldens.json
    python make_coco.py set SEED BOXES [masks]        one random set, on standard output
    python make_coco.py time SEED BOXES PROGRAM       seconds of pycocotools and of PROGRAM, which reads a set, in turn

A set has crowds, tied scores, images without truth and without detections, a category without truth, areas on the
borders of two ranges, and an image with more than a hundred detections of a category. Rows of truths are image,
category, crowd, area and region; rows of detections image, category, score and region. A region is x, y, w, h or COCO's compressed run
lengths. `stats` are the twelve numbers, -1 where no truth counts.
"""
import contextlib
import io
import json
import pathlib
import random
import subprocess
import sys
import time

import numpy as np
from pycocotools import mask as masks
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

WIDTH, HEIGHT = 640, 480
SMALL = 60, 50  # of masks
CATEGORIES = (1, 3, 7, 44, 90, 91)  # 91 occurs in no truth


def box(r, width, height):
    side = 10 * 2 ** r.uniform(0, 5) * width / 640
    w, h = min(round(side * r.uniform(0.6, 1.6), 2), width * 0.9), min(round(side, 2), height * 0.9)
    return [round(r.uniform(0, width - w), 2), round(r.uniform(0, height - h), 2), w, h]


def moved(r, region, width, height):
    x, y, w, h = region
    x, y = (round(v + r.uniform(-0.12, 0.12) * s, 2) for v, s in ((x, w), (y, h)))
    return [x, y, round(w * r.uniform(0.85, 1.2), 2), round(h * r.uniform(0.85, 1.2), 2)]


def blob(r, region, width, height):
    """An ellipse or a rectangle with a hole, as run lengths."""
    x, y, w, h = region
    rows, columns = np.mgrid[:height, :width] + 0.5
    if r.random() < 0.5:
        inside = ((columns - x - w / 2) / (w / 2)) ** 2 + ((rows - y - h / 2) / (h / 2)) ** 2 <= 1
    else:
        inside = (columns > x) & (columns < x + w) & (rows > y) & (rows < y + h)
        inside &= ~((columns > x + w / 3) & (columns < x + w / 2) & (rows > y + h / 3) & (rows < y + h / 2))
    return masks.encode(np.asfortranarray(inside.astype(np.uint8)))["counts"].decode()


def random_set(seed, boxes, with_masks=False):
    r = random.Random(seed)
    width, height = SMALL if with_masks else (WIDTH, HEIGHT)
    images = list(range(1, max(4, boxes // 25)))
    r.shuffle(images)
    truths, found = [], []
    for n in range(boxes // 3):
        image = r.choice(images[1:])
        area = None
        region = box(r, width, height)
        if n % 20 == 0:
            side = r.choice((32, 96))
            region, area = [10, 10, side, side], side * side
        area = area or round(region[2] * region[3] * 0.7, 2)
        truths.append([image, r.choice(CATEGORIES[:5]), int(r.random() < 0.1), area, region])
    busy = images[2]
    while len(found) + len(truths) < boxes:
        image, category, _, _, region = r.choice(truths)
        kind = r.random()
        if kind < 0.6:
            region = moved(r, region, width, height)
        elif kind < 0.65:
            pass
        else:
            image, region = r.choice(images), box(r, width, height)
        if r.random() < 0.15:
            category = r.choice(CATEGORIES)
        if len(found) < min(150, boxes // 3):
            image, category = busy, 3
        found.append([image, category, round(r.random(), 2 if r.random() < 0.8 else 6), region])
    if with_masks:
        truths = [[*t[:4], blob(r, t[4], width, height)] for t in truths]
        found = [[*d[:3], blob(r, d[3], width, height)] for d in found]
    return {"seed": seed, "size": [width, height], "images": sorted(images), "truths": truths, "found": found}


def prepared(case):
    """COCO's objects; a detection's image and category must be known."""
    width, height = case["size"]
    boxes = not isinstance(case["found"][0][3], str)
    def region(v):
        return {"bbox": v} if boxes else {"segmentation": {"size": [height, width], "counts": v}}
    def truth_of(n, t):
        return {"id": n + 1, "image_id": t[0], "category_id": t[1], "iscrowd": t[2], "area": t[3], **region(t[4])}
    data = {
        "images": [{"id": i, "width": width, "height": height} for i in case["images"]],
        "categories": [{"id": c, "name": str(c)} for c in CATEGORIES],
        "annotations": [truth_of(n, t) for n, t in enumerate(case["truths"])]}
    found = [{"image_id": d[0], "category_id": d[1], "score": d[2], **region(d[3])} for d in case["found"]]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = data
        truth.createIndex()
        return truth, truth.loadRes(found), "bbox" if boxes else "segm"


def judged(objects):
    with contextlib.redirect_stdout(io.StringIO()):
        judge = COCOeval(*objects)
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    precision = judge.eval["precision"][:, :, :, 0, 2].transpose(2, 0, 1)
    by_class = [[int(c), float(p[p > -1].mean())] for c, p in zip(judge.params.catIds, precision) if (p > -1).any()]
    return {"stats": [float(v) for v in judge.stats], "AP_of_category": by_class}


def made(*args, **kwargs):
    case = random_set(*args, **kwargs)
    return case | judged(prepared(case))


def golden(folder):
    goldens = json.loads((folder / "dense_goldens.json").read_text())["goldens"]
    case = next(c for c in goldens if c["case"] == "coco_map")
    keys = "image_id", "category_id", "iscrowd", "area", "bbox"
    truths = [[a[k] for k in keys] for a in case["truth"]["annotations"]]
    found = [[d["image_id"], d["category_id"], d["score"], d["bbox"]] for d in case["detections"]]
    by_class = [[int(c), v] for c, v in case["AP_of_class"].items() if v is not None]
    return {"truths": truths, "found": found, "stats": list(case["stats"].values()), "AP_of_category": by_class}


def polygons():
    """Polygons with their run lengths, also beyond the image and with edges that cross."""
    r = random.Random(5)
    out = []
    for n in range(60):
        height, width, corners = r.randint(1, 30), r.randint(1, 40), r.randint(3, 9)
        decimals = r.choice((0, 1, 2, 6))
        beyond = r.choice((0, 0, 8))
        at = lambda side: round(r.uniform(-beyond, side + beyond), decimals)
        parts = [[at(side) for _ in range(corners) for side in (width, height)] for _ in range(1 + (n % 5 == 0))]
        told = masks.merge(masks.frPyObjects(parts, height, width))
        out.append({"size": [width, height], "polygons": parts, "counts": told["counts"].decode(),
                    "area": int(masks.area(told)), "bbox": masks.toBbox(told).tolist()})
    return out


def timed(case, program):
    objects, text = prepared(case), json.dumps(case)
    ours, theirs = [], []
    for _ in range(7):
        start = time.perf_counter()
        judged(objects)
        theirs.append(time.perf_counter() - start)
        ours.append(float(subprocess.run([program], input=text, capture_output=True, text=True, check=True).stdout))
    theirs, ours = sorted(theirs), sorted(ours)
    return {"pycocotools": theirs, "ours": ours, "ratio_of_medians": theirs[3] / ours[3]}


if __name__ == "__main__":
    what, *args = sys.argv[1:]
    if what == "fixture":
        cases = [made(seed, boxes) for seed, boxes in ((1, 60), (2, 300), (3, 900))]
        told = {"golden": golden(pathlib.Path(args[0])), "boxes": cases, "masks": [made(4, 240, with_masks=True)],
                "polygons": polygons()}
        print(json.dumps(told, separators=(",", ":")))
    elif what == "set":
        print(json.dumps(made(int(args[0]), int(args[1]), with_masks=args[2:] == ["masks"])))
    elif what == "time":
        print(json.dumps(timed(random_set(int(args[0]), int(args[1])), args[2])))
    else:
        sys.exit(__doc__)
