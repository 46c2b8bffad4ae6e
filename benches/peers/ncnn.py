#!/usr/bin/env python3
"""The picture enlarger that scripts/fetch.sh realesrgan fetches, in ncnn: on Vulkan and on the CPU with two threads, in f32.

    pip install ncnn numpy
    python benches/peers/ncnn.py [WIDTH HEIGHT]

Milliseconds: the median of five runs after two others, and the distance of the slowest from the fastest as a part of it. The
picture has 64 x 64 pixels where no size is given. VK_DRIVER_FILES chooses the driver.
"""

import os
import statistics
import sys
import time
from pathlib import Path

sys.path.remove(str(Path(__file__).parent))  # This file's name would stand for the package.
import ncnn
import numpy as np

CACHE = Path(os.environ.get("WAVELANE_CACHE", Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "wavelane"))
MODEL = CACHE / "realesrgan" / "REALESRGAN_ANIMAVIDEOV3_UP4X"
THREADS, WARM, RUNS = 2, 2, 5


def measure(vulkan: bool, width: int, height: int) -> list[float]:
    """Milliseconds of each run, the input's way in and the result's way out included, in order of size."""
    net = ncnn.Net()
    net.opt.num_threads, net.opt.use_vulkan_compute = THREADS, vulkan
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    if net.load_param(f"{MODEL}.param") or net.load_model(f"{MODEL}.bin"):
        sys.exit(f"{MODEL} cannot be loaded")
    picture = ncnn.Mat(np.random.default_rng(1).random((3, height, width), np.float32))
    times = []
    for _ in range(WARM + RUNS):
        started = time.perf_counter()
        extractor = net.create_extractor()
        extractor.input(net.input_names()[0], picture)
        _, result = extractor.extract(net.output_names()[0])
        assert np.array(result).shape == (3, 4 * height, 4 * width)
        times.append((time.perf_counter() - started) * 1e3)
    return sorted(times[WARM:])


def main() -> None:
    width, height = map(int, sys.argv[1:3] or (64, 64))
    places = {"CPU": False} | ({"Vulkan": True} if ncnn.get_gpu_count() else {})
    for place, vulkan in places.items():
        times = measure(vulkan, width, height)
        middle = statistics.median(times)
        print(f"ncnn {ncnn.__version__}  {place:<6}  {width}x{height}  {middle:9.2f}  {(times[-1] - times[0]) / middle * 100:8.1f} %")


if __name__ == "__main__":
    main()
