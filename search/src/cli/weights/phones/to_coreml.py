"""Core ML: an .mlpackage from the traced network. It cannot run outside macOS, so MIL is read back and evaluated."""

from pathlib import Path

import coremltools as ct
import mil
import torch


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
