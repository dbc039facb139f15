#!/usr/bin/env python3
"""Model files of other people's making, each through `bench bless`, `bench check` and `bench run`.

    python model_files.py DIR PROGRAM [NAME ...]

Makes the files in DIR, all or those that are named. For each it tells: whether the program blesses it and then passes
it; whether its MACs are those of the shapes that ONNX Runtime saw in a run without optimisations (`profile`); whether
a weight that is moved is found; whether `bench run` measures it. Then broken files, with the message of each. Ends
with 1 if one did not do as it should. Needs torch, timm, torchvision, onnx and onnxruntime.
"""
import json
import logging
import subprocess
import sys
import warnings
from pathlib import Path

import numpy
import onnx
import onnxruntime
import timm
import torch
import torchvision
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import quantization
from torch import nn

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
onnxruntime.set_default_logger_severity(3)
QUICK = "window_ms: 20\nwarmup: {max_seconds: 0.3}\nsamples: {min: 5, max_seconds: 0.2}\nprocesses: {min: 1, max: 1}\n"
IMAGE = (1, 3, 224, 224)


class Encoder(nn.Module):
    """Token ids and a mask, as language models have them; a sequence and a pooled vector."""

    def __init__(self, bool_mask=False):
        super().__init__()
        self.bool_mask = bool_mask
        self.embedding, self.position = nn.Embedding(1000, 64), nn.Parameter(torch.randn(1, 512, 64))
        self.projections = nn.ModuleList(nn.Linear(64, 192) for _ in range(2))
        self.feeds = nn.ModuleList(nn.Sequential(nn.Linear(64, 128), nn.GELU(), nn.Linear(128, 64)) for _ in range(2))

    def forward(self, ids, mask):
        x = self.embedding(ids) + self.position[:, : ids.shape[1]]
        kept = (mask if self.bool_mask else mask != 0)[:, None, None]
        for projection, feed in zip(self.projections, self.feeds):
            # Four heads of 16; no size of an axis stands in the graph.
            q, k, v = projection(x).unflatten(-1, (3, 4, 16)).permute(2, 0, 3, 1, 4).unbind(0)
            x = x + nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=kept).transpose(1, 2).flatten(2)
            x = x + feed(x)
        return x, x.mean(1)


class Bytes(nn.Module):
    """Raw pixels in, normalised inside; class and score out."""

    def __init__(self):
        super().__init__()
        self.net = torchvision.models.squeezenet1_1()

    def forward(self, pixels):
        logits = self.net(pixels.permute(0, 3, 1, 2).float() / 255)
        return logits.argmax(1), logits.softmax(1)


class Up(nn.Module):
    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Conv2d(3, 8, 3, 2, 1), nn.ConvTranspose2d(8, 4, 4, 2, 1)

    def forward(self, x):
        small = self.down(x).relu()
        return nn.functional.interpolate(self.up(small), scale_factor=1.5, mode="bilinear"), small


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.gru = nn.LSTM(16, 32, bidirectional=True, batch_first=True), nn.GRU(64, 8, batch_first=True)

    def forward(self, x):
        return self.gru(self.lstm(x)[0])[0]


class Outer(nn.Module):
    def forward(self, a, b):
        return torch.einsum("bik,bjk->bij", a, b).softmax(-1)


def export(model, inputs, path, names, axes=None, outputs=None, opset=17):
    torch.manual_seed(0)
    # Batch norms of an untrained network are all alike, and PyTorch would store one bias for all convolutions of a width.
    with torch.no_grad():
        for norm in (m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)):
            norm.bias.normal_(0, 0.1)
            norm.running_mean.normal_(0, 0.1)
            norm.running_var.uniform_(0.5, 1.5)
    torch.onnx.export(model.eval(), inputs, str(path), input_names=names, output_names=outputs, dynamic_axes=axes,
                      opset_version=opset, dynamo=False)


def image(make, size=IMAGE, axes=None, **more):
    def write(path):
        export(make(), (torch.rand(size),), path, ["images"], axes, **more)
    return write


