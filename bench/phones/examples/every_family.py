"""Converts many jobs, each in a fork of a process that has loaded the converters: python every_family.py FOLDER...

A folder holds what `weights export` gives to `convert.py`. One with report.json is done; one that fails gets error.txt.
"""

import os
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

SECONDS = 1200
sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))


def one(folder: Path, convert) -> None:
    """In the fork: what it prints goes to a log."""
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    signal.alarm(SECONDS)
    os.environ["TMPDIR"] = str(folder)
    try:
        convert.main(folder)
    except Exception as error:
        traceback.print_exc()
        (folder / "error.txt").write_text(f"{type(error).__name__}: {' '.join(str(error).split())[:600]}\n")
        os._exit(1)
    os._exit(0)


def main(folders: list[Path]) -> int:
    folders = [folder for folder in folders if not (folder / "report.json").exists()]
    if not folders:
        return 0
    # The quickest first: what is stopped early has done the most.
    folders.sort(key=lambda folder: sum(path.stat().st_size for path in folder.glob("*.safetensors")))
    import convert
    import coremltools  # noqa: F401
    import executorch.exir  # noqa: F401
    import litert_torch  # noqa: F401
    import torch

    torch.set_num_threads(1)
    failed = 0
    for at, folder in enumerate(folders):
        (folder / "error.txt").unlink(missing_ok=True)
        begin, child = time.time(), os.fork()
        if child == 0:
            one(folder, convert)
        _, status = os.waitpid(child, 0)
        if status and not (folder / "error.txt").exists():
            (folder / "error.txt").write_text(f"ended with status {os.waitstatus_to_exitcode(status)}\n")
        said = (folder / "error.txt").read_text().strip() if status else "done"
        print(f"{at + 1}/{len(folders)} {folder.name}: {said} ({time.time() - begin:.0f} s)", flush=True)
        failed += status != 0
        # Gigabytes in all, and made again when it is tried again.
        for kind in ("made.*", "*.safetensors"):
            for path in folder.glob(kind):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main([Path(folder) for folder in sys.argv[1:]]))
