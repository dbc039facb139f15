"""Evaluates an .mlpackage with torch on any machine: reads the package back as MIL, operator by operator.

Operators in half precision are computed in float32, and their results are rounded to float16.
"""

from pathlib import Path

import coremltools as ct
import numpy as np
import torch
from coremltools.converters.mil.frontend.milproto.load import load
from torch import Tensor
from torch.nn import functional as F

TYPES = {"fp16": torch.float16, "fp32": torch.float32, "int32": torch.int32, "bool": torch.bool}


class Arguments:
    """The inputs of one operator: values computed so far, or constants."""

    def __init__(self, operator, values: dict):
        self.operator, self.values = operator, values

    def _value(self, variable):
        if variable.name in self.values:
            return self.values[variable.name]
        if variable.val is None:
            raise ValueError(f"{self.operator.op_type}: {variable.name} has no value")
        return variable.val

    def get(self, name: str, default=None):
        variable = self.operator.inputs.get(name)
        if variable is None:
            return default
        if isinstance(variable, (list, tuple)):
            return [tensor(self._value(v)) for v in variable]
        return self._value(variable)

    def tensor(self, name: str) -> Tensor:
        return tensor(self.get(name))

    def optional(self, name: str) -> Tensor | None:
        value = self.get(name)
        return None if value is None else tensor(value)

    def ints(self, name: str, default=None) -> list[int]:
        return [int(i) for i in np.asarray(self.get(name, default)).ravel()]

    def number(self, name: str, default: float | None = None) -> float:
        return float(self.get(name, default))

    def flag(self, name: str, default: bool = False) -> bool:
        return bool(self.get(name, default))

    def text(self, name: str, default: str) -> str:
        return str(self.get(name, default))


def tensor(value) -> Tensor:
    """A tensor for arithmetic: float16 becomes float32."""
    value = value if torch.is_tensor(value) else torch.as_tensor(np.asarray(value))
    return value.float() if value.dtype == torch.float16 else value


