"""Images a second of a small network's training: one process, one with two threads, two processes that know nothing of
each other, and two ranks, in turn. The ranks share a batch, or have a whole one each.

    cargo build --workspace --bins
    eval "$(cargo xtask env)"
    python3 bench/experiments/ranks_throughput.py target/debug/mobilenas --rounds 3

Figures are medians of `images_per_second` in the training's log, without its first two rows. Run it where nothing else
runs: the ratios need two free cores.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import tempfile
from pathlib import Path

CONFIG = """name: throughput
seed: 1
threads: {threads}
network: {{model: mobilevit_xxs, knobs: {{resolution: 32}}}}
data: {{name: fashion-mnist, search_val: 500, train_limit: 6400, test_limit: 100}}
train: {{epochs: 1, batch: {batch}}}
checkpoint_seconds: 10000
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=128)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = Runs(args.program.resolve(), Path(folder))
        for _ in range(args.rounds):
            b = args.batch
            row = {
                "load": os.getloadavg()[0],
                "one": runs.rate([({}, 1, b)]),
                "one_half_batch": runs.rate([({}, 1, b // 2)]),
                "two_threads": runs.rate([({}, 2, b)]),
                "two_apart": runs.rate([({}, 1, b), ({}, 1, b)]),
                "ranks_sharing_a_batch": runs.ranks(b),
                "ranks_with_a_batch_each": runs.ranks(2 * b),
            }
            print(json.dumps({k: round(v, 1) for k, v in row.items()}), flush=True)


class Runs:
    def __init__(self, program, folder):
        self.program, self.folder, self.count = program, folder, 0

    def start(self, variables, threads, batch):
        self.count += 1
        config, out = (self.folder / f"{self.count}{end}" for end in (".yaml", ""))
        config.write_text(CONFIG.format(threads=threads, batch=batch))
        command = [self.program, "train", config, "--out", out]
        environment = {**os.environ, "OMP_WAIT_POLICY": "passive", **variables}
        child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        return child, out / "training.jsonl"

    def rate(self, trainings):
        """Images a second of trainings side by side, together; of ranks, the first one's log counts all."""
        started = [self.start(*training) for training in trainings]
        for child, _ in started:
            said = child.communicate()[1].decode()
            if child.returncode != 0:
                raise SystemExit(said.strip())
        logs = [log for _, log in started if log.exists()]
        rows = [[json.loads(line)["images_per_second"] for line in log.read_text().splitlines()] for log in logs]
        return sum(statistics.median(row[2:]) for row in rows)

    def ranks(self, batch):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = str(s.getsockname()[1])
        common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        return self.rate([({"RANK": str(rank), **common}, 1, batch) for rank in (0, 1)])


main()
