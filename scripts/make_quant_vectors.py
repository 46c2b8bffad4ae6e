#!/usr/bin/env python3
"""Writes tests/data/quant/<format>.bin: file blocks and the numbers that gguf.quants makes of them.

A file is the blocks, one after another, then their weights as little-endian f32. The blocks hold random codes and
scales; scales also take edge values: zero, negative zero, negative, the smallest and the largest f16 subnormal, and
the extremes of the codes.

    pip install gguf==0.19.0
    python scripts/make_quant_vectors.py
"""

from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

FOLDER = Path(__file__).parent.parent / "tests" / "data" / "quant"
# Byte offsets of the f16 fields of a block.
FIELDS = {
    Type.Q4_0: [0],
    Type.IQ4_NL: [0],
    Type.Q4_1: [0, 2],
    Type.Q5_0: [0],
    Type.Q5_1: [0, 2],
    Type.Q8_0: [0],
    Type.Q2_K: [80, 82],
    Type.Q3_K: [108],
    Type.Q4_K: [0, 2],
    Type.Q5_K: [0, 2],
    Type.Q6_K: [208],
}
EDGES = np.array([0.0, -0.0, -0.0371, 2.0**-24, -1023 * 2.0**-24, 2.0**-14, 1.5], dtype=np.float16)


def blocks(kind: Type, rng: np.random.Generator) -> np.ndarray:
    """One block per edge value, two of extreme codes, and random ones."""
    weights, size = gguf.GGML_QUANT_SIZES[kind]
    data = rng.integers(0, 256, (len(EDGES) + (8 if weights == 256 else 24), size), dtype=np.uint8)
    data[len(EDGES)], data[len(EDGES) + 1] = 0x00, 0xFF
    for number, at in enumerate(FIELDS[kind]):
        scales = rng.normal(0, 0.02, len(data)).astype(np.float16)
        scales[: len(EDGES)] = np.roll(EDGES, number)
        data[:, at : at + 2] = scales.view(np.uint8).reshape(-1, 2)
    return data


def dense(kind: Type, rng: np.random.Generator) -> np.ndarray:
    """Values of every magnitude, infinities and subnormals."""
    width = gguf.GGML_QUANT_SIZES[kind][1]
    values = (rng.normal(size=249) * 2.0 ** rng.integers(-20, 15, 249)).astype(np.float32)
    values = np.concatenate([values, np.float32([0.0, -0.0, np.inf, -np.inf, 2.0**-24, -(2.0**-15), 1.0])])
    if kind == Type.F16:
        return values.astype(np.float16).view(np.uint8)
    return values.view(np.uint8).reshape(-1, 4)[:, 4 - width :].copy().ravel()


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for kind in [Type.F32, Type.F16, Type.BF16, *FIELDS]:
        rng = np.random.default_rng(int(kind))
        data = blocks(kind, rng) if kind in FIELDS else dense(kind, rng)
        weights = gguf.quants.dequantize(data, kind).astype("<f4")
        (FOLDER / f"{kind.name.lower()}.bin").write_bytes(data.tobytes() + weights.tobytes())


if __name__ == "__main__":
    main()
