#!/usr/bin/env python3
"""Write golden outputs of networks with heads for fixed, formula-made weights.

    pip install torch==2.11.0 torchvision==0.26.0 timm==1.0.31 numpy
    python make_goldens.py [CASE ...] goldens.json.gz        all cases without arguments

The networks are those of dense_reference.py (torchvision's own for ssdlite/torchvision_mobilenet_v3_large). Weights and
images come from the formula of space/tests/make_goldens.py, over the key as it stands in `state_dict` here (with `backbone.`
in front), rounded to float32 and then computed in float64, in eval mode. Input: [2, 3, S, S] with name "input". `NAME@SIDE`
is a network on images of another side than its own, which a test computes in less time.

A tensor is told as shape, sum, l2, l2 of each of the two images, l2 of their difference, and 64 values: value j stands at
flat row-major index (2654435761 j + 97) mod count. Numbers have 13 digits.

`scaled`, {ending of a key: factor}, says which tensors are the formula's times a factor: so every softmax tells something.
"""
import gzip
import json
import sys

import numpy as np
import torch

import dense_reference as reference  # also finds make_goldens of the networks
import importlib.util
from pathlib import Path

spec = importlib.util.spec_from_file_location("formula", Path(__file__).parents[2] / "tests" / "make_goldens.py")
networks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(networks)

torch.set_num_threads(1)

VOC, ADE, COCO = 21, 150, 81

SCALED = {"efficientformerv2": {"gamma": 1 / 32}, "efficientformer_": {"attention_biases": 16}}

V1_VOC = dict(classes=VOC, output_stride=16, cout=256, rates=(6, 12, 18), align_corners=False, aux=False)
V2_VOC = dict(classes=VOC, output_stride=16, cout=512, rates=(6, 12, 18), align_corners=True, aux=True)
OS8 = dict(output_stride=8, cout=512, rates=(12, 24, 36), align_corners=True, aux=True)
PSP = dict(cout=512, align_corners=True, aux=True)
FULL = {
    **{f"ssdlite/{b}": (reference.ssdlite, b, 320, COCO, {}) for b in (
        "mobilevit_xxs", "mobilevit_xs", "mobilevit_s", "mobilevitv2_050", "mobilevitv2_075", "mobilevitv2_100",
        "mobilevitv3_xxs", "mobilevitv3_050")},
    **{f"deeplabv3/{b}": (reference.deeplabv3, b, 512, VOC, V1_VOC) for b in (
        "mobilevit_xxs", "mobilevit_xs", "mobilevit_s", "mobilevitv3_xxs")},
    **{f"deeplabv3/{b}": (reference.deeplabv3, b, 512, VOC, V2_VOC) for b in (
        "mobilevitv2_050", "mobilevitv2_100", "mobilevitv3_050")},
    "deeplabv3/mobilevit_s@os8": (reference.deeplabv3, "mobilevit_s", 512, VOC, dict(classes=VOC, **OS8)),
    "deeplabv3/mobilevitv2_050@ade20k_os8": (reference.deeplabv3, "mobilevitv2_050", 512, ADE, dict(classes=ADE, **OS8)),
    "pspnet/mobilevitv2_050": (reference.pspnet, "mobilevitv2_050", 512, VOC, dict(classes=VOC, output_stride=16, **PSP)),
    "pspnet/mobilevitv2_050@ade20k_os8": (
        reference.pspnet, "mobilevitv2_050", 512, ADE, dict(classes=ADE, output_stride=8, **PSP)),
    **{f"semantic_fpn/{b}": (reference.semantic_fpn, b, 512, ADE, {}) for b in (
        "efficientformerv2_s0", "efficientformerv2_s1", "efficientformerv2_s2", "efficientformer_l1")},
}
# PSPNet needs maps of at least 6 x 6 positions.
SMALL = {
    "ssdlite/mobilevit_xxs": 96, "ssdlite/mobilevitv2_050": 96, "ssdlite/mobilevitv3_xxs": 96,
    "deeplabv3/mobilevit_xxs": 96, "deeplabv3/mobilevitv3_050": 96, "deeplabv3/mobilevit_s@os8": 64,
    "deeplabv3/mobilevitv2_050@ade20k_os8": 64, "pspnet/mobilevitv2_050": 128, "pspnet/mobilevitv2_050@ade20k_os8": 64,
    "semantic_fpn/efficientformerv2_s0": 64, "semantic_fpn/efficientformer_l1": 64,
}


def sized(name, side):
    make, backbone, _, classes, options = FULL[name]
    return make, backbone, side, classes, options | ({"size": side} if make is reference.semantic_fpn else {})