def padding(a: Arguments, size: list[int], x: Tensor) -> list[int]:
    """Padding of the last axes as F.pad takes it, last axis first."""
    kind, axes = a.text("pad_type", "valid"), len(size)
    strides = a.ints("strides", [1] * axes)
    dilations = a.ints("dilations", [1] * axes)
    if kind == "valid":
        pad = [0] * (2 * axes)
    elif kind == "custom":
        pad = a.ints("pad")
    elif kind in ("same", "same_lower"):
        pad = []
        for k in range(axes):
            side = x.shape[2 + k]
            total = max(0, (-(-side // strides[k]) - 1) * strides[k] + dilations[k] * (size[k] - 1) + 1 - side)
            low = (total + 1) // 2 if kind == "same_lower" else total // 2
            pad += [low, total - low]
    else:
        raise ValueError(f"padding {kind}")
    return [n for k in reversed(range(axes)) for n in pad[2 * k : 2 * k + 2]]


def conv(a: Arguments) -> Tensor:
    x, weight = a.tensor("x"), a.tensor("weight")
    axes = weight.dim() - 2
    x = F.pad(x, padding(a, list(weight.shape[2:]), x))
    of = F.conv2d if axes == 2 else F.conv1d
    strides, dilations = a.ints("strides", [1] * axes), a.ints("dilations", [1] * axes)
    return of(x, weight, a.optional("bias"), strides, 0, dilations, int(a.get("groups", 1)))


def avg_pool(a: Arguments) -> Tensor:
    x, size = a.tensor("x"), a.ints("kernel_sizes")
    if a.flag("ceil_mode"):
        raise ValueError("avg_pool with ceil_mode")
    strides, pad = a.ints("strides", [1] * len(size)), padding(a, size, x)
    total = F.avg_pool2d(F.pad(x, pad), size, strides)
    if not a.flag("exclude_padding_from_average"):
        return total
    return total / F.avg_pool2d(F.pad(torch.ones_like(x[:1, :1]), pad), size, strides)


def max_pool(a: Arguments) -> Tensor:
    x, size = a.tensor("x"), a.ints("kernel_sizes")
    if a.flag("ceil_mode"):
        raise ValueError("max_pool with ceil_mode")
    return F.max_pool2d(F.pad(x, padding(a, size, x), value=-torch.inf), size, a.ints("strides", [1] * len(size)))


def layer_norm(a: Arguments) -> Tensor:
    x = a.tensor("x")
    axes = [axis % x.dim() for axis in a.ints("axes")]
    mean = x.mean(axes, keepdim=True)
    x = (x - mean) / (x.var(axes, unbiased=False, keepdim=True) + a.number("epsilon", 1e-5)).sqrt()
    gamma, beta = a.optional("gamma"), a.optional("beta")
    x = x if gamma is None else x * gamma
    return x if beta is None else x + beta


def matmul(a: Arguments) -> Tensor:
    x, y = a.tensor("x"), a.tensor("y")
    x = x.transpose(-1, -2) if a.flag("transpose_x") else x
    return x @ (y.transpose(-1, -2) if a.flag("transpose_y") else y)


def squeeze(a: Arguments) -> Tensor:
    x = a.tensor("x")
    for axis in sorted((axis % x.dim() for axis in a.ints("axes")), reverse=True):
        x = x.squeeze(axis)
    return x


def expand_dims(a: Arguments) -> Tensor:
    x, axes = a.tensor("x"), a.ints("axes")
    for axis in sorted(axis % (x.dim() + len(axes)) for axis in axes):
        x = x.unsqueeze(axis)
    return x


def split(a: Arguments) -> tuple[Tensor, ...]:
    x, axis, sizes = a.tensor("x"), int(a.get("axis")), a.get("split_sizes")
    if sizes is not None:
        return x.split(a.ints("split_sizes"), axis)
    return x.split(x.shape[axis] // int(a.get("num_splits")), axis)


def slice_by_index(a: Arguments) -> Tensor:
    x = a.tensor("x")
    none = [False] * x.dim()
    begin, end, stride = a.ints("begin"), a.ints("end"), a.ints("stride", [1] * x.dim())
    masks = [a.ints(name, none) for name in ("begin_mask", "end_mask", "squeeze_mask")]
    if min(stride) < 1:
        raise ValueError("slice_by_index backwards")
    parts = []
    for axis in range(x.dim()):
        low = None if masks[0][axis] else begin[axis]
        high = None if masks[1][axis] else end[axis]
        parts.append(begin[axis] if masks[2][axis] else slice(low, high, stride[axis]))
    return x[tuple(parts)]


def resize_bilinear(a: Arguments) -> Tensor:
    mode = a.text("sampling_mode", "DEFAULT")
    if mode not in ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS", "UNALIGN_CORNERS"):
        raise ValueError(f"resize_bilinear with {mode}")
    size = (int(a.get("target_size_height")), int(a.get("target_size_width")))
    return F.interpolate(a.tensor("x"), size, mode="bilinear", align_corners=mode != "UNALIGN_CORNERS")


def upsample(a: Arguments) -> Tensor:
    factors = (a.number("scale_factor_height", 1), a.number("scale_factor_width", 1))
    x = a.tensor("x")
    size = [int(side * factor + 1e-6) for side, factor in zip(x.shape[2:], factors)]
    if a.operator.op_type == "upsample_nearest_neighbor":
        return F.interpolate(x, size)
    return F.interpolate(x, size, mode="bilinear", align_corners=a.flag("align_corners", True))


def resize_nearest_neighbor(a: Arguments) -> Tensor:
    return F.interpolate(a.tensor("x"), (int(a.get("target_size_height")), int(a.get("target_size_width"))))


def thresholded_relu(a: Arguments) -> Tensor:
    x = a.tensor("x")
    return torch.where(x >= a.number("alpha", 1.0), x, torch.zeros_like(x))


def gelu(a: Arguments) -> Tensor:
    mode = a.text("mode", "EXACT")
    if mode == "SIGMOID_APPROXIMATION":
        raise ValueError("gelu by sigmoid")
    return F.gelu(a.tensor("x"), approximate="none" if mode == "EXACT" else "tanh")


def gather(a: Arguments) -> Tensor:
    x, indices, axis = a.tensor("x"), a.tensor("indices").long(), int(a.get("axis", 0))
    return x.index_select(axis, indices.reshape(-1)).reshape(*x.shape[:axis], *indices.shape, *x.shape[axis:][1:])


def reduce(a: Arguments, how) -> Tensor:
    x = a.tensor("x")
    axes = list(range(x.dim())) if a.get("axes") is None else a.ints("axes")
    return how(x, axes, a.flag("keep_dims"))


def pad(a: Arguments) -> Tensor:
    sizes, mode = a.ints("pad"), a.text("mode", "constant")
    if mode != "constant":
        raise ValueError(f"pad with {mode}")
    sizes = [n for k in reversed(range(len(sizes) // 2)) for n in sizes[2 * k : 2 * k + 2]]
    return F.pad(a.tensor("x"), sizes, value=a.number("constant_val", 0.0))


def batch_norm(a: Arguments) -> Tensor:
    state = [a.optional(name) for name in ("mean", "variance", "gamma", "beta")]
    return F.batch_norm(a.tensor("x"), *state, False, 0.0, a.number("epsilon", 1e-5))


def linear(a: Arguments) -> Tensor:
    return F.linear(a.tensor("x"), a.tensor("weight"), a.optional("bias"))


def unary(function):
    return lambda a: function(a.tensor("x"))


def binary(function):
    return lambda a: function(a.tensor("x"), a.tensor("y"))


OPERATORS = {
    "add": binary(torch.add),
    "avg_pool": avg_pool,
    "batch_norm": batch_norm,
    "cast": lambda a: a.tensor("x").to(TYPES[a.text("dtype", "fp32")]),
    "clip": lambda a: a.tensor("x").clamp(a.number("alpha"), a.number("beta")),
    "concat": lambda a: torch.cat(a.get("values"), int(a.get("axis"))),
    "conv": conv,
    "exp": unary(torch.exp),
    "expand_dims": expand_dims,
    "gather": gather,
    "gelu": gelu,
    "identity": unary(torch.clone),
    "layer_norm": layer_norm,
    "linear": linear,
    "matmul": matmul,
    "max_pool": max_pool,
    "maximum": binary(torch.maximum),
    "minimum": binary(torch.minimum),
    "mul": binary(torch.mul),
    "pad": pad,
    "pixel_shuffle": lambda a: F.pixel_shuffle(a.tensor("x"), int(a.get("upscale_factor"))),
    "pixel_unshuffle": lambda a: F.pixel_unshuffle(a.tensor("x"), int(a.get("downscale_factor"))),
    "pow": binary(torch.pow),
    "real_div": binary(torch.div),
    "reduce_max": lambda a: reduce(a, torch.amax),
    "reduce_mean": lambda a: reduce(a, torch.mean),
    "reduce_sum": lambda a: reduce(a, torch.sum),
    "relu": unary(F.relu),
    "relu6": unary(F.relu6),
    "reshape": lambda a: a.tensor("x").reshape(a.ints("shape")),
    "resize_bilinear": resize_bilinear,
    "resize_nearest_neighbor": resize_nearest_neighbor,
    "rsqrt": lambda a: torch.rsqrt(a.tensor("x") + a.number("epsilon", 1e-12)),
    "sigmoid": unary(torch.sigmoid),
    "sigmoid_hard": lambda a: (a.number("alpha", 0.2) * a.tensor("x") + a.number("beta", 0.5)).clamp(0, 1),
    "silu": unary(F.silu),
    "slice_by_index": slice_by_index,
    "softmax": lambda a: a.tensor("x").softmax(int(a.get("axis", -1))),
    "split": split,
    "sqrt": unary(torch.sqrt),
    "square": unary(torch.square),
    "squeeze": squeeze,
    "sub": binary(torch.sub),
    "tanh": unary(torch.tanh),
    "thresholded_relu": thresholded_relu,
    "tile": lambda a: a.tensor("x").repeat(a.ints("reps")),
    "transpose": lambda a: a.tensor("x").permute(a.ints("perm")),
    "upsample_bilinear": upsample,
    "upsample_nearest_neighbor": upsample,
}


class Program:
    """The function `main` of a package, with one input and one output."""

    def __init__(self, package: Path):
        spec = ct.models.utils.load_spec(str(package))
        weights = package / "Data/com.apple.CoreML/weights"
        program = load(spec, specification_version=spec.specificationVersion, file_weights_dir=str(weights))
        self.function = program.functions["main"]
        (self.input,) = (variable.name for variable in self.function.inputs.values())
        (self.output,) = (variable.name for variable in self.function.outputs)
        self.operators = [o for o in self.function.operations if o.op_type != "const"]
        missing = {o.op_type for o in self.operators} - OPERATORS.keys()
        if missing:
            raise ValueError(f"operators of MIL that the comparison cannot evaluate: {', '.join(sorted(missing))}")

    def highest_rank(self) -> int:
        return max(len(variable.shape) for o in self.operators for variable in o.outputs)

    def __call__(self, x: Tensor) -> Tensor:
        values = {self.input: x}
        for operator in self.operators:
            found = OPERATORS[operator.op_type](Arguments(operator, values))
            for variable, value in zip(operator.outputs, found if isinstance(found, tuple) else (found,), strict=True):
                shape = [int(side) for side in variable.shape]
                if list(value.shape) != shape:
                    raise ValueError(f"{operator.op_type} {variable.name}: {list(value.shape)} instead of {shape}")
                half = "fp16" in str(variable.dtype)
                values[variable.name] = value.half() if half else value
        return values[self.output].float()
