"""Processes of a program and of PyTorch in turn; shared by the programs beside it."""
import json
import random
import statistics
import subprocess
import time


def medians(forms, x, rounds):
    """Medians of the runs of some callables in this process, in turn, in ms."""
    import torch

    seen = {form: [] for form in forms}
    with torch.inference_mode():
        for turn in range(rounds + 3):
            for form, run in forms.items():
                began = time.perf_counter()
                run(x)
                # The first runs are warm-up.
                if turn >= 3:
                    seen[form].append((time.perf_counter() - began) * 1e3)
    return {form: statistics.median(times) for form, times in seen.items()}


def in_words(network, ours, theirs, processes):
    """Runs two commands in turn. Gives the median of the program's times, and ratios to PyTorch's with their ends."""
    ratios, times = {"eager": [], "optimized": []}, []
    commands = {"ours": ours, "theirs": theirs}
    for _ in range(processes):
        turn = {which: output(commands[which]) for which in random.sample(["ours", "theirs"], 2)}
        own = turn["ours"]["models"][network]["median_ms"]["libtorch"]
        times.append(own)
        for form in ratios:
            ratios[form].append(own / turn["theirs"][form])
    words = [f"{form} {statistics.median(r):.3f} ({min(r):.3f} to {max(r):.3f})" for form, r in ratios.items()]
    return f"{statistics.median(times):7.2f} ms, relative to {', to '.join(words)}"


def output(command):
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)
