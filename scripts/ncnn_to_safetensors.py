#!/usr/bin/env python3
"""scripts/ncnn_to_safetensors.py MODEL.param MODEL.bin MODEL.safetensors: the weights of an ncnn model that is a chain of
convolutions and PReLUs, under the names that torch gives the layers of a `Sequential` called `body`.

Weights keep their type: F16 where the file has halves, else F32. ncnn's layouts are those of torch, [out, in, height, width].
"""

import json
import os
import struct
import sys
from pathlib import Path

# Marks an array of halves in a .bin file; 0 marks one of floats. Biases and slopes are floats without a mark.
FLOATS, HALVES = 0, 0x01306B47
# Keys of a convolution's line: outputs, width and height of the kernel, whether there is a bias, number of weights.
OUTPUTS, KERNEL_W, BIAS, WEIGHTS, KERNEL_H = 0, 1, 5, 6, 11
# The key of a PReLU's line.
SLOPES = 0
WEIGHTLESS = {"Input", "Split", "PixelShuffle", "Interp", "BinaryOp"}


def parameters(words):
    return {int(key): value for key, value in (word.split("=") for word in words)}


def layers(path):
    """(kind, name, parameters) of each line after the magic number and the counts."""
    lines = path.read_text().splitlines()
    if lines[0].strip() != "7767517":
        sys.exit(f"{path}: no ncnn model in text form")
    for line in lines[2:]:
        kind, name, inputs, outputs, *rest = line.split()
        yield kind, name, parameters(rest[int(inputs) + int(outputs) :])


def read(param, binary):
    """[(name, dtype, shape, bytes)]"""
    data, at, tensors, index = binary.read_bytes(), 0, [], 0

    def take(count):
        nonlocal at
        at += count
        if at > len(data):
            sys.exit(f"{binary}: ends too early")
        return data[at - count : at]

    def floats(name, count):
        tensors.append((f"body.{index}.{name}", "F32", [count], take(4 * count)))

    for kind, name, p in layers(param):
        if kind == "Convolution":
            outputs, width, count = int(p[OUTPUTS]), int(p[KERNEL_W]), int(p[WEIGHTS])
            height = int(p.get(KERNEL_H, width))
            (mark,) = struct.unpack("<I", take(4))
            if mark not in (FLOATS, HALVES):
                sys.exit(f"{binary}: the weights of {name} have the unknown mark {mark:#x}")
            dtype, size = ("F16", 2) if mark == HALVES else ("F32", 4)
            shape = [outputs, count // (outputs * width * height), height, width]
            tensors.append((f"body.{index}.weight", dtype, shape, take(count * size)))
            take(-count * size % 4)
            if int(p.get(BIAS, 0)):
                floats("bias", outputs)
        elif kind == "PReLU":
            floats("weight", int(p[SLOPES]))
        elif kind in WEIGHTLESS:
            continue
        else:
            sys.exit(f"{param}: {name} is a {kind}, which is not known here")
        index += 1
    if at != len(data):
        sys.exit(f"{binary}: {len(data) - at} bytes are left over")
    return tensors


def write(path, tensors):
    # The widest elements first, so that all are aligned.
    tensors = sorted(tensors, key=lambda tensor: tensor[1] == "F16")
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, dtype, shape, data in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + len(data)]}
        end += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data for *_, data in tensors))
    part.replace(path)


def main():
    if len(sys.argv) != 4:
        sys.exit("usage: ncnn_to_safetensors.py MODEL.param MODEL.bin MODEL.safetensors")
    param, binary, target = map(Path, sys.argv[1:])
    write(target, read(param, binary))


if __name__ == "__main__":
    main()
