#!/usr/bin/env python3
"""python with_timm.py MOBILENAS [MODEL ...]

Goes round with the real timm: random weights of each model through `weights import` (as safetensors, as a state dict of
torch.save in both of its layouts, as a training checkpoint with prefixes and averaged weights) and `weights export`
(plain and fused), loads every result with strict=True, and compares the logits of `predict` with timm's own evaluation
pipeline on images. Needs: pip install torch timm safetensors pillow. Prints one line a model and fails on a difference.
"""
import argparse, copy, json, subprocess, sys, tempfile
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from timm.data import create_transform, resolve_model_data_config
from torch.nn.utils.fusion import fuse_conv_bn_eval

ALL = ["mobilevit_xxs", "mobilevit_s", "mobilevitv2_050", "mobilevitv2_200", "efficientformer_l1", "efficientformerv2_s0",
       "efficientformerv2_l", "mobilenetv2_100", "mobilenetv3_large_100", "deit_tiny_patch16_224"]


def shaken(name):
    """A model whose every number, batch-norm statistics too, differs from the initial ones."""
    torch.manual_seed(sum(map(ord, name)))
    model = timm.create_model(name).eval()
    for key, t in model.state_dict().items():
        if t.is_floating_point():
            t.mul_(1 + 0.1 * torch.randn_like(t)).add_(0.01 * torch.randn_like(t))
            if key.endswith("running_var"):
                t.abs_().add_(0.1)
    return model


def fused(model):
    """The model with every batch norm after a convolution folded by PyTorch itself."""
    model = copy.deepcopy(model)
    for module in list(model.modules()):
        children = list(module.named_children())
        for (a, conv), (b, norm) in zip(children, children[1:]):
            if isinstance(conv, torch.nn.Conv2d) and isinstance(norm, torch.nn.BatchNorm2d):
                setattr(module, a, fuse_conv_bn_eval(conv, norm))
                # timm's norms carry the activation; what is left of them is that.
                rest = [getattr(norm, n) for n in ("drop", "act") if hasattr(norm, n)]
                setattr(module, b, torch.nn.Sequential(*rest) if rest else torch.nn.Identity())
    return model


def checkpoint(model):
    """As timm's training script writes it, through DistributedDataParallel."""
    under = {"module." + k: v for k, v in model.state_dict().items()}
    other = {k: torch.zeros_like(v) for k, v in under.items()}
    return {"epoch": 7, "arch": "x", "state_dict": other, "state_dict_ema": under, "metric": 71.5,
            "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
            "args": argparse.Namespace(lr=0.1, model="x")}


def images(folder):
    rng = np.random.default_rng(1)
    for i, (w, h) in enumerate([(320, 240), (231, 317)]):
        grid = np.mgrid[0:h, 0:w].astype(float)
        image = sum(np.sin(grid[0] / rng.uniform(5, 40) + grid[1] / rng.uniform(5, 40))[..., None] * rng.uniform(0, 1, 3) for _ in range(6))
        image = np.clip(128 + 30 * image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)
        Image.fromarray(image).save(folder / f"{i}.png")
        yield folder / f"{i}.png"


def main():
    program, names = sys.argv[1], sys.argv[2:] or ALL
    folder = Path(tempfile.mkdtemp())
    files = list(images(folder))

    def run(*args):
        done = subprocess.run([program, *map(str, args)], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(map(str, args))}: {done.stderr}")
        return done.stdout

    for name in names:
        model = shaken(name)
        state = {k: v.contiguous() for k, v in model.state_dict().items()}
        forms = [folder / f for f in ("a.safetensors", "b.pt", "c.pth", "d.pth.tar")]
        save_file(state, forms[0])
        torch.save(model.state_dict(), forms[1])
        torch.save(model.state_dict(), forms[2], _use_new_zipfile_serialization=False)
        torch.save(checkpoint(model), forms[3])
        out = folder / "out.safetensors"
        for form in forms:
            run("weights", "import", form, "--model", name, "--out", out)
            back = load_file(out)
            assert back.keys() == state.keys() and all(torch.equal(back[k], state[k]) for k in state), form
        timm.create_model(name).load_state_dict(back, strict=True)
        run("weights", "export", "--model", name, "--weights", forms[1], "--out", out)
        timm.create_model(name).load_state_dict(load_file(out), strict=True)
        run("weights", "export", "--model", name, "--weights", forms[1], "--fused", "--out", out)
        slim = fused(model)
        slim.load_state_dict(load_file(out), strict=True)
        transform = create_transform(**resolve_model_data_config(model), is_training=False)
        x = torch.stack([transform(Image.open(f).convert("RGB")) for f in files]).double()
        said = json.loads(run("predict", "--model", name, "--weights", forms[3], "--json", "--precision", "float64", *files))
        ours = torch.tensor([i["logits"] for i in said["images"]], dtype=torch.float64)
        with torch.no_grad():
            theirs, folded = model.double()(x), slim.double()(x)
        scale = theirs.std()
        far = [float((a - theirs).abs().max() / scale) for a in (ours, folded)]
        print(f"{name:<24} predict {far[0]:.1e} of the logits' spread from timm's, fused {far[1]:.1e}", flush=True)
        # The fused weights are stored in single precision, and so are the pixels that timm makes.
        assert far[0] < 1e-4 and far[1] < 1e-4, name


main()
