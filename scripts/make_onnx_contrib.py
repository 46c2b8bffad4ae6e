#!/usr/bin/env python3
"""Writes tests/data/onnx/contrib: what onnxruntime computes for operators of the domain com.microsoft.

    pip install onnx==1.23.2 onnxruntime==1.32.0 numpy
    python scripts/make_onnx_contrib.py

Each folder is laid out as the ONNX project's own node tests: a model of one node, and its inputs and outputs as tensors.
"""

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

FOLDER = Path(__file__).parent.parent / "tests" / "data" / "onnx" / "contrib"
F32, F16, U8, I8, U16, I16 = np.float32, np.float16, np.uint8, np.int8, np.uint16, np.int16

rng = np.random.default_rng(7)


def integers(ty, *shape):
    info = np.iinfo(ty)
    return rng.integers(info.min, info.max, shape, endpoint=True).astype(ty)


def floats(*shape):
    return rng.standard_normal(shape).astype(F32)


def scalar(x, ty=F32):
    return np.array(x, ty)


def write(name, op, operands, given=1, ty=None, outputs=1, **attributes):
    """One node. The first `given` operands are inputs of the model, the others its constants; None is left out."""
    names = ["" if x is None else f"x{i}" for i, x in enumerate(operands)]
    node = helper.make_node(op, names, [f"y{i}" for i in range(outputs)], domain="com.microsoft", **attributes)
    info = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for n, x in zip(names[:given], operands)
        if n
    ]
    constants = [numpy_helper.from_array(x, n) for n, x in list(zip(names, operands))[given:] if n]
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(ty or operands[0].dtype))
    results = [helper.make_tensor_value_info(f"y{i}", kind, None) for i in range(outputs)]
    graph = helper.make_graph([node], name, info, results, constants)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="")
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    inputs = {n: x for n, x in zip(names[:given], operands) if n}
    found = session.run(None, inputs)
    folder = FOLDER / name
    data = folder / "test_data_set_0"
    data.mkdir(parents=True)
    onnx.save(model, folder / "model.onnx")
    for kind, values in [("input", inputs.items()), ("output", zip([o.name for o in session.get_outputs()], found))]:
        for i, (n, x) in enumerate(values):
            (data / f"{kind}_{i}.pb").write_bytes(numpy_helper.from_array(x, n).SerializeToString())


def elementwise():
    for tag, ty, a_zero, b_zero, zero in [("u8", U8, 120, 7, 131), ("s8", I8, -9, 33, 5)]:
        zeros = [scalar(z, ty) for z in (a_zero, b_zero, zero)]
        for op in ["Add", "Mul"]:
            scale = scalar(0.0713 if op == "Add" else 0.41)
            a, b = integers(ty, 3, 5, 7), integers(ty, 5, 1)
            parameters = [scalar(0.0317), zeros[0], b, scalar(0.0471), zeros[1], scale, zeros[2]]
            write(f"qlinear_{op.lower()}_{tag}", f"QLinear{op}", [a, *parameters])
        given = [integers(ty, 17), scalar(0.02), zeros[0], integers(ty, 17), scalar(0.03), zeros[1], scalar(0.04), zeros[2]]
        write(f"qlinear_add_given_{tag}", "QLinearAdd", given, given=8)
        every = np.arange(256).astype(U8).view(ty).reshape(4, 64)
        sigmoid = [every, scalar(0.0397), zeros[0], scalar(1 / 256), scalar(0 if ty == U8 else -128, ty)]
        write(f"qlinear_sigmoid_{tag}", "QLinearSigmoid", sigmoid)
        leaky = [every, scalar(0.0217), zeros[0], scalar(0.0161), zeros[2]]
        write(f"qlinear_leaky_relu_{tag}", "QLinearLeakyRelu", leaky, alpha=0.17)
        parts = [integers(ty, 2, 3, 4), scalar(0.013), zeros[0], integers(ty, 2, 2, 4), scalar(0.027), zeros[1]]
        parts += [integers(ty, 2, 1, 4), scalar(0.021), zeros[2]]
        write(f"qlinear_concat_{tag}", "QLinearConcat", [scalar(0.021), zeros[2], *parts], given=9, ty=ty, axis=1)