CASES = FULL | {f"{name}@{side}": sized(name, side) for name, side in SMALL.items()}
TORCHVISION = "ssdlite/torchvision_mobilenet_v3_large"


def number(x) -> float:
    return float(f"{float(x):.13g}")


def told(t: torch.Tensor) -> dict:
    t = t.double()
    flat = t.reshape(-1)
    at = (torch.arange(64) * 2654435761 + 97) % len(flat)
    return {"shape": list(t.shape), "sum": number(flat.sum()), "l2": number(flat.norm()),
            "l2_image": [number(row.norm()) for row in t], "l2_difference": number((t[0] - t[1]).norm()),
            "at": [number(v) for v in flat[at]]}


def filled(model, scaled=()):
    def value(key, shape):
        made = networks.formula(key, shape)
        for ending in scaled:
            if key.endswith(ending):
                made = made * scaled[ending]
        return made

    state = {k: torch.from_numpy(value(k, tuple(t.shape)).astype(np.float32)).to(t.dtype)
             for k, t in model.state_dict().items() if not k.endswith("attention_bias_idxs")}
    missing = model.load_state_dict(state, strict=False)
    assert all(k.endswith("attention_bias_idxs") for k in missing.missing_keys) and not missing.unexpected_keys
    return model.eval()


def image(size):
    return torch.from_numpy((1.7 * networks.noise("input", (2, 3, size, size))).astype(np.float32))


@torch.no_grad()
def golden(name: str) -> dict:
    make, backbone, size, classes, options = CASES[name]
    scaled = next((s for start, s in SCALED.items() if backbone.startswith(start)), {})
    model = filled(make(backbone, **options), scaled)
    x = image(size)
    extra = sum(p.numel() for k, p in model.named_parameters() if ".aux_head." in k)
    options = {k: v for k, v in options.items() if k != "size"}
    out = {
        "case": name, "model": backbone, "head": name.split("/")[0], "resolution": size, "classes": classes,
        **({"options": options} if options else {}),
        "params": sum(p.numel() for p in model.parameters()) - extra, **({"params_aux_head": extra} if extra else {}),
        "macs_batch1": networks.macs(model, x[:1]),
        "state_dict": {k: list(t.shape) for k, t in model.state_dict().items()}, "scaled": scaled,
    }
    model, x = model.double(), x.double()
    outputs = {k: told(v) for k, v in model(x).items()}
    if make is reference.ssdlite:
        outputs["maps"] = {f"os_{s}": told(m) for s, m in zip(reference.STRIDES, model.maps(x))}
    else:
        outputs["maps"] = [told(m) for m in model.backbone(x)]
    if hasattr(model, "seg_head") and hasattr(model.seg_head, "aux_head"):
        outputs["aux"] = told(model.aux(x))
    return out | {"outputs": outputs}


@torch.no_grad()
def torchvision_golden() -> dict:
    """As torchvision makes it without pretrained weights: 91 classes, reduced tail. The input is taken as normalised."""
    from torchvision.models.detection import ssdlite320_mobilenet_v3_large

    class Outputs(torch.nn.Module):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, x):
            maps = list(self.net.backbone(x).values())
            return maps, self.net.head(maps)

    model = filled(ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None))
    x, wrapped = image(320), Outputs(model)
    out = {
        "case": TORCHVISION, "model": "ssdlite320_mobilenet_v3_large", "head": "ssdlite (torchvision)", "resolution": 320,
        "classes": 91, "params": sum(p.numel() for p in model.parameters()), "macs_batch1": networks.macs(wrapped, x[:1]),
        "state_dict": {k: list(t.shape) for k, t in model.state_dict().items()},
    }
    model.double()
    maps, heads = wrapped(x.double())
    out["outputs"] = {"maps": [told(m) for m in maps], "boxes": told(heads["bbox_regression"]),
                      "scores": told(heads["cls_logits"])}
    return out


def make(name: str) -> dict:
    print(name, file=sys.stderr, flush=True)
    return torchvision_golden() if name == TORCHVISION else golden(name)


if __name__ == "__main__":
    import timm
    import torchvision
    *names, file = sys.argv[1:] or [""]
    unknown = set(names) - {*CASES, TORCHVISION}
    if unknown or not file.endswith(".gz"):
        sys.exit(f"unknown: {', '.join(sorted(unknown))}\n{__doc__}")
    head = {"timm": timm.__version__, "torch": torch.__version__, "torchvision": torchvision.__version__}
    text = json.dumps(head | {"goldens": [make(n) for n in names or [*CASES, TORCHVISION]]}, separators=(",", ":"))
    with open(file, "wb") as out:
        out.write(gzip.compress(text.encode(), 9, mtime=0))
