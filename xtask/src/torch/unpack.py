"""Unpacks the C++ part of wheels: unpack.py FOLDER WHEEL...

Every file is compared with the SHA-256 that the wheel's RECORD gives for it.
"""

import base64
import csv
import fnmatch
import hashlib
import io
import os
import sys
import zipfile

KEPT = [
    "torch/include/*",
    "torch/version.py",
    "torch/lib/libc10.so",
    "torch/lib/libgomp*.so*",
    "torch/lib/libtorch_cpu.so",
    "nvidia/*/lib/libcudart.so*",
    "nvidia/*/lib/libcupti.so*",
    "*.dist-info/*",
]
# What must be among them, or the wheels are not laid out as expected.
NEEDED = [
    "torch/version.py",
    "torch/include/torch/csrc/api/include/torch/torch.h",
    "torch/lib/libc10.so",
    "torch/lib/libtorch_cpu.so",
    "nvidia/*/lib/libcudart.so*",
    "nvidia/*/lib/libcupti.so*",
]


def matches(name, patterns):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def checksums(wheel):
    """The RECORD of a wheel: name to checksum."""
    record = next(name for name in wheel.namelist() if name.endswith(".dist-info/RECORD"))
    rows = csv.reader(io.StringIO(wheel.read(record).decode()))
    return {row[0]: row[1] for row in rows if len(row) > 1 and row[1]}


def extract(wheel, name, expected, folder):
    """Writes one file, which must have the checksum `expected` and not be empty where it is a library."""
    path = os.path.join(folder, *name.split("/"))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    digest = hashlib.sha256()
    with wheel.open(name) as source, open(path, "wb") as target:
        while block := source.read(1 << 20):
            digest.update(block)
            target.write(block)
    found = "sha256=" + base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
    if expected is not None and found != expected:
        sys.exit(f"{name} in {wheel.filename} is damaged: {found}, expected {expected}")


def main(folder, wheels):
    unpacked = []
    for path in wheels:
        with zipfile.ZipFile(path) as wheel:
            expected = checksums(wheel)
            for name in wheel.namelist():
                if name.endswith("/") or ".." in name.split("/") or not matches(name, KEPT):
                    continue
                if name not in expected and ".dist-info/" not in name:
                    sys.exit(f"{name} in {path} has no checksum")
                extract(wheel, name, expected.get(name), folder)
                unpacked.append(name)
    for pattern in NEEDED:
        if not fnmatch.filter(unpacked, pattern):
            sys.exit(f"none of the wheels holds {pattern}: {', '.join(wheels)}")
    print(f"{len(unpacked)} files unpacked, every checksum is right")


main(sys.argv[1], sys.argv[2:])