def pools():
    for tag, ty, x_zero, y_zero in [("u8", U8, 113, 99), ("s8", I8, -17, 4)]:
        parameters = [scalar(0.031), scalar(x_zero, ty), scalar(0.0173), scalar(y_zero, ty)]
        image, last = integers(ty, 2, 3, 9, 7), integers(ty, 1, 5, 6, 4)
        write(f"qlinear_global_average_pool_{tag}", "QLinearGlobalAveragePool", [image, *parameters], channels_last=0)
        name = f"qlinear_global_average_pool_last_{tag}"
        write(name, "QLinearGlobalAveragePool", [last, *parameters], channels_last=1)
        padded = {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1]}
        write(f"qlinear_average_pool_{tag}", "QLinearAveragePool", [image, *parameters], **padded)
        included = {**padded, "count_include_pad": 1}
        write(f"qlinear_average_pool_included_{tag}", "QLinearAveragePool", [image, *parameters], **included)
        ceil = {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}
        write(f"qlinear_average_pool_ceil_{tag}", "QLinearAveragePool", [image, *parameters], **ceil)
        name = f"qlinear_average_pool_last_{tag}"
        write(name, "QLinearAveragePool", [last, *parameters], channels_last=1, kernel_shape=[2, 3])


def products():
    for tag, ty, zero in [("u8", U8, 121), ("s8", I8, -3)]:
        x, b, bias = floats(3, 5, 19), integers(ty, 19, 7), floats(7)
        write(f"dynamic_quantize_mat_mul_{tag}", "DynamicQuantizeMatMul", [x, b, scalar(0.011), scalar(zero, ty)])
        scales, zeros = (rng.random(7) * 0.02 + 0.01).astype(F32), integers(ty, 7)
        name = f"dynamic_quantize_mat_mul_columns_{tag}"
        write(name, "DynamicQuantizeMatMul", [x, b, scales, zeros, bias])
        a = integers(ty, 2, 5, 19)
        parameters = [scalar(0.02), scales, scalar(zero, ty), zeros, bias]
        write(f"mat_mul_integer_to_float_{tag}", "MatMulIntegerToFloat", [a, b, *parameters], ty=F32)
        parameters = [scalar(0.02), scalar(0.03), None, scalar(zero, ty)]
        write(f"mat_mul_integer_to_float_plain_{tag}", "MatMulIntegerToFloat", [a, b, *parameters], ty=F32, given=2)


def bits():
    def case(name, bits, block, k, n, halves=True, zeros=None, bias=False, rows=3):
        blocks = -(-k // block)
        codes = integers(U8, n, blocks, block * bits // 8)
        scales = (rng.random((n, blocks)) * 0.1 + 0.01).astype(F32)
        if halves:
            scales = scales.astype(F16).astype(F32)
        points = None
        if zeros == "packed":
            points = integers(U8, n, -(-blocks * bits // 8))
        elif zeros == "float":
            points = (rng.random((n, blocks)) * 2**bits).astype(F32)
        operands = [floats(rows, k), codes, scales, points, None, floats(n) if bias else None]
        while operands[-1] is None:
            operands.pop()
        write(f"mat_mul_n_bits_{name}", "MatMulNBits", operands, K=k, N=n, bits=bits, block_size=block)

    case("4", 4, 32, 96, 8)
    case("4_one_row", 4, 64, 128, 9, rows=1)
    case("4_zeros", 4, 32, 96, 8, zeros="packed")
    case("4_zeros_bias", 4, 64, 192, 8, zeros="packed", bias=True)
    case("4_float_scales", 4, 32, 64, 8, halves=False)
    case("4_float_zeros", 4, 32, 64, 8, zeros="float")
    case("4_short_blocks", 4, 16, 48, 8, bias=True)
    case("4_part_block", 4, 32, 40, 8)
    case("8", 8, 32, 64, 8)
    case("8_zeros", 8, 64, 128, 8, zeros="packed", bias=True)


def linear():
    x = floats(4, 3, 5)
    scales = np.array([0.017, 0.023, 0.031], F32)
    for tag, ty in [("u8", U8), ("s8", I8), ("u16", U16), ("s16", I16)]:
        write(f"quantize_linear_{tag}", "QuantizeLinear", [x, scalar(0.019), scalar(3, ty)], ty=ty)
        quantized, zeros = integers(ty, 4, 3, 5), integers(ty, 3)
        write(f"dequantize_linear_{tag}", "DequantizeLinear", [quantized, scales, zeros], ty=F32, axis=1)
    write("quantize_linear_axis", "QuantizeLinear", [x, scales, integers(U8, 3)], ty=U8, axis=1)


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    elementwise()
    pools()
    products()
    bits()
    linear()
    size = sum(f.stat().st_size for f in FOLDER.rglob("*") if f.is_file())
    print(f"{len(list(FOLDER.iterdir()))} cases, {size} bytes")


if __name__ == "__main__":
    main()
