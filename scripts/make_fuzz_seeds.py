#!/usr/bin/env python3
"""scripts/make_fuzz_seeds.py TARGET FOLDER: writes the first inputs of a fuzz target (fuzz/) into FOLDER.

Files of tests/data where there are some; a tiny model and its vocabulary for the formats of which none is committed.
"""

import json
import pathlib
import struct
import sys
import tarfile

DATA = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data"
LARGEST = 1 << 16

# Types of GGUF's metadata, by number.
U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
# Types of ggml's tensors: bytes of a row of 32 weights.
GGML = {0: 128, 1: 64, 2: 18, 8: 34, 30: 64}


def text(s):
    s = s.encode()
    return struct.pack("<Q", len(s)) + s


def value(kind, v):
    formats = {U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}
    return text(v) if kind == STRING else struct.pack(formats[kind], v)


def gguf(metadata, tensors):
    """A file of (key, kind, value) entries, lists being arrays, and (name, shape innermost first, type) tensors of ones."""
    out = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    for key, kind, v in metadata:
        if isinstance(v, list):
            out += text(key) + struct.pack("<IIQ", ARRAY, kind, len(v)) + b"".join(value(kind, x) for x in v)
        else:
            out += text(key) + struct.pack("<I", kind) + value(kind, v)
    data = b""
    for name, shape, kind in tensors:
        rows = 1
        for n in shape[1:]:
            rows *= n
        out += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, len(data))
        data += b"\x01" * (rows * shape[0] // 32 * GGML[kind])
        data += bytes(-len(data) % 32)
    return out + bytes(-len(out) % 32) + data


def vocabulary(model):
    tokens = ["<unk>", "<s>", "</s>", "<0x0A>", "a", "b", "ab", "\u2581", "\u2581a"]
    return [
        ("tokenizer.ggml.model", STRING, model),
        ("tokenizer.ggml.pre", STRING, "smollm"),
        ("tokenizer.ggml.tokens", STRING, tokens),
        ("tokenizer.ggml.scores", F32, [-float(i) for i in range(len(tokens))]),
        ("tokenizer.ggml.token_type", I32, [2, 3, 3, 6, 1, 1, 1, 1, 1]),
        ("tokenizer.ggml.merges", STRING, ["a b"]),
        ("tokenizer.ggml.bos_token_id", U32, 1),
        ("tokenizer.ggml.eos_token_id", U32, 2),
        ("tokenizer.ggml.add_bos_token", BOOL, True),
    ]


def llama(kind):
    numbers = {"block_count": 1, "embedding_length": 32, "feed_forward_length": 32, "context_length": 64}
    numbers |= {"attention.head_count": 2, "attention.head_count_kv": 1, "rope.dimension_count": 16}
    metadata = [("general.architecture", STRING, "llama")]
    metadata += [(f"llama.{name}", U32, number) for name, number in numbers.items()]
    metadata += [("llama.attention.layer_norm_rms_epsilon", F32, 1e-5), ("llama.rope.freq_base", F32, 1e4)]
    rows = {"attn_q": 32, "attn_k": 16, "attn_v": 16, "attn_output": 32, "ffn_gate": 32, "ffn_up": 32, "ffn_down": 32}
    tensors = [("token_embd.weight", [32, 9], kind), ("output_norm.weight", [32], 0)]
    tensors += [(f"blk.0.{name}.weight", [32, n], kind) for name, n in rows.items()]
    tensors += [(f"blk.0.{name}.weight", [32], 0) for name in ("attn_norm", "ffn_norm")]
    return metadata, tensors


def make_gguf():
    for kind in GGML:
        metadata, tensors = llama(kind)
        yield gguf(metadata, tensors)
        yield gguf(metadata + vocabulary("gpt2" if kind else "llama"), tensors)
    yield gguf([], [])


def make_safetensors():
    tensors = {"__metadata__": {"format": "pt"}}
    for i, (dtype, size) in enumerate([("F32", 4), ("F16", 2), ("BF16", 2), ("I64", 8), ("U8", 1)]):
        tensors[f"t{i}"] = {"dtype": dtype, "shape": [2, 4], "data_offsets": [i * 64, i * 64 + 8 * size]}
    for chosen in (["__metadata__"], ["__metadata__", "t0"], tensors):
        end, header = 0, {}
        for name in chosen:
            header[name] = dict(tensors[name])
            if name != "__metadata__":
                begin, last = tensors[name]["data_offsets"]
                header[name]["data_offsets"] = [end, end + last - begin]
                end += last - begin
        header = json.dumps(header).encode()
        yield struct.pack("<Q", len(header)) + header + bytes(end)


def make_template():
    yield b"{% for m in messages %}<|{{ m['role'] }}|>{{ m.content | trim }}{{ eos_token }}{% endfor %}"
    yield b"{%- if tools is defined and tools is not none %}{{ tools | tojson(indent=2) }}{% endif -%}{# c #}"
    yield b"{% macro f(x, y=1) %}{{ x ~ y }}{% endmacro %}{% set ns = namespace(a=[1, {'b': -2.5e1}]) %}{{ f(ns.a[0:1:2]) }}"
    yield b"{% generation %}{{ raise_exception('no') }}{% endgeneration %}{% break %}"


def files(*patterns):
    return lambda: (path.read_bytes() for pattern in patterns for path in sorted(DATA.glob(pattern)))


def node_tests(end):
    def members():
        yield from files("onnx/*" + end)()
        with tarfile.open(DATA / "onnx" / "node-tests.tar.xz") as archive:
            for member in archive:
                if member.name.endswith(end):
                    yield archive.extractfile(member).read()

    return members


SEEDS = {
    "audio": files("media/*.wav", "media/*.flac", "media/*.mp3", "media/*.ogg"),
    "gguf": make_gguf,
    "image": files("media/*.png", "media/*.jpg", "media/*.webp"),
    "npy": files("npy/*.npy"),
    "npz": files("npy/*.npz"),
    "onnx": node_tests(".onnx"),
    "safetensors": make_safetensors,
    "template": make_template,
    "tensor_proto": node_tests(".pb"),
    "tokenizer": lambda: [],
}


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in SEEDS:
        sys.exit(f"usage: make_fuzz_seeds.py TARGET FOLDER\ntargets: {' '.join(SEEDS)}")
    folder = pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for i, seed in enumerate(SEEDS[sys.argv[1]]()):
        if len(seed) <= LARGEST:
            (folder / f"seed-{i:04}").write_bytes(seed)


if __name__ == "__main__":
    main()
