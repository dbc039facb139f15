"""Compare Mask R-CNN with code after mmdetection's on torchvision's operations: outputs, and a whole detection.

pip install torch==2.11.0 torchvision==0.26.0 timm==1.0.31 numpy onnxruntime pillow pycocotools
python mask_rcnn_in_torch.py target/debug/mobilenas FOLDER
"""

import json
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "space/heads/tests"))
import numpy as np
import torch
import make_rcnn as R

PROGRAM, FOLDER = (os.path.abspath(p) for p in sys.argv[1:3])
torch.manual_seed(3)
m = R.MaskRCNN("efficientformerv2_s0", 128).eval()
with torch.no_grad():
    m.rpn.cls_logits.weight.mul_(20)
    m.fc_cls.weight.mul_(8)
    m.fc_reg.weight.mul_(2)
official = {R.renamed(k): k for k in m.state_dict()}
os.chdir(FOLDER)
torch.save({o: m.state_dict()[k] for o, k in official.items()}, "m.pt")
A = ["--model", "efficientformerv2_s0", "--head", "mask_rcnn", "--head-width", "32"]


def run(*a):
    p = subprocess.run([PROGRAM, *a], capture_output=True, text=True)
    print(a[0:2], p.returncode, (p.stdout[-200:] if a[0] != "predict" else ""), p.stderr[-300:])
    return p.stdout


run("weights", "import", "m.pt", *A, "--resolution", "128", "--classes", "7", "--out", "m.safetensors")
run("weights", "export", *A, "--resolution", "128", "--weights", "m.safetensors", "--out", "m.onnx")
import onnxruntime as ort

x = torch.randn(1, 3, 128, 128)
with torch.no_grad():
    out, levels = m(x)
s = ort.InferenceSession("m.onnx")
names = [o.name for o in s.get_outputs()]
got = dict(zip(names, s.run(None, {s.get_inputs()[0].name: x.numpy()})))
want = dict(out)
want.update({f"level_{i}": l for i, l in enumerate(levels)})
for n in names:
    print(n, float(np.linalg.norm(got[n] - want[n].numpy()) / np.linalg.norm(want[n].numpy())))
reg = torch.tensor([[0, 3, 5, 40, 33], [0, 0, 0, 128, 128], [0, 60, 2, 70, 100]]).float()
with torch.no_grad():
    after = m.after(levels, reg)
    c7, c14 = m.cut(levels, reg, 7), m.cut(levels, reg, 14)
for f, c in (("m.boxes.onnx", c7), ("m.masks.onnx", c14)):
    s = ort.InferenceSession(f)
    for o, v in zip(s.get_outputs(), s.run(None, {s.get_inputs()[0].name: c.numpy()})):
        w = after[o.name].numpy()
        print(o.name, float(np.linalg.norm(v - w) / np.linalg.norm(w)))
# whole detector
from PIL import Image

img = (np.random.default_rng(1).integers(0, 256, (128, 128, 3))).astype(np.uint8)
Image.fromarray(img).save("r.png")
rows = json.loads(run("predict", *A, "--weights", "m.safetensors", "--resolution", "128", "--json", "r.png") or "[]")
mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
x = torch.from_numpy(((img / 255 - mean) / std).transpose(2, 0, 1)[None]).double()
m = m.double()
with torch.no_grad():
    out, levels = m(x)
    G = R.rules
    G.SIZE = (128.0, 128.0)
    G.LEVELS = tuple(tuple(l.shape[-2:]) for l in levels) + ((2, 2),)
    p = G.proposals(G.anchors(), out["rpn_scores"][0, :, 0], out["rpn_boxes"][0], 1000, 1000)
    r = torch.cat([torch.zeros(len(p), 1), p], 1).double()
    a = m.after(levels, r)
    b, sc, lab = G.detect(p, a["scores"], a["boxes"].reshape(len(p), -1, 4))
    mk = m.after(levels, torch.cat([torch.zeros(len(b), 1), b], 1).double())["masks"][
        torch.arange(len(b)), lab
    ].sigmoid()
print("found", len(rows), len(b))
off = 0
px = 0
cl = 0
from pycocotools import mask as M

for i, row in enumerate(rows[: len(b)]):
    x1, y1, w, h = row["bbox"]
    d = max(
        abs(x1 - b[i, 0]), abs(y1 - b[i, 1]), abs(x1 + w - b[i, 2]), abs(y1 + h - b[i, 3]), abs(row["score"] - sc[i])
    ).item()
    off = max(off, d)
    cl += row["category_id"] != int(lab[i]) + 1
    ours = M.decode({"size": row["segmentation"]["size"], "counts": row["segmentation"]["counts"].encode()}).astype(
        bool
    )
    px += int((ours != G.paste(mk[i], b[i].tolist(), 128, 128).numpy()).sum())
print("largest difference", off, "other classes", cl, "other mask pixels", px, "of", len(b) * 128 * 128)
if len(rows) != len(b) or off > 1e-5 or cl or px:
    sys.exit("the program's detections are not the reference's")
