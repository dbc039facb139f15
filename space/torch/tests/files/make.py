#!/usr/bin/env python3
"""Makes the files beside it with PyTorch 2.11.0: python make.py. What is in them stands in ../weights_files.rs."""
import argparse, collections, enum, io, json, pathlib, pickle, zipfile
from pathlib import Path

import numpy as np

import torch
from safetensors.torch import save_file

here = Path(__file__).parent
base = torch.arange(24, dtype=torch.float32)
state = {"a.weight": base[:6].view(2, 3), "a.turned": base[6:18].view(3, 4).t(), "n": torch.tensor(7),
         "half": torch.tensor([0.5, -2.0], dtype=torch.float16), "brain": torch.tensor([1.5], dtype=torch.bfloat16)}
torch.save(state, here / "plain.pt")
torch.save(state, here / "old.pth", _use_new_zipfile_serialization=False)
wrapped = {"module." + k: torch.nn.Parameter(v) if v.is_floating_point() else v for k, v in state.items()}
torch.save({"epoch": 3, "args": argparse.Namespace(lr=0.1), "model": {k: v * 0 for k, v in wrapped.items()},
            "model_ema": wrapped, "optimizer": {"state": {}}}, here / "checkpoint.pth.tar")
# Objects beside the weights, as training scripts leave them there, and inside them.
objects = {"counter": collections.Counter([3]), "set": {1}, "array": np.array([1.0]), "path": pathlib.PurePosixPath("/x"),
           "deque": collections.deque([1], 5), "enum": enum.Enum("Mode", "A", module="__main__").A, "big": 1 << 900,
           "random": np.random.default_rng(1), "args": argparse.Namespace(out=pathlib.PurePosixPath("/x"))}
Mode = type(objects["enum"])
for protocol in (2, 4):
    (here / f"objects.{protocol}.pkl").write_bytes(pickle.dumps(objects, protocol))
torch.save({"model": state, "best": torch.tensor(71.2), **objects}, here / "objects.pt")
torch.save({"net": state, "acc": 90.0, "inner": {"ema": {"a.weight": state["a.weight"]}}}, here / "net.pth")
torch.save({"a.weight": state["a.weight"], "x": torch.nn.Linear(1, 1)}, here / "module.pt")
torch.save({"n_averaged": torch.tensor(3), **wrapped}, here / "averaged.pt")
torch.serialization.set_crc32_options(False)
torch.save(state, here / "no_checksums.pt")
torch.serialization.set_crc32_options(True)
# Shards and their index.
for kind in "pt", "safetensors":
    halves = [{k: v.contiguous() for k, v in state.items() if k.startswith("a.") == first} for first in (True, False)]
    names = [f"shard-0000{i + 1}-of-00002.{kind}" for i in range(2)]
    for name, half in zip(names, halves):
        (torch.save if kind == "pt" else save_file)(half, here / name)
    (here / f"shards.{kind}.index.json").write_text(json.dumps(
        {"metadata": {"total_size": 1}, "weight_map": {k: n for n, half in zip(names, halves) for k in half}}, indent=1))
torch.jit.script(torch.nn.Linear(1, 1)).save(here / "program.pt")


class Runs:
    def __reduce__(self):
        return __import__("os").system, ("touch /tmp/mobilenas-was-run",)


torch.save({"a.weight": state["a.weight"], "x": Runs()}, here / "runs.pt")
torch.save({"a.weight": state["a.weight"], "x": Runs()}, here / "runs_old.pth", _use_new_zipfile_serialization=False)
torch.save({"a.weight": torch.zeros(1).expand(1 << 40)}, here / "repeats.pt")
(here / "list.pt").write_bytes(b"")
torch.save([1, 2], here / "list.pt")


def altered(name, change):
    """plain.pt with its pickle changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(here / "plain.pt") as old, zipfile.ZipFile(out, "w") as new:
        for entry in old.infolist():
            data = old.read(entry)
            new.writestr(zipfile.ZipInfo(entry.filename), change(data) if entry.filename.endswith("data.pkl") else data)
    (here / name).write_bytes(out.getvalue())


# 24 elements become 2^31 - 1; and a size of 3 along one axis becomes 120.
altered("beyond.pt", lambda d: d.replace(b"K\x18t", b"J\xff\xff\xff\x7ft"))
altered("size.pt", lambda d: d.replace(b"K\x02K\x03\x86", b"K\x02K\x78\x86"))