def named(name, **more):
    return image(lambda: timm.create_model(name), **more)


class Images(quantization.CalibrationDataReader):
    def __init__(self):
        self.left = [{"images": numpy.random.default_rng(i).random(IMAGE, numpy.float32)} for i in range(4)]

    def get_next(self):
        return self.left.pop() if self.left else None


def quantized(form):
    def write(path):
        plain = path.with_suffix(".float")
        image(torchvision.models.mobilenet_v2)(plain)
        if form is None:
            quantization.quantize_dynamic(str(plain), str(path), op_types_to_quantize=["MatMul", "Gemm"])
        else:
            quantization.quantize_static(str(plain), str(path), Images(), quant_format=form)
        plain.unlink()
    return write


def dynamic_encoder_quantized(path):
    plain = path.with_suffix(".float")
    tokens()(plain)
    quantization.quantize_dynamic(str(plain), str(path))
    plain.unlink()


def tokens(bool_mask=False):
    def write(path):
        ids, mask = torch.randint(0, 1000, (2, 16)), torch.ones(2, 16, dtype=torch.bool if bool_mask else torch.int64)
        axes = {"ids": {0: "batch", 1: "length"}, "mask": {0: "batch", 1: "length"}}
        export(Encoder(bool_mask), (ids, mask), path, ["ids", "mask"], axes, ["sequence", "pooled"])
    return write


def half(path):
    export(torchvision.models.shufflenet_v2_x0_5().half(), (torch.rand(IMAGE).half(),), path, ["images"])


def outside(path):
    image(torchvision.models.mnasnet0_5)(path)
    onnx.save(onnx.load(str(path)), str(path), save_as_external_data=True, location=path.stem + ".weights",
              size_threshold=1024)


TOKENS = ["--dim", "batch=1", "--dim", "length=64", "--range", "ids=0:999"]
# Name, what writes it, and the flags that it needs.
FILES = {
    "mobilenet_v2": (image(torchvision.models.mobilenet_v2), []),
    "mobilenetv3_small": (named("mobilenetv3_small_100"), []),
    "mobilevit_xxs": (named("mobilevit_xxs", size=(1, 3, 256, 256)), []),
    "efficientnet_b0_dynamic": (named("efficientnet_b0", axes={"images": {0: "batch"}}), ["--dim", "batch=2"]),
    "vit_tiny": (named("vit_tiny_patch16_224"), []),
    "convnext_atto": (named("convnext_atto"), []),
    "ghostnet": (named("ghostnet_100"), []),
    "repvgg_a0": (named("repvgg_a0"), []),
    "edgenext": (named("edgenext_xx_small"), []),
    "regnety": (named("regnety_002"), []),
    "levit": (named("levit_128s"), []),
    "mixer": (named("mixer_s32_224"), []),
    "swin": (named("swin_tiny_patch4_window7_224"), []),
    "efficientformerv2": (named("efficientformerv2_s0"), []),
    "features": (image(lambda: timm.create_model("mobilenetv4_conv_small", features_only=True)), []),
    "segmentation": (image(lambda: torchvision.models.segmentation.lraspp_mobilenet_v3_large(weights_backbone=None)), []),
    "resolution": (image(torchvision.models.shufflenet_v2_x1_0, axes={"images": {0: "batch", 2: "height", 3: "width"}}),
                   ["--size", "images=1x3x192x256"]),
    "encoder_int64": (tokens(), TOKENS),
    "encoder_bool": (tokens(True), TOKENS),
    "encoder_int8": (dynamic_encoder_quantized, TOKENS),
    "bytes": (lambda p: export(Bytes(), (torch.zeros(1, 224, 224, 3, dtype=torch.uint8),), p, ["pixels"]), []),
    "up": (image(Up, size=(1, 3, 64, 64)), []),
    "recurrent": (lambda p: export(Recurrent(), (torch.rand(1, 20, 16),), p, ["x"]), []),
    "outer": (lambda p: export(Outer(), (torch.rand(2, 8, 16), torch.rand(2, 9, 16)), p, ["a", "b"]), []),
    "int8_qdq": (quantized(quantization.QuantFormat.QDQ), []),
    "int8_operators": (quantized(quantization.QuantFormat.QOperator), []),
    "int8_dynamic": (quantized(None), []),
    "float16": (half, []),
    "external_data": (outside, []),
    "old_opset": (image(torchvision.models.squeezenet1_1, opset=11), []),
}


