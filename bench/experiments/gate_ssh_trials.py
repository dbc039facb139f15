"""How often is the gate wrong over ssh? Trials of `mobilenas bench check --device` through an ssh server on this machine.

    python gate_ssh_trials.py --mobilenas PROGRAM --minutes 60 --file trials.jsonl
    python gate_ssh_trials.py --summary --file trials.jsonl

Baseline and candidate are one ONNX file. What runs it there is `gate_ssh_runner.py`: ONNX Runtime in a fresh process, the
median of 30 calls, each call of the candidate followed, inside the timed part, by busy waiting for the added share of it.
Needs Debian's openssh-server, and a Python with onnxruntime. Each trial appends a line, so it may be stopped at any time.
"""

import argparse
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent


def server(folder):
    """An ssh server of our own; gives its port and process."""
    for key in ("host_key", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lines = ["ListenAddress 127.0.0.1", f"Port {port}", f"HostKey {folder}/host_key", "PidFile none", "StrictModes no",
             f"AuthorizedKeysFile {folder}/key.pub", "UsePAM no", "MaxStartups 100"]
    (folder / "sshd_config").write_text("\n".join(lines) + "\n")
    os.makedirs("/run/sshd", exist_ok=True)
    return port, subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", folder / "sshd_config"], stderr=subprocess.DEVNULL)


def trial(args, folder, port, added):
    runner = f"{sys.executable} {HERE}/gate_ssh_runner.py {{file}} {added}"
    options = ["UserKnownHostsFile=/dev/null", "StrictHostKeyChecking=no", "LogLevel=ERROR"]
    ssh = {"host": "127.0.0.1", "port": port, "key": str(folder / "key"), "options": options, "folder": str(folder / "board"),
           "runner": {"run": runner, "unit": "ms", "statistic": "median", "pause_seconds": 0.0, "runtime": "onnxruntime"}}
    (folder / "device.yaml").write_text(json.dumps({"ssh": ssh}))
    begin, load = time.time(), os.getloadavg()[0]
    words = [args.mobilenas, "bench", "check", "--device", folder / "device.yaml", "--models", args.model,
             "--baseline-model", args.model, "--out", folder / "out"]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode not in (0, 3):
        sys.exit(done.stdout + done.stderr)
    runs = json.loads((folder / "out/check.json").read_text())["samples"][0]["runs"]
    last = runs["second"] or runs["first"]
    return {"model": args.model, "added_percent": added, "verdict": runs["verdict"], "first": runs["first"]["verdict"],
            "effect_log": last["effect"], "seconds": round(time.time() - begin, 1), "load_average": load,
            "rounds": sum(len(r["rounds"]["all"]) for r in (runs["first"], runs["second"]) if r)}


def summary(file):
    rows = [json.loads(line) for line in open(file)]
    print("| added | trials | failed | undecided | passed | seen | rounds | s a trial |\n|---|---:|---:|---:|---:|---:|---:|---:|")
    for added in sorted({r["added_percent"] for r in rows}):
        of = [r for r in rows if r["added_percent"] == added]
        count = lambda verdict: sum(r["verdict"] == verdict for r in of)
        middle = lambda values: sorted(values)[len(values) // 2]
        seen = middle([r["effect_log"]["middle"] for r in of])
        print(f"| {added:g} % | {len(of)} | {count('fail')} | {count('inconclusive')} | {count('pass')} | "
              f"{100 * (2.718281828459045 ** seen - 1):+.1f} % | {sum(r['rounds'] for r in of) / len(of):.1f} | "
              f"{middle([r['seconds'] for r in of]):.0f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mobilenas", default="mobilenas")
    parser.add_argument("--model", default="mobilenetv3_small_100")
    parser.add_argument("--added", default="0,5,10", help="percent, taken in turn")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--file", default="gate_ssh_trials.jsonl")
    parser.add_argument("--summary", action="store_true")
    args = parser.parse_args()
    if args.summary:
        return summary(args.file)
    with tempfile.TemporaryDirectory() as folder:
        folder, end = pathlib.Path(folder), time.time() + 60 * args.minutes
        port, process = server(folder)
        try:
            number, kinds = 0, [float(a) for a in args.added.split(",")]
            if os.path.exists(args.file):
                number = sum(1 for _ in open(args.file))
            while time.time() < end:
                row = trial(args, folder, port, kinds[number % len(kinds)])
                number += 1
                with open(args.file, "a") as out:
                    out.write(json.dumps(row) + "\n")
                print(row["added_percent"], row["verdict"], row["seconds"], flush=True)
        finally:
            process.kill()


main()
