"""gate_ssh_runner.py FILE PERCENT: the median of 30 calls of an ONNX file in ms. The candidate's have work added."""

import statistics
import sys
import time

import numpy
import onnxruntime

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
images = {i.name: numpy.zeros(i.shape, numpy.float32) for i in session.get_inputs()}
added = float(sys.argv[2]) / 100 if "candidate" in sys.argv[1] else 0.0
times = []
for _ in range(40):
    begin = time.perf_counter()
    session.run(None, images)
    end = begin + (time.perf_counter() - begin) * (1 + added)
    while time.perf_counter() < end:
        pass
    times.append(1e3 * (time.perf_counter() - begin))
print(statistics.median(times[10:]))
