#!/usr/bin/env python3
"""Writes tests/data/resize.json: axes resized by ONNX's reference, for tests/ops/resize.rs.

Every mode, rounding, coordinate transformation, antialias and exclude_outside that Resize 19 has, over axes that grow, shrink
and become one place. A case is [mode, rounding or slope, coordinate, antialias, exclude_outside, length, scale or null, output].

    pip install onnx==1.23.2 numpy
    python scripts/make_resize_vectors.py
"""

import itertools
import json
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

MODES = [("nearest", m) for m in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")]
MODES += [("linear", None), ("cubic", -0.75), ("cubic", -0.5)]
COORDINATES = [
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
]
# Lengths, and the scale where it is not their ratio.
AXES = [(5, 8, None), (7, 3, None), (4, 2, 0.6), (3, 1, None)]
ROI = [0.2, 1.1]
OUTSIDE = 9.5


def resize(x, scale, output, **attributes):
    sizes = scale is None
    names = ["x", "roi", "" if sizes else "amount", "amount" if sizes else ""]
    node = helper.make_node("Resize", names, ["y"], extrapolation_value=OUTSIDE, **attributes)
    amount = TensorProto.INT64 if sizes else TensorProto.FLOAT
    inputs = [helper.make_tensor_value_info(n, t, None) for n, t in
              (("x", TensorProto.FLOAT), ("roi", TensorProto.FLOAT), ("amount", amount))]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    model = helper.make_model(helper.make_graph([node], "resize", inputs, outputs),
                              opset_imports=[helper.make_opsetid("", 19)])
    given = np.array([output], np.int64) if sizes else np.array([scale], np.float32)
    return ReferenceEvaluator(model).run(None, {"x": x, "roi": np.array(ROI, np.float32), "amount": given})[0]


def main():
    cases = []
    for (mode, detail), coordinate, antialias, exclude in itertools.product(MODES, COORDINATES, (0, 1), (0, 1)):
        if mode == "nearest" and antialias:
            continue
        for n, output, scale in AXES:
            x = np.array([((i * 7 + 3) % 11) / 4 for i in range(n)], np.float32)
            attributes = {"nearest_mode": detail} if mode == "nearest" else {}
            if mode == "cubic":
                attributes = {"cubic_coeff_a": detail}
            y = resize(x, scale, output, mode=mode, coordinate_transformation_mode=coordinate, antialias=antialias,
                       exclude_outside=exclude, **attributes)
            assert len(y) == output
            cases.append([mode, detail, coordinate, antialias, exclude, n, scale, [float(f"{v:.7g}") for v in y]])
    path = Path(__file__).parent.parent / "tests" / "data" / "resize.json"
    path.write_text("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n")
    print(len(cases), "cases,", path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
