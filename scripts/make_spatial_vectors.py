#!/usr/bin/env python3
"""Writes tests/data/spatial.json: pooling and sampling by ONNX's reference, for tests/ops/onnx.rs.

Each case is an object of the operator, its attributes, its inputs and its outputs, tensors as [shape, values].

    pip install onnx==1.23.2 numpy
    python scripts/make_spatial_vectors.py
"""

import itertools
import json
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

FILE = Path(__file__).parent.parent / "tests" / "data" / "spatial.json"
NUMBERS = np.random.default_rng(7)


def floats(*shape, low=-1.0, high=1.0):
    return np.round(NUMBERS.uniform(low, high, shape), 3).astype(np.float32)


def run(operator, inputs, outputs=1, **attributes):
    names, results = [f"x{i}" for i in range(len(inputs))], [f"y{i}" for i in range(outputs)]
    node = helper.make_node(operator, names, results, **attributes)
    kinds = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int64): TensorProto.INT64}
    graph = helper.make_graph(
        [node],
        operator,
        [helper.make_tensor_value_info(n, kinds[x.dtype], None) for n, x in zip(names, inputs)],
        [helper.make_tensor_value_info(n, t, None) for n, t in zip(results, (TensorProto.FLOAT, TensorProto.INT64))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)])
    values = ReferenceEvaluator(model).run(None, dict(zip(names, inputs)))
    tensor = lambda x: [list(x.shape), [float(f"{v:.6g}") if x.dtype == np.float32 else int(v) for v in x.flatten()]]
    return {
        "op": operator,
        "attributes": attributes,
        "inputs": [tensor(x) for x in inputs],
        "outputs": [tensor(np.asarray(y)) for y in values],
    }


def pools():
    shapes = [
        dict(kernel_shape=[3], strides=[2], pads=[1, 1]),
        dict(kernel_shape=[3, 2], strides=[1, 2], pads=[1, 0, 2, 1]),
        dict(kernel_shape=[2, 3], strides=[2, 2], dilations=[2, 1], pads=[0, 1, 1, 1]),
        dict(kernel_shape=[2, 2, 2], strides=[1, 2, 1], pads=[1, 0, 0, 0, 1, 1]),
    ]
    for shape, ceil_mode in itertools.product(shapes, (0, 1)):
        x = floats(1, 2, *(6, 5, 4)[: len(shape["kernel_shape"])])
        # Beyond the padding the reference scales norms by the part of the window that is there, unlike ONNX's text.
        for p in () if ceil_mode else (1, 2, 3):
            yield run("LpPool", [x], p=p, **shape)
        for count_include_pad in (0, 1):
            yield run("AveragePool", [x], count_include_pad=count_include_pad, ceil_mode=ceil_mode, **shape)
        yield run("MaxPool", [x], ceil_mode=ceil_mode, **shape)
    for storage_order in (0, 1):
        yield run("MaxPool", [floats(1, 2, 6, 5)], outputs=2, kernel_shape=[2, 2], strides=[2, 1], storage_order=storage_order)


def grids():
    modes, paddings = ("nearest", "linear", "cubic"), ("zeros", "border", "reflection")
    for mode, padding_mode, align_corners in itertools.product(modes, paddings, (0, 1)):
        attributes = dict(mode=mode, padding_mode=padding_mode, align_corners=align_corners)
        yield run("GridSample", [floats(1, 2, 3, 4), floats(1, 2, 4, 2, low=-2.5, high=2.5)], **attributes)
        if mode != "cubic":
            yield run("GridSample", [floats(1, 1, 2, 3, 2), floats(1, 1, 3, 2, 3, low=-2, high=2)], **attributes)


def regions():
    rois = np.array([[0, 0, 5, 4], [1.3, 0.7, 9.1, 6.2], [-3, 2, 4, 12]], np.float32)
    images = np.array([0, 1, 0], np.int64)
    transformations = ("half_pixel", "output_half_pixel")
    for mode, transformation, sampling_ratio in itertools.product(("avg", "max"), transformations, (0, 2)):
        yield run(
            "RoiAlign",
            [floats(2, 1, 5, 6), rois, images],
            mode=mode,
            coordinate_transformation_mode=transformation,
            sampling_ratio=sampling_ratio,
            spatial_scale=0.7,
            output_height=2,
            output_width=3,
        )


def main():
    cases = [*pools(), *grids(), *regions()]
    FILE.write_text("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n")
    print(len(cases), "cases,", FILE.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
