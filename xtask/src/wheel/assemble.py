"""Puts a program and a starter into a wheel. Standard input has lines of a key and a value with a tab between: each key
once, but `needs` (a requirement), `extra` (a name and a requirement), and `file` and `program` (a place in the wheel and
a file)."""

import base64
import csv
import hashlib
import io
import sys
import zipfile
from pathlib import Path

lines = [line.rstrip("\n").split("\t") for line in sys.stdin]
job = {key: values[0] for key, *values in lines}
name, version = job["name"], job["version"]


def every(key):
    return [values for found, *values in lines if found == key]


about = f"{name}-{version}.dist-info"
# One date for all entries: the same files make the same wheel.
DATE = (2020, 1, 1, 0, 0, 0)


def sources():
    """Places in the wheel with their bytes, and whether they are run."""
    for key in ("file", "program"):
        for place, file in every(key):
            yield place, Path(file).read_bytes(), key == "program"
    metadata = [
        "Metadata-Version: 2.4",
        f"Name: {name}",
        f"Version: {version}",
        f"Summary: {job['summary']}",
        f"License-Expression: {job['license']}",
        "Requires-Python: >=3.10",
        *(f"Requires-Dist: {needed}" for (needed,) in every("needs")),
        *(f"Provides-Extra: {extra}" for extra in dict(every("extra"))),
        *(f"Requires-Dist: {needed}; extra == '{extra}'" for extra, needed in every("extra")),
        "Description-Content-Type: text/markdown",
    ]
    text = "\n".join(metadata) + "\n\n" + Path(job["readme"]).read_text(encoding="utf-8")
    yield f"{about}/METADATA", text.encode(), False
    wheel = ["Wheel-Version: 1.0", "Generator: mobilenas xtask", "Root-Is-Purelib: false", "Tag: py3-none-linux_x86_64"]
    yield f"{about}/WHEEL", ("\n".join(wheel) + "\n").encode(), False
    yield f"{about}/entry_points.txt", f"[console_scripts]\n{name} = {name}.__main__:main\n".encode(), False


def entry(place, runs):
    info = zipfile.ZipInfo(place, DATE)
    info.external_attr = (0o100755 if runs else 0o100644) << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


out = Path(job["out"]) / f"{name}-{version}-py3-none-linux_x86_64.whl"
record = io.StringIO()
rows = csv.writer(record, lineterminator="\n")
with zipfile.ZipFile(out, "w", compresslevel=9) as wheel:
    for place, data, runs in sources():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.writerow([place, f"sha256={digest}", len(data)])
        wheel.writestr(entry(place, runs), data)
    rows.writerow([f"{about}/RECORD", "", ""])
    wheel.writestr(entry(f"{about}/RECORD", False), record.getvalue())
print(out)
