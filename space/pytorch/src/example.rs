//! The text of the example beside a source.

use mobilenas_space::families::Preprocessing;
use mobilenas_space::ir::Graph;

/// What a network gives, for the example to show.
#[derive(Clone, Debug, PartialEq)]
pub enum Shows {
    /// The most likely classes of a photo.
    Classes,
    /// Objects and their boxes, of a detector of a single stage.
    Boxes(Anchors),
    /// The class of each pixel.
    Pixels,
}

/// How a detector's outputs become boxes.
#[derive(Clone, Debug, PartialEq)]
pub struct Anchors {
    /// Rows and columns of each map, and the sides of the anchors at each position, in parts of the image.
    pub maps: Vec<(u32, u32, Vec<[f64; 2]>)>,
    /// Variances of the centres and of the sides.
    pub variances: [f64; 2],
    /// The largest logarithm of a ratio of sides that is decoded.
    pub max_log: f64,
    /// A box goes if its IoU with a better one of its class is above this.
    pub nms_iou: f64,
    /// Boxes of a lower probability are not shown.
    pub least: f64,
    /// Boxes of an image that are shown.
    pub most: Option<usize>,
}

/// `example.py`: loads `NAME.py` and `NAME.safetensors` beside it and shows what the network finds in a photo.
pub fn example(graph: &Graph, name: &str, preprocessing: &Preprocessing, shows: &Shows) -> String {
    let (h, w) = graph.input().hw().unwrap_or_default();
    let Preprocessing { crop_pct, interpolation, mean, std } = preprocessing;
    let interpolation = interpolation.name().to_uppercase();
    let shorter = (f64::from(h.min(w)) / crop_pct).floor();
    let (does, classes, sides, constants, main) = match shows {
        Shows::Classes => {
            let classes = format!("classes={}", graph.output_value().channels());
            (
                "Classifies a photo",
                classes,
                format!("SHORTER_SIDE, HEIGHT, WIDTH = {shorter}, {h}, {w}"),
                String::new(),
                CLASSES,
            )
        }
        Shows::Boxes(anchors) => {
            ("Finds objects in a photo", String::new(), format!("HEIGHT, WIDTH = {h}, {w}"), boxes(anchors), BOXES)
        }
        Shows::Pixels => (
            "Tells the class of each pixel of a photo",
            String::new(),
            format!("HEIGHT, WIDTH = {h}, {w}"),
            String::new(),
            PIXELS,
        ),
    };
    let (resize, returns) = match shows {
        Shows::Classes => (CROP, ""),
        Shows::Boxes(_) | Shows::Pixels => (SQUARE, ", size"),
    };
    let resize = resize.replace("INTERPOLATION", &interpolation);
    format!(
        r#""""{does} with {name}: python example.py PHOTO. Without PHOTO it takes an image made by a formula.

Needs torch, and pillow for photos. Weights are read with the package safetensors, and without it with torch alone.
"""

import json
import sys
from pathlib import Path

import torch

import {name}

FOLDER = Path(__file__).parent
{sides}
MEAN, STD = {mean:?}, {std:?}
{constants}

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
    net = {name}.build({classes})
    net.load_state_dict(tensors, strict=True)
    return net.eval(), json.loads(about.get("classes", "[]"))


{resize}
    x = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).reshape(HEIGHT, WIDTH, 3).permute(2, 0, 1)
    return ((x / 255 - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None])[None]{returns}


def waves() -> torch.Tensor:
    """An image made by a formula: [1, 3, H, W]."""
    return torch.arange(3 * HEIGHT * WIDTH).mul(0.01).sin().reshape(1, 3, HEIGHT, WIDTH)


{main}

if __name__ == "__main__":
    main()
"#
    )
}

const CROP: &str = r#"def photo(path: str) -> torch.Tensor:
    """Resizes the shorter side, crops the centre, normalises: [1, 3, H, W]."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    image = image.resize([SHORTER_SIDE * side // min(image.size) for side in image.size], Image.Resampling.INTERPOLATION)
    left, top = round((image.width - WIDTH) / 2), round((image.height - HEIGHT) / 2)
    image = image.crop((left, top, left + WIDTH, top + HEIGHT))"#;

const SQUARE: &str = r#"def photo(path: str) -> tuple[torch.Tensor, tuple[int, int]]:
    """Resizes, whatever the ratio of the sides, and normalises: [1, 3, H, W], and the photo's width and height."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    size = image.size
    image = image.resize((WIDTH, HEIGHT), Image.Resampling.INTERPOLATION)"#;

const CLASSES: &str = r#"def main() -> None:
    net, names = load()
    with torch.no_grad():
        probabilities = net(photo(sys.argv[1]) if len(sys.argv) > 1 else waves())[0].softmax(-1)
    for probability, index in zip(*probabilities.topk(min(5, len(probabilities)))):
        print(f"{int(index):6} {100 * float(probability):8.4f} %  {names[index] if names else ''}")
"#;

const PIXELS: &str = r#"def main() -> None:
    net, names = load()
    image, _ = photo(sys.argv[1]) if len(sys.argv) > 1 else (waves(), (WIDTH, HEIGHT))
    with torch.no_grad():
        outputs = net(image)
    # An auxiliary head gives a second output.
    logits = outputs if isinstance(outputs, torch.Tensor) else outputs[0]
    classes = logits[0].argmax(0)
    for index, count in zip(*classes.unique(return_counts=True)):
        print(f"{100 * int(count) / classes.numel():8.2f} %  {names[index] if names else int(index)}")
"#;

const BOXES: &str = r#"def decode(offsets: torch.Tensor) -> torch.Tensor:
    """Boxes in parts of the image, left, top, right, bottom, of offsets from anchors: [N, 4]."""
    anchors = torch.tensor(
        [
            ((x + 0.5) / columns, (y + 0.5) / rows, w, h)
            for rows, columns, sides in MAPS
            for y in range(rows)
            for x in range(columns)
            for w, h in sides
        ]
    )
    centres = anchors[:, :2] + offsets[:, :2] * CENTER_VARIANCE * anchors[:, 2:]
    halves = (offsets[:, 2:] * SIDE_VARIANCE).clamp(max=MAX_LOG).exp() * anchors[:, 2:] / 2
    return torch.cat([centres - halves, centres + halves], dim=1)


def iou(a: torch.Tensor, b: torch.Tensor) -> float:
    shared = float((torch.minimum(a[2:], b[2:]) - torch.maximum(a[:2], b[:2])).clamp(min=0).prod())
    return shared / (float((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod()) - shared)


def main() -> None:
    net, names = load()
    image, (width, height) = photo(sys.argv[1]) if len(sys.argv) > 1 else (waves(), (WIDTH, HEIGHT))
    with torch.no_grad():
        offsets, logits = net(image)
    boxes, scores = decode(offsets[0]), logits[0].softmax(-1)
    found = []
    # Class 0 is the background.
    for index in range(1, scores.shape[1]):
        kept = []
        for i in scores[:, index].argsort(descending=True).tolist():
            if scores[i, index] < LEAST:
                break
            if all(iou(boxes[i], boxes[k]) <= NMS_IOU for k in kept):
                kept.append(i)
        found += [(float(scores[i, index]), index - 1, boxes[i].clamp(0, 1).tolist()) for i in kept]
    for score, index, (left, top, right, bottom) in sorted(found, reverse=True)[:MOST]:
        box = f"{left * width:.1f} {top * height:.1f} {(right - left) * width:.1f} {(bottom - top) * height:.1f}"
        print(f"{100 * score:8.2f} %  {names[index] if names else index}  {box}")
"#;

/// The numbers of a detector.
fn boxes(a: &Anchors) -> String {
    let sides = |all: &[[f64; 2]]| all.iter().map(|[w, h]| format!("({w:.6}, {h:.6})")).collect::<Vec<_>>().join(", ");
    let map =
        |(rows, columns, all): &(u32, u32, Vec<[f64; 2]>)| format!("    ({rows}, {columns}, [{}]),\n", sides(all));
    let maps: String = a.maps.iter().map(map).collect();
    let max_log = if a.max_log.is_finite() { format!("{:?}", a.max_log) } else { "float(\"inf\")".to_string() };
    format!(
        "# Rows and columns of each map, and the sides of the anchors at each position, in parts of the image.\n\
         MAPS = [\n{maps}]\nCENTER_VARIANCE, SIDE_VARIANCE, MAX_LOG = {:?}, {:?}, {max_log}\n\
         # Boxes go whose IoU with a better one is above NMS_IOU. Those of a probability below LEAST are not shown.\n\
         NMS_IOU, LEAST, MOST = {:?}, {:?}, {}\n",
        a.variances[0],
        a.variances[1],
        a.nms_iou,
        a.least,
        a.most.map_or("None".to_string(), |n| n.to_string())
    )
}
