#!/usr/bin/env python3
"""What benches/onnx.rs measures, in onnxruntime on the CPU with two threads and its default optimisations.

    pip install onnx==1.23.2 onnxruntime==1.32.0 numpy pillow
    python benches/peers/onnxruntime.py [WORD...]

Words measure only the cases that have all of them in their names. Milliseconds: the median of five runs after two others, and
the distance of the slowest from the fastest as a part of it. Of a stream the first call is a run.
"""

import statistics
import sys
import time
from pathlib import Path

sys.path.remove(str(Path(__file__).parent))  # This file's name would stand for the package.
sys.path.append(str(Path(__file__).parents[2] / "scripts"))
import make_onnx_goldens as goldens
import numpy as np
import onnxruntime as ort

THREADS, WARM, RUNS = 2, 2, 5


def feeds(case: goldens.Case) -> dict[str, np.ndarray]:
    """What the model is given in the first call."""
    if case.stream is None:
        return case.feeds
    spec = case.stream
    size, rows = spec["chunk"], spec["calls"][0] if spec["rows"] == "chunks" else len(spec["starts"])
    sound = np.pad(goldens.samples(spec["file"], size * rows, step=spec["step"]), (spec["context"], 0))
    chunks = [sound[at : at + spec["context"] + size] for at in range(0, size * rows, size)]
    return {"input": np.stack(chunks), **case.feeds}


def main() -> None:
    seen = set()
    print(f"onnxruntime {ort.__version__}, CPU, {THREADS} threads")
    for case in goldens.cases():
        if case.model in seen or not all(word in case.name for word in sys.argv[1:]):
            continue
        seen.add(case.model)
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = THREADS, 3
        session = ort.InferenceSession(goldens.CACHE / case.model, options, providers=["CPUExecutionProvider"])
        given, times = feeds(case), []
        for _ in range(WARM + RUNS):
            started = time.perf_counter()
            session.run(None, given)
            times.append((time.perf_counter() - started) * 1e3)
        times = sorted(times[WARM:])
        middle = statistics.median(times)
        print(f"{case.name:<26}  {middle:9.2f}  {(times[-1] - times[0]) / middle * 100:8.1f} %", flush=True)


if __name__ == "__main__":
    main()
