"""Core ML: an .mlpackage from the traced network. It cannot run outside macOS, so MIL is read back and evaluated."""

from pathlib import Path

import coremltools as ct
import mil
import numpy as np
import torch
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.frontend.torch.torch_op_registry import register_torch_op
from torch.nn import functional as F


@register_torch_op(override=True)
def upsample_bicubic2d(context, node):
    """A cubic resize as a product with a matrix along each axis: MIL has no operator for it."""
    x, size, align_corners = (context[name] for name in node.inputs[:3])
    if align_corners.val:
        raise ValueError("a cubic resize with aligned corners")

    def along(before: int, after: int) -> np.ndarray:
        each = torch.eye(before, dtype=torch.float64)[None, None]
        return F.interpolate(each, size=(after, before), mode="bicubic")[0, 0].float().numpy()

    rows, columns = (along(*sides) for sides in zip(x.shape[2:], size.val))
    tall = mb.matmul(x=rows[None, None], y=x)
    context.add(mb.matmul(x=tall, y=columns.T[None, None], name=node.name))


class OfImage(torch.nn.Module):
    """The network on an image of 0 to 255. A shift cannot go into the first convolution: its padding is not shifted."""

    def __init__(self, net: torch.nn.Module, mean: list[float], std: list[float]):
        super().__init__()
        self.net = net
        mean, std = torch.tensor(mean, dtype=torch.float64), torch.tensor(std, dtype=torch.float64)
        self.register_buffer("scale", (1 / (255 * std)).float()[:, None, None])
        self.register_buffer("shift", (-mean / std).float()[:, None, None])

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.net(image * self.scale + self.shift)


def convert(net: torch.nn.Module, x: torch.Tensor, job: dict, out: Path) -> dict:
    image = job["image"]
    if image:
        net = OfImage(net, job["mean"], job["std"])
        given = ct.ImageType(name="image", shape=x.shape, color_layout=ct.colorlayout.RGB)
    else:
        given = ct.TensorType(name="images", shape=x.shape)
    model = ct.convert(
        torch.jit.trace(net.eval(), x),
        inputs=[given],
        outputs=[ct.TensorType(name="logits")],
        convert_to="mlprogram",
        minimum_deployment_target=ct.target.iOS16,
        compute_precision=ct.precision.FLOAT16 if job["float16"] else ct.precision.FLOAT32,
        skip_model_load=True,
    )
    model.short_description = job["title"]
    model.user_defined_metadata.update({f"mobilenas.{key}": value for key, value in job["about"].items()})
    model.save(str(out))
    described = model.get_spec().description.input[0].type.WhichOneof("Type")
    if described != ("imageType" if image else "multiArrayType"):
        raise ValueError(f"the package takes {described}")
    return {}


def load(file: Path):
    program = mil.Program(file)
    facts = {"highest_rank": program.highest_rank(), "operators": len(program.operators)}
    # Which operators run on which unit only Core ML on a device knows.
    runtime = {"name": "torch (MIL read back from the file)", "version": torch.__version__}
    return program, {**facts, "delegated": None, "runtime": runtime}
