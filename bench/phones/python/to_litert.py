"""LiteRT: a .tflite, run on LiteRT's interpreter with its XNNPACK delegate, the code that runs on Android."""

from collections import Counter
from importlib.metadata import version
from pathlib import Path

import torch


def convert(net: torch.nn.Module, x: torch.Tensor, job: dict, out: Path) -> dict:
    import litert_torch

    litert_torch.convert(net, (x,)).export(str(out))
    return {}


def delegation(operators: list[dict]) -> dict:
    """What XNNPACK took over. Its parts are operators of their own; what they replaced is found from their results."""
    parts = [o for o in operators if o["op_name"] == "DELEGATE"]
    plain = [o for o in operators if o["op_name"] != "DELEGATE"]
    made_by = {int(value): o for o in plain for value in o["outputs"]}
    taken = set()
    for part in parts:
        given, open_values = {int(value) for value in part["inputs"]}, [int(value) for value in part["outputs"]]
        while open_values:
            value = open_values.pop()
            operator = made_by.get(value)
            if value in given or operator is None or operator["index"] in taken:
                continue
            taken.add(operator["index"])
            open_values += [int(value) for value in operator["inputs"]]
    return {
        "to": "XNNPACK",
        "operators": len(taken),
        "of": len(plain),
        "share": len(taken) / len(plain),
        "partitions": len(parts),
        "others": dict(Counter(o["op_name"] for o in plain if o["index"] not in taken)),
    }


def load(file: Path):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(file), num_threads=1)
    interpreter.allocate_tensors()
    (given,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(x: torch.Tensor) -> torch.Tensor:
        interpreter.set_tensor(given["index"], x.numpy())
        interpreter.invoke()
        return torch.from_numpy(interpreter.get_tensor(result["index"]).copy())

    facts = {
        "highest_rank": max(len(d["shape"]) for d in interpreter.get_tensor_details()),
        # Private, and the only place where Python sees the delegate's parts.
        "delegated": delegation(interpreter._get_ops_details()),
        "runtime": {"name": "LiteRT", "version": version("ai-edge-litert")},
    }
    return run, facts
