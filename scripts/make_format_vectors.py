#!/usr/bin/env python3
"""Writes tests/data/{element,npy,onnx}: values and files that other programs made, for tests/{element,npy,onnx_format}.rs.

The files are small and hold no trained weights.

    pip install onnx==1.23.2 ml_dtypes==0.6.0 numpy==2.4.6
    python scripts/make_format_vectors.py
"""

import struct
import warnings
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

warnings.filterwarnings("ignore")
OUT = Path(__file__).parent.parent / "tests" / "data"
F32 = np.float32

# The type of ml_dtypes, and bits.
SMALL = {
    "float8e4m3fn": (ml_dtypes.float8_e4m3fn, 8),
    "float8e4m3fnuz": (ml_dtypes.float8_e4m3fnuz, 8),
    "float8e5m2": (ml_dtypes.float8_e5m2, 8),
    "float8e5m2fnuz": (ml_dtypes.float8_e5m2fnuz, 8),
    "float4e2m1": (ml_dtypes.float4_e2m1fn, 4),
    "float6e2m3": (ml_dtypes.float6_e2m3fn, 6),
    "float6e3m2": (ml_dtypes.float6_e3m2fn, 6),
}
SPECIAL = np.array([0, -0.0, np.nan, np.inf, -np.inf, 1e-45, -1e-45, 1e-38, 3e38, -3e38, 1e6, -1e6, 448, 464, 465, 480], F32)


def inputs(values):
    """The values, what lies halfway between neighbours, and the f32 next to each of these."""
    values = np.unique(np.asarray(values, F32)[np.isfinite(values)])
    halves = (values[1:].astype(np.float64) + values[:-1]) / 2
    points = np.concatenate([values, halves.astype(F32)])
    near = [points, np.nextafter(points, F32(np.inf)), np.nextafter(points, F32(-np.inf))]
    return np.concatenate([*near, SPECIAL])


def write(name, codes, decoded, cases):
    """codes and their values; then inputs, each with its code in every column."""
    path = OUT / "element" / f"{name}.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    data = struct.pack("<I", len(codes)) + np.asarray(codes, "<u2").tobytes() + np.asarray(decoded, "<f4").tobytes()
    data += struct.pack("<I", len(cases[0])) + np.asarray(cases[0], "<f4").tobytes()
    data += b"".join(np.asarray(column, "<u2").tobytes() for column in cases[1:])
    path.write_bytes(data)


def elements():
    for name, (dtype, bits) in SMALL.items():
        codes = np.arange(1 << bits, dtype=np.uint8)
        decoded = codes.view(dtype).astype(F32)
        x = inputs(decoded)
        saturated = numpy_helper.saturate_cast(x, dtype) if bits == 8 else x.astype(dtype)
        write(name, codes, decoded, [x, saturated.view(np.uint8), x.astype(dtype).view(np.uint8)])
    random = np.random.default_rng(1)
    for name, dtype in {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}.items():
        edges = [0, 1, 2, 0x3FF, 0x400, 0x401, 0x7F, 0x80, 0x81, 0x7BFE, 0x7BFF, 0x7C00, 0x7E00, 0x7F7F, 0x7F80, 0x7FC0]
        codes = np.concatenate([edges, random.integers(0, 1 << 16, 500)]).astype(np.uint16)
        decoded = codes.view(dtype).astype(F32)
        pairs = [decoded, (codes + 1).astype(np.uint16).view(dtype).astype(F32)]
        halves = ((pairs[0].astype(np.float64) + pairs[1]) / 2).astype(F32)
        x = np.concatenate([halves, np.nextafter(halves, F32(np.inf)), np.nextafter(halves, F32(-np.inf)), SPECIAL])
        column = x.astype(dtype).view(np.uint16)
        write(name, codes, decoded, [x, column, column])
    codes = np.arange(256, dtype=np.uint8)
    decoded = codes.view(ml_dtypes.float8_e8m0fnu).astype(F32)
    # Subnormal f32 and what is out of range are left out: there the helper differs from the text of the standard.
    points = decoded[1:254]
    x = np.concatenate([points, points * F32(1.5), np.nextafter(points * F32(1.5), F32(0)), np.nextafter(points, F32(np.inf))])
    columns = [numpy_helper.to_float8e8m0(x, True, mode).view(np.uint8) for mode in ("nearest", "up", "down")]
    write("float8e8m0", codes, decoded, [x, *columns])


