"""Networks that `mobilenas weights export --format pytorch` wrote; shared by the programs beside it."""
import importlib.util
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file


def load(folder: Path) -> torch.nn.Module:
    """The network of a folder with the folder's weights, for inference."""
    (file,) = (f for f in folder.glob("*.py") if f.name != "example.py")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    source = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = source
    spec.loader.exec_module(source)
    net = source.build().eval()
    net.load_state_dict(load_file(file.with_suffix(".safetensors")))
    return net
