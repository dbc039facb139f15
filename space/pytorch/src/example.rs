//! The text of the example beside a source.

use mobilenas_space::families::Preprocessing;
use mobilenas_space::ir::Graph;

/// `example.py`: loads `NAME.py` and `NAME.safetensors` beside it and classifies a photo.
pub fn example(graph: &Graph, name: &str, preprocessing: &Preprocessing) -> String {
    let (h, w) = graph.input().hw().unwrap_or_default();
    let Preprocessing { crop_pct, interpolation, mean, std } = preprocessing;
    let (shorter, interpolation) = ((f64::from(h.min(w)) / crop_pct).floor(), interpolation.name().to_uppercase());
    let classes = graph.output_value().channels();
    format!(
        r#""""Classifies a photo with {name}: python example.py PHOTO. Without PHOTO it takes an image made by a formula.

Needs torch, and pillow for photos. Weights are read with the package safetensors, and without it with torch alone.
"""

import json
import sys
from pathlib import Path

import torch

import {name}

FOLDER = Path(__file__).parent
SHORTER_SIDE, HEIGHT, WIDTH = {shorter}, {h}, {w}
MEAN, STD = {mean:?}, {std:?}


def load() -> tuple[torch.nn.Module, list[str]]:
    """The network with its weights, and the names of its classes if the file tells them."""
    data = bytearray((FOLDER / "{name}.safetensors").read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    about = json.loads(header.pop("__metadata__", {{}}).get("mobilenas", "{{}}"))
    try:
        from safetensors.torch import load as read

        tensors = read(bytes(data))
    except ImportError:
        print("the package safetensors is not installed: torch alone reads the weights", file=sys.stderr)
        types = {{"F32": torch.float32, "I64": torch.int64}}
        tensors = {{}}
        for key, tensor in header.items():
            begin, end = (start + offset for offset in tensor["data_offsets"])
            tensors[key] = torch.frombuffer(data[begin:end], dtype=types[tensor["dtype"]]).reshape(tensor["shape"])
    net = {name}.build(classes={classes})
    net.load_state_dict(tensors, strict=True)
    return net.eval(), json.loads(about.get("classes", "[]"))


def photo(path: str) -> torch.Tensor:
    """Resizes the shorter side, crops the centre, normalises: [1, 3, H, W]."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    image = image.resize([SHORTER_SIDE * side // min(image.size) for side in image.size], Image.Resampling.{interpolation})
    left, top = round((image.width - WIDTH) / 2), round((image.height - HEIGHT) / 2)
    image = image.crop((left, top, left + WIDTH, top + HEIGHT))
    x = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).reshape(HEIGHT, WIDTH, 3).permute(2, 0, 1)
    return ((x / 255 - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None])[None]


def waves() -> torch.Tensor:
    """An image made by a formula: [1, 3, H, W]."""
    return torch.arange(3 * HEIGHT * WIDTH).mul(0.01).sin().reshape(1, 3, HEIGHT, WIDTH)


def main() -> None:
    net, names = load()
    with torch.no_grad():
        probabilities = net(photo(sys.argv[1]) if len(sys.argv) > 1 else waves())[0].softmax(-1)
    for probability, index in zip(*probabilities.topk(min(5, len(probabilities)))):
        print(f"{{int(index):6}} {{100 * float(probability):8.4f}} %  {{names[index] if names else ''}}")


if __name__ == "__main__":
    main()
"#
    )
}
