#!/usr/bin/env python3
"""Writes tests/data/upscale: a small picture, and what ncnn makes of it with Real-ESRGAN AnimeVideo x4.

    scripts/fetch.sh realesrgan
    pip install ncnn==1.0.20261020 numpy==2.4.6 pillow
    python scripts/make_upscale_golden.py

`enlarged.npz` holds the picture, u8 [1, 3, height, width], and `enlarged`, f32 [1, 3, 4 * height, 4 * width], as ncnn computes
it in f32. `tolerance` is FACTOR times the largest difference between any two of ncnn's ways to convolve and the same network
in f64, from the weights in the safetensors file; so ncnn's own reading of its file also proves the conversion.
"""

import json
import os
import struct
from pathlib import Path

import ncnn
import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "tests" / "data" / "upscale"
CACHE = Path(os.environ.get("WAVELANE_CACHE", Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "wavelane"))
MODEL = CACHE / "realesrgan" / "REALESRGAN_ANIMAVIDEOV3_UP4X"
SCALE, FACTOR = 4, 16
# Of scenes.png: petals, dark sky, and a size that is no multiple of anything.
BOX = (279, 42, 279 + 23, 42 + 17)


def by_ncnn(planes, winograd, sgemm):
    net = ncnn.Net()
    net.opt.num_threads = 1
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = net.opt.use_bf16_storage = False
    net.opt.use_winograd_convolution, net.opt.use_sgemm_convolution = winograd, sgemm
    if net.load_param(f"{MODEL}.param") or net.load_model(f"{MODEL}.bin"):
        raise SystemExit("the model cannot be loaded")
    extractor = net.create_extractor()
    extractor.input("data", ncnn.Mat(planes))
    status, out = extractor.extract("output")
    assert status == 0
    return np.array(out)


def tensors(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    for name, info in header.items():
        if name != "__metadata__":
            begin, end = info["data_offsets"]
            dtype = {"F16": "<f2", "F32": "<f4"}[info["dtype"]]
            values = np.frombuffer(data[8 + length + begin : 8 + length + end], dtype)
            yield name, values.reshape(info["shape"]).astype(np.float64)


def in_f64(planes):
    weights = dict(tensors(MODEL.with_name(MODEL.name + ".safetensors")))
    x = h = planes.astype(np.float64)
    for i in range(0, 1 + max(int(name.split(".")[1]) for name in weights), 2):
        padded = np.pad(h, ((0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
        h = np.einsum("mcij,cyxij->myx", weights[f"body.{i}.weight"], windows) + weights[f"body.{i}.bias"][:, None, None]
        if f"body.{i + 1}.weight" in weights:
            h = np.where(h < 0, h * weights[f"body.{i + 1}.weight"][:, None, None], h)
    _, height, width = x.shape
    squares = h.reshape(3, SCALE, SCALE, height, width).transpose(0, 3, 1, 4, 2)
    return squares.reshape(3, SCALE * height, SCALE * width) + x.repeat(SCALE, 1).repeat(SCALE, 2)


def main():
    picture = Image.open(ROOT / "tests" / "data" / "onnx" / "goldens" / "scenes.png").convert("RGB").crop(BOX)
    pixels = np.ascontiguousarray(np.asarray(picture).transpose(2, 0, 1))
    planes = pixels.astype(np.float32) / np.float32(255)
    ways = [by_ncnn(planes, winograd, sgemm) for winograd in (False, True) for sgemm in (False, True)]
    ways.append(in_f64(planes))
    spread = max(float(np.abs(a - b).max()) for a in ways for b in ways)
    assert spread < 1e-4, f"ncnn and f64 differ by {spread}"
    OUT.mkdir(parents=True, exist_ok=True)
    picture.save(OUT / "picture.png", optimize=True)
    tolerance = np.float32(FACTOR * spread)
    np.savez_compressed(OUT / "enlarged.npz", picture=pixels[None], enlarged=ways[0][None], tolerance=tolerance)
    print(f"{ways[0].shape}, from {ways[0].min()} to {ways[0].max()}, +- {tolerance}")


if __name__ == "__main__":
    main()
