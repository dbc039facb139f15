"""Converts PyTorch source for a phone's runtime and compares: python convert.py FOLDER

The folder holds NAME.py, NAME.safetensors and job.json. The converted file goes to the name that the job gives, and
what was seen of it to report.json: versions, ranks, delegation, and the distance of its logits from PyTorch's.
Whether the difference is small enough is decided by who called.
"""

import copy
import importlib
import importlib.metadata
import importlib.util
import json
import os
import sys
import traceback
import warnings
from pathlib import Path

import torch
from safetensors.torch import load_file

# The module that converts; and packages whose versions are told, the converter first.
ROUTES = {
    "coreml": ("to_coreml", ["coremltools", "numpy", "torch"]),
    "executorch": ("to_executorch", ["executorch", "torch", "torchao"]),
    "litert": ("to_litert", ["litert-torch", "ai-edge-litert", "litert-converter", "torch", "jax"]),
}
IMAGES = 10


def images(height: int, width: int) -> torch.Tensor:
    """Images of whole numbers from 0 to 255, [IMAGES, 3, H, W]: waves and noise of different strengths and colours."""
    random = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.arange(height) / height, torch.arange(width) / width, indexing="ij")
    made = []
    for k in range(IMAGES):
        colour = torch.rand(3, 1, 1, generator=random)
        phase = torch.rand(3, 1, 1, generator=random)
        wave = torch.sin(6.283 * ((1 + k) * x + (IMAGES - k) * y + phase))
        noise = torch.rand(3, height, width, generator=random) - 0.5
        strength = (1 + k) / IMAGES
        made.append(colour + 0.4 * (1 - strength) * wave + strength * noise)
    return (255 * torch.stack(made).clamp(0, 1)).round()


def versions(packages: list[str]) -> dict[str, str]:
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def compare(reference: torch.Tensor, logits: torch.Tensor) -> dict:
    """Differences relative to the spread of the reference's logits: from the smallest to the largest, of all images."""
    if logits.shape != reference.shape:
        raise ValueError(f"logits {list(logits.shape)}, PyTorch's are {list(reference.shape)}")
    if not bool(reference.isfinite().all()):
        raise ValueError("PyTorch's logits are not finite")
    spread = float(reference.max() - reference.min())
    if spread == 0:
        raise ValueError("PyTorch's logits are all the same: nothing can be compared")
    each = (logits - reference).abs().amax(1) / spread
    # A number that is not finite differs by more than any bound; JSON has no word for it.
    each = torch.where(each.isfinite(), each, torch.full_like(each, 1e30))
    between = float((reference.amax(0) - reference.amin(0)).max()) / spread
    return {
        "images": len(reference),
        "spread": spread,
        "difference": float(each.max()),
        "difference_of_each": [float(d) for d in each],
        "between_images": between,
    }


def find_programs() -> None:
    """Puts `flatc`, which ExecuTorch's package brings and calls by its name, on the path."""
    folders = [Path(sys.executable).parent]
    spec = importlib.util.find_spec("executorch")
    if spec and spec.submodule_search_locations:
        folders += [Path(place) / "data/bin" for place in spec.submodule_search_locations]
        folders += [Path(place).parent / "bin" for place in spec.submodule_search_locations]
    os.environ["PATH"] = os.pathsep.join([*map(str, folders), os.environ.get("PATH", "")])


def main(folder: Path) -> None:
    warnings.filterwarnings("ignore")
    find_programs()
    torch.manual_seed(0)
    job = json.loads((folder / "job.json").read_text())
    module, packages = ROUTES[job["format"]]
    sys.path[:0] = [str(folder)]
    route = importlib.import_module(module)
    net = importlib.import_module(job["name"]).build(classes=job["classes"])
    net.load_state_dict(load_file(folder / f"{job['name']}.safetensors"), strict=True)
    net.eval().requires_grad_(False)
    pixels = images(*job["side"])
    normalised = (pixels / 255 - torch.tensor(job["mean"])[:, None, None]) / torch.tensor(job["std"])[:, None, None]
    given = pixels if job["image"] else normalised
    out = folder / job["file"]
    with torch.no_grad():
        # In double precision, so that what float32 rounds is seen for the file and for PyTorch alike.
        double = copy.deepcopy(net).double()
        reference = torch.cat([double(x[None].double()) for x in normalised])
        single = torch.cat([net(x[None]) for x in normalised])
        report = route.convert(net, given[:1], job, out)
        run, more = route.load(out)
        logits = torch.cat([run(x[None].contiguous()).float() for x in given])
    found = versions(packages)
    report |= more
    report["converter"] = {"package": packages[0], "version": found[packages[0]]}
    report["packages"] = found
    float32 = compare(reference, single)["difference"]
    report["comparison"] = {**compare(reference, logits), "difference_of_pytorch_in_float32": float32}
    (folder / "report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except Exception as error:
        traceback.print_exc()
        # The last line is the message that is shown.
        sys.exit(f"{type(error).__name__}: {' '.join(str(error).split())[:600]}")