def feed(session, flags):
    """Inputs of the sizes that the flags give."""
    dims = dict(v.split("=") for f, v in zip(flags, flags[1:]) if f == "--dim")
    sizes = dict(v.split("=") for f, v in zip(flags, flags[1:]) if f == "--size")
    kinds = {"tensor(float)": numpy.float32, "tensor(float16)": numpy.float16, "tensor(int64)": numpy.int64,
             "tensor(bool)": bool, "tensor(uint8)": numpy.uint8}
    of = lambda i: [int(s) for s in sizes[i.name].split("x")] if i.name in sizes else [int(dims.get(d, d)) for d in i.shape]
    return {i.name: numpy.ones(of(i), kinds[i.type]) for i in session.get_inputs()}


def profile(path, flags):
    """Multiply-accumulates by the shapes that ONNX Runtime saw: a count that shares nothing with the program's."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    # Weights that are packed are not in the profile.
    options.add_session_config_entry("session.disable_prepacking", "1")
    options.enable_profiling, options.profile_file_prefix = True, str(path.with_suffix(".profile"))
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    session.run(None, feed(session, flags))
    written = Path(session.end_profiling())
    total = 0
    size = lambda of: int(numpy.prod(next(iter(of.values())), dtype=numpy.int64))
    for event in json.loads(written.read_text()):
        args = event.get("args", {})
        if not event["name"].endswith("_kernel_time"):
            continue
        op, ins, outs = args["op_name"], args["input_type_shape"], args["output_type_shape"]
        dims = lambda i: next(iter(ins[i].values()))
        if op in ("Conv", "ConvInteger", "QLinearConv"):
            weights = 3 if op == "QLinearConv" else 1
            total += size(outs[0]) * size(ins[weights]) // dims(weights)[0]
        elif op == "ConvTranspose":
            total += size(ins[0]) * size(ins[1]) // dims(1)[0]
        elif op in ("MatMul", "MatMulInteger", "QLinearMatMul", "Gemm", "QGemm"):
            total += size(outs[0]) * dims(0)[-1]
        elif op in ("LSTM", "GRU"):
            total += dims(0)[0] * dims(0)[1] * (size(ins[1]) + size(ins[2]))
        elif op == "Einsum":
            total += size(outs[0]) * dims(0)[-1]
    written.unlink()
    return total


def moved(path):
    """The file with one weight changed, and the others where they were; none if it has no weights."""
    model = onnx.load(str(path))
    tensors = [t for t in model.graph.initializer if t.data_type in (1, 3, 2, 10) and numpy.prod(t.dims) > 100]
    if not tensors:
        return None
    values = numpy_helper.to_array(tensors[-1]).copy()
    values.flat[7] = values.flat[7] + 1
    tensors[-1].CopyFrom(numpy_helper.from_array(values, tensors[-1].name))
    changed = path.with_name("changed." + path.name)
    onnx.save(model, str(changed))
    return changed


def said(program, *words):
    done = subprocess.run([program, "bench", *map(str, words)], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def tried(name, folder, program):
    write, flags = FILES[name]
    path = folder / f"{name}.onnx"
    if not path.exists():
        write(path)
    baseline = folder / f"{name}.json"
    blessed, words = said(program, "bless", "--baseline", baseline, "--onnx", path, *flags)
    if blessed:
        return False, words.strip()
    facts = json.loads(baseline.read_text())["files"][str(path)]["facts"]
    passed, words = said(program, "check", "--baseline", baseline, "--onnx", path, "--require-baseline", *flags)
    counted = profile(path, flags)
    other = moved(path)
    changed = 3 if other is None else said(program, "check", "--baseline-onnx", path, "--onnx", other, "--config",
                                           folder / "short.yaml", *flags)[0]
    measured, table = said(program, "run", folder / "quick.yaml", "--onnx", path, *flags)
    same = facts["macs"] == counted and not facts.get("unknown_macs")
    line = (f"{facts['params'] / 1e6:6.2f} M params, {facts['macs'] / 1e6:8.1f} M MACs ({'as' if same else 'NOT as'} profiled"
            f"{'' if same else f', {counted / 1e6:.1f}'}), {sum(facts['ops'].values()):4} nodes; check {passed}, "
            f"changed weight {changed}, run {measured}: {table.splitlines()[1].split()[4] if measured == 0 else table} ms")
    if facts.get("unknown_macs"):
        line += f"; {len(facts['unknown_macs'])} unknown, the first {facts['unknown_macs'][0]}"
    return (passed, changed, measured, same) == (0, 3, 0, True), line


def broken(folder):
    """Files that are none, and the flags that each is given."""
    good = folder / "broken.good.onnx"
    image(Up, size=(1, 3, 16, 16), axes={"images": {0: "batch"}})(good)
    data = good.read_bytes()
    write = lambda name, content: (folder / name).write_bytes(content) and folder / name
    yield write("empty.onnx", b"\n"), []
    yield write("text.onnx", b"this is no model, but a text of some length\n" * 9), []
    yield write("truncated.onnx", data[: len(data) // 2]), []
    yield good, []
    yield good, ["--dim", "length=1"]
    yield good, ["--size", "images=1x4x16x16"]
    yield good, ["--size", "pictures=1x3x16x16"]
    yield good, ["--dim", "batch=1", "--size", "images=1x3x16x16:float16"]
    yield folder / "nowhere.onnx", []
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 4]) for n in "xy")
    custom = helper.make_model(helper.make_graph([helper.make_node("Magic", ["x"], ["y"], domain="acme")], "g", [x], [y]))
    yield write("custom.onnx", custom.SerializeToString()), []
    unknown = helper.make_model(helper.make_graph([helper.make_node("Magic", ["x"], ["y"])], "g", [x], [y]))
    yield write("unknown.onnx", unknown.SerializeToString()), []
    weights = numpy_helper.from_array(numpy.ones((4, 64), numpy.float32), "w")
    matmul = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [x], [y], [weights])
    missing = helper.make_model(matmul)
    onnx.save(missing, str(folder / "missing.onnx"), save_as_external_data=True, location="gone.bin", size_threshold=0)
    (folder / "gone.bin").unlink()
    yield folder / "missing.onnx", []
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, [1, 4])
    table = helper.make_graph([helper.make_node("Gather", ["w", "ids"], ["y"])], "g", [ids], [y], [weights])
    yield write("range.onnx", helper.make_model(table).SerializeToString()), ["--range", "ids=900:999"]


def main():
    folder, program, wanted = Path(sys.argv[1]), sys.argv[2], sys.argv[3:] or list(FILES)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "quick.yaml").write_text(QUICK)
    (folder / "short.yaml").write_text("paired: {looks: [2], blocks: 5, round_seconds: 0.1, warmup: 1}\n")
    bad = 0
    for name in wanted:
        good, line = tried(name, folder, program)
        bad += not good
        print(f"{'ok ' if good else 'BAD'} {name:24} {line}", flush=True)
    for path, flags in broken(folder):
        for command in (["bless", "--baseline", folder / "none.json"], ["run"]):
            code, words = said(program, *command, "--onnx", path, *flags)
            # What only the runtime knows is a failed row of `bench run`.
            told = words.startswith("error: ") and words.count("\n") == 1 or command == ["run"] and "failed: " in words
            good = code != 0 and told
            bad += not good
            print(f"{'ok ' if good else 'BAD'} {code} {command[0]:5} {words.strip()}", flush=True)
    print(f"{len(wanted)} files, {bad} not as they should be")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