def arrays():
    folder = OUT / "npy"
    folder.mkdir(parents=True, exist_ok=True)
    values = np.array([[1, 0, 1], [0, 1, 1]])
    for code in ["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"]:
        np.save(folder / f"{code}.npy", (values * (100 if code != "b1" else 1)).astype(code))
    np.save(folder / "big_endian.npy", np.array([1.5, -2, 1e10], ">f4"))
    np.save(folder / "columns_first.npy", np.asfortranarray(np.arange(24, dtype="i4").reshape(2, 3, 4)))
    np.save(folder / "scalar.npy", np.float32(2.5))
    np.save(folder / "empty.npy", np.zeros((0, 3), "f4"))
    with open(folder / "version2.npy", "wb") as file:
        np.lib.format.write_array(file, np.array([7], "i8"), version=(2, 0))
    with open(folder / "version3.npy", "wb") as file:
        np.lib.format.write_array(file, np.array([8], "i8"), version=(3, 0))
    np.save(folder / "structure.npy", np.zeros(2, [("x", "f4")]))
    np.savez(folder / "stored.npz", a=np.arange(3, dtype="f4"), b=np.array([[True]]))
    np.savez_compressed(folder / "deflated.npz", zeros=np.zeros(10000, "f4"), one=np.int8(1))


def models():
    folder = OUT / "onnx"
    folder.mkdir(parents=True, exist_ok=True)
    info = lambda name, shape=("n",): helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    weights = numpy_helper.from_array(np.arange(6, dtype=F32).reshape(2, 3), "w")
    typed = helper.make_tensor("b", TensorProto.FLOAT, [3], [1, 2, 3])
    nodes = [helper.make_node("MatMul", ["x", "w"], ["xw"], "product"), helper.make_node("Add", ["xw", "b"], ["y"], "sum")]
    graph = helper.make_graph(nodes, "linear", [info("x", (None, 2))], [info("y", ("n", 3))], [weights, typed])
    opsets = [helper.make_opsetid("", 21)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="test", producer_version="1")
    onnx.save(model, folder / "linear.onnx")

    # Leaky(x; alpha = 0.5) = If(Sum(x) > 0, x, alpha x); Twice(x) = Leaky(Leaky(x; alpha = 2)).
    branch = lambda name, nodes: helper.make_graph(nodes, name, [], [helper.make_tensor_value_info("r", TensorProto.FLOAT, None)])
    alpha = helper.make_node("Constant", [], ["a"])
    alpha.attribute.append(onnx.AttributeProto(name="value_float", type=onnx.AttributeProto.FLOAT, ref_attr_name="alpha"))
    leaky = helper.make_function(
        "local", "Leaky", ["x"], ["y"],
        [
            helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0),
            helper.make_node("Sub", ["s", "s"], ["zero"]),
            helper.make_node("Greater", ["s", "zero"], ["c"]),
            helper.make_node(
                "If", ["c"], ["y"],
                then_branch=branch("then", [helper.make_node("Identity", ["x"], ["r"])]),
                else_branch=branch("else", [alpha, helper.make_node("Mul", ["x", "a"], ["r"])]),
            ),
        ],
        [helper.make_opsetid("", 20)],
        attribute_protos=[helper.make_attribute("alpha", 0.5)],
    )
    twice = helper.make_function(
        "local", "Twice", ["x"], ["y", "x"],
        [
            helper.make_node("Leaky", ["x"], ["h"], domain="local", alpha=2.0),
            helper.make_node("Leaky", ["h"], ["y"], domain="local"),
        ],
        [helper.make_opsetid("", 20), helper.make_opsetid("local", 1)],
    )
    graph = helper.make_graph([helper.make_node("Twice", ["x"], ["y", "z"], domain="local")], "g", [info("x")], [info("y"), info("z")])
    model = helper.make_model(graph, opset_imports=[*opsets, helper.make_opsetid("local", 1)], functions=[leaky, twice], ir_version=10)
    onnx.save(model, folder / "functions.onnx")

    sparse = lambda indices, shape: helper.make_sparse_tensor(
        helper.make_tensor("s", TensorProto.FLOAT, [2], [5.0, 7.0]),
        helper.make_tensor("i", TensorProto.INT64, shape, indices),
        [2, 3],
    )
    for name, tensor in {"linear": sparse([1, 5], [2]), "pairs": sparse([0, 1, 1, 2], [2, 2])}.items():
        graph = helper.make_graph([helper.make_node("Add", ["x", "s"], ["y"])], "g", [info("x")], [info("y")], sparse_initializer=[tensor])
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), folder / f"sparse_{name}.onnx")

    values = {"float4e2m1": [0.5, -1.5, 6.0], "int4": [-8, 7, 1], "uint2": [3, 0, 2, 1, 1], "int2": [-2, 1, -1], "float16": [1.5, -2.0], "bool": [1, 0]}
    for name, numbers in values.items():
        dtype = getattr(TensorProto, name.upper())
        (folder / f"{name}.pb").write_bytes(helper.make_tensor("t", dtype, [len(numbers)], numbers).SerializeToString())


