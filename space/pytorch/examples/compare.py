#!/usr/bin/env python3
"""Compares a converted network with its PyTorch source on ten images: python compare.py FOLDER NAME RUNTIME FILE...

FOLDER is what `mobilenas weights export --format pytorch --out FOLDER` wrote: NAME.py, NAME.safetensors, example.py.
Prints the difference of the logits as JSON; the exit code is 1 if it is above 1e-4 of their spread.

    onnxruntime X.onnx or X.ort           package onnxruntime
    ncnn        X.ncnn.param X.ncnn.bin   package ncnn
    mnn         X.mnn                     package MNN
    tflite      X.tflite                  package ai-edge-litert; images may have their channels last

Needs torch, safetensors, numpy and the runtime's package.
"""

import importlib
import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[3]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "bench/phones/python"))

TOLERANCE = 1e-4


def onnxruntime(file: str):
    import onnxruntime as ort

    session = ort.InferenceSession(file, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    return lambda x: session.run(None, {given.name: x})[0]


def ncnn(param: str, weights: str):
    import ncnn

    net = ncnn.Net()
    # ncnn computes in half precision where the CPU can, unless it is told not to.
    for name in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(net.opt, name, False)
    if net.load_param(param) or net.load_model(weights):
        raise ValueError(f"{param}: ncnn does not load it")
    (given,), (result,) = net.input_names(), net.output_names()

    def run(x):
        extractor = net.create_extractor()
        # A Mat over an array does not keep the array.
        extractor.input(given, ncnn.Mat(np.ascontiguousarray(x[0])).clone())
        code, logits = extractor.extract(result)
        if code:
            raise ValueError(f"ncnn fails with {code}")
        return np.array(logits).reshape(1, -1)

    return run


def mnn(file: str):
    import MNN

    interpreter = MNN.Interpreter(file)
    session = interpreter.createSession({"precision": "high", "backend": "CPU", "numThread": 1})
    given = interpreter.getSessionInput(session)

    def run(x):
        tensor = MNN.Tensor(x.shape, MNN.Halide_Type_Float, x, MNN.Tensor_DimensionType_Caffe)
        given.copyFrom(tensor)
        interpreter.runSession(session)
        result = interpreter.getSessionOutput(session)
        shape = result.getShape()
        host = MNN.Tensor(shape, MNN.Halide_Type_Float, np.zeros(shape, np.float32), MNN.Tensor_DimensionType_Caffe)
        result.copyToHostTensor(host)
        return np.array(host.getData(), np.float32).reshape(shape)

    return run


def tflite(file: str):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=file, num_threads=1)
    interpreter.allocate_tensors()
    (given,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(x):
        x = x if list(given["shape"]) == list(x.shape) else np.ascontiguousarray(x.transpose(0, 2, 3, 1))
        interpreter.set_tensor(given["index"], x)
        interpreter.invoke()
        return interpreter.get_tensor(result["index"]).copy()

    return run


RUNTIMES = {"onnxruntime": onnxruntime, "ncnn": ncnn, "mnn": mnn, "tflite": tflite}


def main() -> int:
    if len(sys.argv) < 5 or sys.argv[3] not in RUNTIMES:
        sys.exit(__doc__)
    folder, name, runtime, *files = sys.argv[1:]
    import torch
    from convert import compare, images

    sys.path.insert(0, folder)
    example = importlib.import_module("example")
    net, _ = example.load()
    mean, std = (torch.tensor(numbers)[:, None, None] for numbers in (example.MEAN, example.STD))
    given = (images(example.HEIGHT, example.WIDTH) / 255 - mean) / std
    run = RUNTIMES[runtime](*files)
    with torch.no_grad():
        reference = torch.cat([net.double()(x[None].double()) for x in given])
    logits = torch.cat([torch.from_numpy(np.asarray(run(x[None].numpy()))).float() for x in given])
    found = compare(reference, logits)
    print(json.dumps({"network": name, "runtime": runtime, **found, "tolerance": TOLERANCE}))
    return 0 if found["difference"] <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
