"""Converts PyTorch source to .tflite files, one after another: python serve_litert.py FOLDER

A line of standard input is a job, a JSON object: `source`, a file of Python; `weights`, its tensors; `size` of the input;
`input_last` and `output_last`, whether those are feature maps whose channels stand last in the file; `file`, the result.
A line with `error` answers it, null if all went well. At the end of standard input the process ends at once, even in the
middle of a conversion, and removes the folder, which holds its temporary files.
"""

import importlib.util
import json
import os
import queue
import shutil
import sys
import threading
import traceback
import warnings
from pathlib import Path

JOBS: queue.SimpleQueue = queue.SimpleQueue()


def read(folder: str) -> None:
    for line in sys.stdin:
        JOBS.put(json.loads(line))
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


def convert(job: dict) -> None:
    import litert_torch
    import to_litert
    import torch
    from safetensors.torch import load_file

    spec = importlib.util.spec_from_file_location("network", job["source"])
    network = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(network)
    net = network.build()
    net.load_state_dict(load_file(job["weights"]), strict=True)
    net.eval().requires_grad_(False)
    x = torch.zeros(job["size"])
    if job["input_last"]:
        x = x.permute(0, 2, 3, 1).contiguous()
    if job["input_last"] or job["output_last"]:
        ends = [[0] if job[end] else None for end in ("input_last", "output_last")]
        net = litert_torch.to_channel_last_io(net, args=ends[0], outputs=ends[1]).eval()
    to_litert.convert(net, x, job, Path(job["file"]))


def main(folder: str) -> None:
    warnings.filterwarnings("ignore")
    # What libraries print is no answer.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    threading.Thread(target=read, args=(folder,), daemon=True).start()
    while True:
        job, error = JOBS.get(), None
        try:
            convert(job)
        except Exception as e:
            traceback.print_exc()
            error = f"{type(e).__name__}: {' '.join(str(e).split())[:600]}"
        answers.write(json.dumps({"error": error}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