def demands():
    """Well-formed models, each of which demands what nobody can give: a node too much memory, too many parts, or no end."""
    folder = OUT / "onnx" / "demands"
    folder.mkdir(parents=True, exist_ok=True)
    node, much = helper.make_node, 1 << 62
    number = lambda name, values: numpy_helper.from_array(np.array(values, np.int64), name)
    body = helper.make_graph(
        [node("Identity", ["go"], ["on"]), node("Identity", ["v"], ["w"])],
        "body",
        [helper.make_tensor_value_info(n, t, []) for n, t in (("i", TensorProto.INT64), ("go", TensorProto.BOOL))] + [helper.make_tensor_value_info("v", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, []), helper.make_tensor_value_info("w", TensorProto.FLOAT, None)],
    )
    row = helper.make_graph([node("Identity", ["r"], ["s"])], "row", [helper.make_tensor_value_info("r", TensorProto.FLOAT, None)], [helper.make_tensor_value_info("s", TensorProto.FLOAT, None)])
    grams = {"mode": "TF", "min_gram_length": 1, "max_gram_length": 1, "max_skip_count": 0, "ngram_counts": [0], "pool_int64s": [1, 2]}
    cases = {
        "split": ([node("Split", ["x"], ["y", "z"], "demand", num_outputs=much)], []),
        "depth_to_space": ([node("DepthToSpace", ["x"], ["y"], "demand", blocksize=1 << 32)], []),
        "space_to_depth": ([node("SpaceToDepth", ["x"], ["y"], "demand", blocksize=1 << 32)], []),
        "constant_of_shape": ([node("ConstantOfShape", ["n"], ["c"], "demand"), node("Add", ["x", "c"], ["y"])], [number("n", [1 << 35])]),
        "one_hot": ([node("OneHot", ["n", "d", "v"], ["y"], "demand")], [number("n", [1]), number("d", 1 << 37), number("v", [0, 1])]),
        "affine_grid": ([node("Reshape", ["x", "s"], ["t"]), node("AffineGrid", ["t", "n"], ["y"], "demand")], [number("s", [1, 2, 3]), number("n", [1, 1, 1 << 18, 1 << 18])]),
        "resize": ([node("Resize", ["x", "", "", "n"], ["y"], "demand", keep_aspect_ratio_policy="not_smaller")], [number("n", [1, 1, 1, 1 << 34])]),
        "loop": ([node("Loop", ["", "", "x"], ["y"], "demand", body=body)], []),
        "scan": ([node("Scan", ["x"], ["y"], "demand", body=row, num_scan_inputs=1, scan_output_axes=[-9])], []),
        "tf_idf": ([node("TfIdfVectorizer", ["n"], ["y"], "demand", ngram_indexes=[-1, 0], **grams)], [number("n", [1, 2])]),
        "tf_idf_wide": ([node("TfIdfVectorizer", ["n"], ["y"], "demand", ngram_indexes=[0, 1 << 36], **grams)], [number("n", [1, 2])]),
    }
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 2, 3])
    for name, (nodes, constants) in cases.items():
        outputs = [helper.make_tensor_value_info(o, TensorProto.UNDEFINED, None) for o in nodes[-1].output]
        for output in outputs:
            output.ClearField("type")
        graph = helper.make_graph(nodes, name, [x], outputs, constants)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), folder / f"{name}.onnx")


elements()
arrays()
models()
demands()
