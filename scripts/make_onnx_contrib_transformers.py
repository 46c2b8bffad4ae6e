#!/usr/bin/env python3
"""Writes into tests/data/onnx/contrib what onnxruntime computes for operators of transformers and recurrent networks.

    pip install onnx==1.23.2 onnxruntime==1.32.0 numpy
    python scripts/make_onnx_contrib_transformers.py

Each folder is laid out as the ONNX project's own node tests: a model of one node, and its inputs and outputs as tensors.
Operators of the domain com.microsoft have no other definition; those of recurrent networks are here in ways that the ONNX
project does not test.
"""

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

FOLDER = Path(__file__).parent.parent / "tests" / "data" / "onnx" / "contrib"
MICROSOFT = "com.microsoft"

rng = np.random.default_rng(11)


def floats(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def ints(*values, ty=np.int32):
    return np.array(values, ty)


def write(name, op, operands, outputs=1, constants=(), opset=21, domain=MICROSOFT, unnamed=0, **attributes):
    """One node. Operands whose numbers are in `constants` are the model's own, the others its inputs; None is left out.
    `outputs` is how many results there are, or a list of which are wanted; the node has `unnamed` more, with elements that
    nothing says."""
    names = ["" if x is None else f"x{i}" for i, x in enumerate(operands)]
    wanted = [True] * outputs if isinstance(outputs, int) else outputs
    results = [f"y{i}" if w else "" for i, w in enumerate(wanted)]
    others = [f"z{i}" for i in range(unnamed)]
    node = helper.make_node(op, names, results + others, domain=domain, **attributes)
    given = [i for i, x in enumerate(operands) if x is not None and i not in constants]
    kind = helper.np_dtype_to_tensor_dtype
    info = [helper.make_tensor_value_info(names[i], kind(operands[i].dtype), operands[i].shape) for i in given]
    own = [numpy_helper.from_array(operands[i], names[i]) for i in constants]

    def model(types):
        values = [helper.make_tensor_value_info(r, t, s) for r, (t, s) in zip([r for r in results if r], types)]
        graph = helper.make_graph([node], name, info, values, own)
        opsets = [helper.make_opsetid("", opset), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="")

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    # The types of the results are those that the runtime infers.
    guess = [(1, None)] * sum(map(bool, results))
    if op == "EmbedLayerNormalization":
        guess = [(1, None), (6, None), (1, None)][: len(guess)]
    session = ort.InferenceSession(model(guess).SerializeToString(), options, providers=["CPUExecutionProvider"])
    found = session.run(None, {names[i]: operands[i] for i in given})
    assert all(np.isfinite(y).all() for y in found), name
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    data = folder / "test_data_set_0"
    data.mkdir(parents=True)
    onnx.save(model([(kind(y.dtype), y.shape) for y in found]), folder / "model.onnx")
    for i, n in enumerate(given):
        (data / f"input_{i}.pb").write_bytes(numpy_helper.from_array(operands[n], names[n]).SerializeToString())
    for i, y in enumerate(found):
        (data / f"output_{i}.pb").write_bytes(numpy_helper.from_array(y).SerializeToString())


def activations():
    x, bias = floats(2, 3, 5), floats(5)
    write("bias_gelu", "BiasGelu", [x, bias])
    write("fast_gelu", "FastGelu", [x])
    write("fast_gelu_bias", "FastGelu", [x, bias])
    write("gelu", "Gelu", [x])
    write("quick_gelu", "QuickGelu", [x], alpha=1.3)


def norms():
    x, skip, gamma, beta, bias = floats(2, 3, 8), floats(2, 3, 8), floats(8), floats(8), floats(8)
    write("skip_norm", "SkipLayerNormalization", [x, skip, gamma, beta, bias], [1, 0, 0, 1], epsilon=1e-5)
    write("skip_norm_shared", "SkipLayerNormalization", [x, floats(3, 8), gamma], constants=[2])
    write("skip_rms_norm", "SkipSimplifiedLayerNormalization", [x, skip, gamma, bias], [1, 0, 0, 1], epsilon=1e-5)
    write("skip_rms_norm_flat", "SkipSimplifiedLayerNormalization", [floats(3, 8), floats(3, 8), gamma], constants=[2])
    write("simplified_norm", "SimplifiedLayerNormalization", [x, gamma], domain="", epsilon=1e-6, axis=-1)
    write("simplified_norm_axis", "SimplifiedLayerNormalization", [x, floats(3, 8)], domain="", axis=1)
    ids, segments, mask = rng.integers(0, 11, (2, 4)), rng.integers(0, 2, (2, 4)), [[1, 1, 1, 0], [1, 1, 0, 0]]
    ids, segments, mask = ids.astype(np.int32), segments.astype(np.int32), ints(*mask)
    tables = [floats(11, 8), floats(6, 8), floats(2, 8)]
    write("embed_norm", "EmbedLayerNormalization", [ids, segments, *tables, gamma, beta, mask], 3, [2, 3, 4, 5, 6])
    places = ints([3, 2, 1, 0], [5, 5, 0, 1])
    words = [ids, None, *tables[:2], None, gamma, beta, None, places]
    write("embed_norm_places", "EmbedLayerNormalization", words, 2, [2, 3, 5, 6], epsilon=1e-3)


def products():
    write("fused_mat_mul", "FusedMatMul", [floats(2, 3, 4), floats(2, 5, 4)], transB=1, alpha=0.5)
    write("fused_mat_mul_vector", "FusedMatMul", [floats(4), floats(2, 4, 3)], alpha=2.0)
    both = dict(transA=1, transBatchA=1, transBatchB=1)
    write("fused_mat_mul_batches", "FusedMatMul", [floats(4, 2, 3, 5), floats(4, 2, 3, 6)], **both)
    x, w, b, z = floats(1, 2, 5, 5), floats(4, 2, 3, 3), floats(4), floats(1, 4, 5, 5)
    pads = dict(pads=[1, 1, 1, 1], kernel_shape=[3, 3])
    write("fused_conv_relu", "FusedConv", [x, w, b], constants=[1, 2], activation="Relu", **pads)
    write("fused_conv_sum", "FusedConv", [x, w, b, z], constants=[1, 2], activation="Relu", **pads)
    leaky = dict(activation="LeakyRelu", activation_params=[0.2], group=2, strides=[2, 2])
    write("fused_conv_leaky", "FusedConv", [x, floats(4, 1, 3, 3)], constants=[1], **leaky)
    clip = dict(activation="Clip", activation_params=[-0.5, 0.75])
    write("fused_conv_clip", "FusedConv", [x, w], constants=[1], **clip)
    hard = dict(activation="HardSigmoid", activation_params=[0.3, 0.6])
    write("fused_conv_hard_sigmoid", "FusedConv", [x, w], constants=[1], **hard)
    leaky = dict(activation="LeakyRelu", activation_alpha=0.1, transB=1)
    write("fused_gemm", "FusedGemm", [floats(3, 4), floats(5, 4), floats(5)], constants=[1, 2], **leaky)


def rotary():
    cos, sin = floats(9, 4), floats(9, 4)
    places = ints([1, 2, 5], [0, 8, 3], ty=np.int64)
    write("rotary", "RotaryEmbedding", [floats(2, 3, 16), places, cos, sin], constants=[2, 3])
    write("rotary_interleaved", "RotaryEmbedding", [floats(2, 2, 3, 8), places, cos, sin], constants=[2, 3], interleaved=1)
    partial = dict(num_heads=2, rotary_embedding_dim=4)
    start = ints(4, ty=np.int64)
    write("rotary_from_place", "RotaryEmbedding", [floats(2, 3, 16), start, floats(9, 2), floats(9, 2)], **partial)


def attention():
    x, w, b = floats(2, 3, 8), floats(8, 24), floats(24)
    op, two = "Attention", dict(num_heads=2)
    raw, past = ints([1, 1, 0], [1, 0, 0]), floats(2, 2, 2, 2, 4)
    write("attention", op, [x, w, b], constants=[1, 2], **two)
    write("attention_mask", op, [x, w, b, raw], constants=[1, 2], **two)
    write("attention_mask_ends", op, [x, w, b, ints(3, 2)], constants=[1, 2], mask_filter_value=-100.0, **two)
    write("attention_mask_spans", op, [x, w, b, ints(3, 2, 1, 0)], constants=[1, 2], **two)
    write("attention_mask_pairs", op, [x, w, b, rng.integers(0, 2, (2, 3, 3)).astype(np.int32)], constants=[1, 2], **two)
    write("attention_past", op, [x, w, b, None, past], 2, [1, 2], unidirectional=1, **two)
    write("attention_past_mask", op, [x, w, b, ints([1] * 5, [0, 0, 1, 1, 1]), past], 2, [1, 2], unidirectional=1, **two)
    write("attention_bias", op, [x, w, b, raw, None, floats(1, 2, 3, 3)], constants=[1, 2], unidirectional=1, **two)
    sizes = dict(qkv_hidden_sizes=[8, 8, 4], scale=0.3)
    write("attention_sizes", op, [x, floats(8, 20), floats(20)], constants=[1, 2], **sizes, **two)

    op = "MultiHeadAttention"
    q, k, v = floats(2, 3, 8), floats(2, 5, 8), floats(2, 5, 12)
    write("multi_head", op, [q, k, v], **two)
    write("multi_head_bias", op, [q, k, v, floats(28)], constants=[3], **two)
    mask = ints([1, 1, 1, 0, 1], [1, 1, 0, 0, 0])
    write("multi_head_mask", op, [q, k, v, None, mask, floats(2, 1, 3, 5)], **two)
    write("multi_head_ends", op, [q, k, v, None, ints(4, 2)], **two)
    past = [floats(2, 2, 2, 4), floats(2, 2, 2, 4)]
    new = [q, floats(2, 3, 8), floats(2, 3, 8)]
    write("multi_head_past", op, [*new, None, None, None, *past], 3, unidirectional=1, scale=0.4, **two)
    some = ints([1, 1, 0], [1, 1, 1])
    write("multi_head_scores", op, [*new, None, some, floats(1, 2, 3, 3)], [1, 0, 0, 1], unidirectional=1, **two)
    write("multi_head_cross", op, [q, floats(2, 2, 5, 4), floats(2, 2, 5, 4), floats(24)], **two)


def grouped():
    op, heads = "GroupQueryAttention", dict(num_heads=4, kv_num_heads=2)
    total = lambda n: np.array(n, np.int32)
    q, kv = floats(1, 3, 64), [floats(1, 3, 32), floats(1, 3, 32)]
    empty = [np.zeros((1, 2, 0, 16), np.float32)] * 2
    tables = [floats(16, 8), floats(16, 8)]
    write("grouped", op, [q, *kv, None, None, ints(2), total(3)], 3, [6], **heads)
    write("grouped_softcap", op, [q, *kv, *empty, ints(2), total(3)], 3, [6], softcap=1.5, scale=0.7, **heads)
    rotating = dict(do_rotary=1, **heads)
    write("grouped_rotary", op, [floats(1, 3, 128), None, None, None, None, ints(2), total(3), *tables], 3, [6, 7, 8], **rotating)
    later = [floats(1, 1, 64), floats(1, 1, 32), floats(1, 1, 32), floats(1, 2, 5, 16), floats(1, 2, 5, 16)]
    window = dict(local_window_size=3, rotary_interleaved=1, **rotating)
    write("grouped_later", op, [*later, ints(5), total(6), *tables], 3, [6, 7, 8], **window)
    chunk = [floats(1, 3, 64), floats(1, 3, 32), floats(1, 3, 32), floats(1, 2, 8, 16), floats(1, 2, 8, 16)]
    write("grouped_chunk", op, [*chunk, ints(7), total(8), *tables], 3, [6, 7, 8], **rotating)
    ragged = [floats(2, 1, 64), floats(2, 1, 32), floats(2, 1, 32), floats(2, 2, 6, 16), floats(2, 2, 6, 16)]
    write("grouped_ragged", op, [*ragged, ints(5, 2), total(6), *tables], 1, [6, 7, 8], unnamed=2, **rotating)
    prompts = [floats(2, 3, 64), floats(2, 3, 32), floats(2, 3, 32), floats(2, 2, 6, 16), floats(2, 2, 6, 16)]
    write("grouped_prompts", op, [*prompts, ints(2, 2), total(3), *tables], 1, [6, 7, 8], unnamed=2, **rotating)
    growing = [*ragged[:3], floats(2, 2, 5, 16), floats(2, 2, 5, 16)]
    write("grouped_growing", op, [*growing, ints(5, 2), total(6)], 1, [6], unnamed=2, local_window_size=2, **heads)
    placed = [*ragged[:3], *ragged[3:], ints(5, 2), total(6), *tables, ints([7], [1], ty=np.int64)]
    write("grouped_places", op, placed, 1, [6, 7, 8], unnamed=2, **rotating)
    write("grouped_both_ways", op, [q, *kv, None, None, ints(2), total(3)], 3, [6], causal=0, **heads)
    bias = floats(1, 4, 3, 3)
    write("grouped_bias", op, [q, *kv, None, None, ints(2), total(3), None, None, None, bias], 3, [6], **heads)
    sink = floats(4)
    ending = [None, None, None, None, sink]
    write("grouped_sink", op, [q, *kv, None, None, ints(2), total(3), *ending], 3, [6], **heads)
    write("grouped_smooth", op, [q, *kv, None, None, ints(2), total(3)], 3, [6], smooth_softmax=1, **heads)


def recurrent():
    steps, batch, size, hidden = 4, 3, 3, 2
    x, lengths = floats(steps, batch, size), ints(4, 2, 1)

    def network(name, op, gates, directions, results, skip=(), peepholes=False, **attributes):
        w, r = floats(directions, gates * hidden, size), floats(directions, gates * hidden, hidden)
        b, h = floats(directions, 2 * gates * hidden), floats(directions, batch, hidden)
        operands = [x, w, r, b, lengths, h]
        if op == "LSTM":
            operands += [floats(directions, batch, hidden), floats(directions, 3 * hidden) if peepholes else None]
        operands = [None if i in skip else o for i, o in enumerate(operands)]
        names = {1: "forward", 2: "bidirectional"}
        attributes = {"direction": names[directions], "hidden_size": hidden, **attributes}
        own = [i for i in (1, 2, 3, 7) if i < len(operands) and operands[i] is not None]
        write(name, op, operands, results, own, domain="", opset=14, **attributes)

    network("lstm", "LSTM", 4, 2, 3, clip=0.7)
    network("lstm_peepholes", "LSTM", 4, 1, 3, peepholes=True, direction="reverse")
    network("lstm_peepholes_fresh", "LSTM", 4, 2, 3, skip=(5, 6), peepholes=True)
    network("lstm_coupled", "LSTM", 4, 1, 3, skip=(4,), input_forget=1, peepholes=True)
    functions = ["HardSigmoid", "LeakyRelu", "ScaledTanh", "Elu", "Softsign", "Affine"]
    floats_of = dict(activation_alpha=[0.3, 0.1, 0.8, 0.7, 1.2], activation_beta=[0.4, 1.1, 0.2])
    network("lstm_functions", "LSTM", 4, 2, 3, activations=functions, **floats_of)
    network("gru", "GRU", 3, 2, 2, clip=0.9)
    network("gru_reset_after", "GRU", 3, 2, 2, linear_before_reset=1)
    network("gru_reset_after_fresh", "GRU", 3, 1, 2, skip=(4, 5), linear_before_reset=1, direction="reverse")
    network("gru_functions", "GRU", 3, 1, 2, skip=(3, 5), activations=["Softplus", "ThresholdedRelu"], activation_alpha=[0.2])
    network("rnn", "RNN", 1, 2, 2, activations=["Relu", "Tanh"], clip=1.1)
    network("rnn_last", "RNN", 1, 1, [0, 1], skip=(3, 4, 5), activations=["Sigmoid"], direction="reverse")


for group in (activations, norms, products, rotary, attention, grouped, recurrent):
    group()
