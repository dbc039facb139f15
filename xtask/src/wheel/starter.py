"""Starts the program mobilenas with the libraries of this Python environment."""

import importlib.util
import os
import sys
from importlib import metadata
from pathlib import Path

# The program was compiled for this libtorch, and for no other.
TORCH = "@TORCH@"


def package(name):
    """The folder of a package, which is not imported."""
    spec = importlib.util.find_spec(name)
    places = list(spec.submodule_search_locations or []) if spec else []
    return Path(places[0]) if places else None


def found(name, pattern):
    """The first file of a package that fits."""
    folder = package(name)
    return next((str(file) for file in sorted(folder.glob(pattern))), None) if folder else None


def fail(message):
    sys.exit(f"error: {message}")


def check_torch():
    """The folder of libtorch's libraries."""
    want = f"expected torch {TORCH}: {sys.executable} -m pip install torch=={TORCH}"
    try:
        version = metadata.version("torch")
    except metadata.PackageNotFoundError:
        fail(f"found no package torch in this environment, {want}")
    if version.split("+")[0] != TORCH:
        fail(f"found torch {version} in this environment, {want}")
    folder = package("torch")
    if folder is None or not (folder / "lib" / "libtorch_cpu.so").is_file():
        fail(f"found a package torch {version} without lib/libtorch_cpu.so, {want}")
    return folder / "lib"


def environment(here, libtorch):
    """The environment of the program: what the user has set is kept."""
    variables = dict(os.environ)
    for variable, name, pattern in (
        ("ORT_DYLIB_PATH", "onnxruntime", "capi/libonnxruntime.so.*"),
        ("MOBILENAS_OPENVINO", "openvino", "libs/libopenvino_c.so*"),
        ("MOBILENAS_LITERT", "ai_edge_litert", "libLiteRt.so"),
    ):
        if not variables.get(variable):
            library = found(name, pattern)
            if library:
                variables[variable] = library
    if not variables.get("MOBILENAS_DATA"):
        shared = variables.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
        variables["MOBILENAS_DATA"] = str(Path(shared) / "mobilenas" / "data")
    # The program looks for libtorch beside its own package; elsewhere it has to be told.
    if libtorch.resolve() != (here.parent / "torch" / "lib").resolve():
        before = variables.get("LD_LIBRARY_PATH")
        variables["LD_LIBRARY_PATH"] = f"{libtorch}:{before}" if before else str(libtorch)
    return variables


def main():
    here = Path(__file__).resolve().parent
    libtorch = check_torch()
    program = here / "bin" / "mobilenas"
    os.execve(program, [sys.argv[0] or "mobilenas", *sys.argv[1:]], environment(here, libtorch))


if __name__ == "__main__":
    main()
