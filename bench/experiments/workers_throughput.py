"""Candidates a second that a search scores: with one worker (which is the search's own process), with two workers, and
two searches with one worker each that know nothing of each other, in turn.

    cargo build --workspace --bins
    eval "$(cargo xtask env)"
    python3 bench/experiments/workers_throughput.py target/debug/mobilenas --rounds 5

A figure is the trials of the journal from the eleventh to the last, over the time between them: without the supernet's
training and the start of the workers. Run it where nothing else runs: the ratios need two free cores.
"""

import argparse
import itertools
import json
import os
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CONFIG = """name: throughput
seed: 1
threads: 1
space:
  family: mobilevit_v1
  scale: {{width: 0.25, divisor: 8}}
  knobs: {{resolution: [32], stem.stride: [2], stages.3.stride: [1], stages.4.stride: [1]}}
data: {{name: fashion-mnist, search_val: 5000, train_limit: 2000, test_limit: 100}}
supernet: {{epochs: 1, batch: 128, rule: uniform}}
search:
  strategy: {{random: {{}}}}
  trials: {trials}
  batch: {trials}
  workers: {workers}
  objectives: [{{metric: top1, goal: maximize}}, {{metric: macs, goal: minimize}}]
  cache: {{enabled: false}}
mes: {{alpha_latency: 0}}
scoring: {{recalibrate: 2048}}
retrain: {{best: 0, variants: false}}
"""
# The first trials come while workers still start.
FIRST = 10


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=96)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        searches = Searches(args.program.resolve(), Path(folder), args.trials)
        for _ in range(args.rounds):
            row = {
                "load": os.getloadavg()[0],
                "one_worker": searches.rate(1),
                "two_workers": searches.rate(2),
                "two_apart": sum(searches.side_by_side([1, 1])),
            }
            print(json.dumps({k: round(v, 3) for k, v in row.items()}), flush=True)


class Searches:
    def __init__(self, program, folder, trials):
        self.program, self.folder, self.trials, self.numbers = program, folder, trials, itertools.count(1)

    def rate(self, workers):
        number = next(self.numbers)
        config, out, said = (self.folder / f"{number}{end}" for end in (".yaml", "", ".stderr"))
        config.write_text(CONFIG.format(trials=self.trials, workers=workers))
        environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
        command = [self.program, "search", config, "--out", out]
        with said.open("wb") as stderr:
            child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=stderr)
        seen = []
        while child.poll() is None:
            seen.append((time.monotonic(), trials_of(out / "journal.jsonl")))
            time.sleep(0.05)
        if child.returncode != 0:
            raise SystemExit(said.read_text().strip())
        from_, count = next((t, n) for t, n in seen if n > FIRST)
        last, most = next((t, n) for t, n in seen if n == seen[-1][1])
        return (most - count) / (last - from_)

    def side_by_side(self, all_workers):
        with ThreadPoolExecutor(len(all_workers)) as pool:
            return list(pool.map(self.rate, all_workers))


def trials_of(journal):
    if not journal.exists():
        return 0
    return sum(line.startswith(b'{"trial"') for line in journal.read_bytes().splitlines())


main()
