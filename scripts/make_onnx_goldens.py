#!/usr/bin/env python3
"""Writes tests/data/onnx: what onnxruntime computes for every ONNX model that scripts/fetch.sh knows.

    scripts/fetch.sh ocr vit-focus silero-vad basic-pitch magika onnx-light
    pip install onnx==1.23.2 onnxruntime==1.32.0 numpy pillow
    python scripts/make_onnx_goldens.py

`index.json` lists the cases; its `formats` says how a test rebuilds an input and reads an output. Inputs come from the
files that scripts/make_onnx_inputs.py made. Names of cases as arguments: only these, and no index.

Goldens are f32 on the CPU, graph optimisations off, one thread. A tolerance is FACTOR times the largest difference that any
of these makes to any element: optimisations on, two threads, both, or every input and every weight moved by at most one unit
in the last place, which stands for the rounding inside; and at least FLOOR times the largest magnitude, since a GPU's
exponentials and quotients may be off by more than a CPU's. So a tolerance is wide where a model amplifies rounding.

None of that changes the order in which onnxruntime adds. Where thousands of terms are alike they are also rounded alike, errors
grow with their number, and the order counts: in vgg19 and zfnet512 adding one after another is 3e-5 to 5e-5 away from adding
in blocks. Their deeper taps have LIKE_TERMS_FLOOR.
"""

import io
import itertools
import json
import math
import os
import sys
import wave
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper
from PIL import Image

FOLDER = Path(os.environ.get("WAVELANE_GOLDENS", Path(__file__).parent.parent / "tests" / "data" / "onnx" / "goldens"))
CACHE = Path(os.environ.get("WAVELANE_CACHE", Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "wavelane"))
FACTOR, FLOOR, LIKE_TERMS_FLOOR = 16.0, 2.0**-17, 2.0**-14
# An output of more bytes is sampled.
FULL_BYTES, SAMPLES, TAP_SAMPLES = 20_000, 512, 64
HALF = {"mean": [0.5] * 3, "std": [0.5] * 3}
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
LIGHT = "bvlc_alexnet densenet121 inception_v1 inception_v2 resnet50 shufflenet squeezenet vgg19 zfnet512".split()
# Optimisations, threads, and the seed by which inputs and weights move.
VARIANTS = [(False, 1, 1), (False, 1, 2), (False, 2, None), (True, 1, None), (True, 2, None), (True, 2, 3)]
FORMATS = {
    "pixels": "f32 [crops, 3, height, width] of an RGB PNG file: per crop the rectangle at [x, y], its channels in the order "
    "`channels`, ((u8 as f32) / 255 - mean[c]) / std[c], each step rounded to f32; mean and std are in the order of `channels`.",
    "samples": "f32 [files, shape[1], 1] of 16-bit mono WAV files: i16 / 32768, cut or padded with zeros behind.",
    "array": "the array in<N> of the case's npz, cast to the element type `dtype`; magika's view of `files`.",
    "scalar": "`value`, without dimensions.",
    "stream": "calls[k] chunks of a WAV file (every `step`-th sample, zeros beyond its end) go into call k. Chunk n of stream b "
    "is chunk starts[b] + n of the file, after the last `context` samples of the chunk before (zeros before the stream's first). "
    "If `rows` is `streams`, input is [streams, context + chunk]; if `chunks`, it is [calls[k], context + chunk] of the one "
    "stream. `state` says which output is which input of the next call; before the first it is zeros of state_shape.",
    "npz": "zip without compression of little-endian npy arrays in C order. out<N> is output N as a whole, or else there are "
    "out<N>_at, flat indices, and out<N>_values, the values there; but for taps also out<N>_max, out<N>_mean, out<N>_argmax and "
    "out<N>_margin (how far the second largest is below) per row of the last axis. Of a stream it is the last call's output, or "
    "those of all calls joined along axis 0 if `stacked`.",
    "tolerance": "absolute, for values, maxima and means; an argmax may differ where the margin is under twice the tolerance.",
    "tap": "a value inside the graph that is no output of the file.",
}


# --- Inputs, as `formats` says -------------------------------------------------------------------------------------------------


def pixels(file: str, crops: list, height: int, width: int, channels: str, mean: list, std: list) -> np.ndarray:
    image = np.array(Image.open(FOLDER / file).convert("RGB"))[..., ["rgb".index(c) for c in channels]]
    rectangles = [image[y : y + height, x : x + width] for x, y in crops]
    assert all(r.shape[:2] == (height, width) for r in rectangles), "a crop leaves its image"
    values = np.stack(rectangles).astype(np.float32) / np.float32(255)
    return ((values - np.float32(mean)) / np.float32(std)).transpose(0, 3, 1, 2).copy()


def samples(file: str, count: int, start: int = 0, step: int = 1) -> np.ndarray:
    with wave.open(str(FOLDER / file)) as sound:
        values = np.frombuffer(sound.readframes(sound.getnframes()), "<i2").astype(np.float32) / np.float32(32768)
    values = values[start::step][:count]
    return np.pad(values, (0, count - len(values)))


def file_bytes(data: bytes) -> np.ndarray:
    """What magika looks at: 1024 bytes from each end without white space, 256 where there are none."""
    begin, end = data[:4096].lstrip()[:1024], data[-4096:].rstrip()[-1024:]
    none = [256]
    return np.array(list(begin) + none * (1024 - len(begin)) + none * (1024 - len(end)) + list(end), dtype=np.int64)


@dataclass
class Case:
    """One golden: a model, how its inputs are made, and how often it runs."""

    name: str
    model: str
    inputs: list  # of {"name", "kind", ...}, as they stand in the index
    feeds: dict = field(default_factory=dict)
    stream: dict | None = None
    taps: list = field(default_factory=list)
    like_terms: list = field(default_factory=list)  # taps with LIKE_TERMS_FLOOR
    stacked: tuple = ()
    note: dict = field(default_factory=dict)


def picture(name: str, model: str, file: str, crops: list, height: int, width: int, channels: str, scale: dict, **rest) -> Case:
    at = {"file": file, "crops": crops, "height": height, "width": width, "channels": channels, **scale}
    entry = inputs_of(onnx.load(CACHE / model, load_external_data=False).graph)[0]
    return Case(name, model, [{"name": entry, "kind": "pixels", **at}], {entry: pixels(**at)}, **rest)


def voice(name: str, variant: str, rate: int, calls: list, starts: list, sequence: bool = False) -> Case:
    """A stream through silero-vad. At 8 kHz it is every second sample of the file."""
    chunk, step = rate // 8000 * 256, 16_000 // rate
    spec = {"file": "speech.wav", "step": step, "chunk": chunk, "context": chunk // 8, "starts": starts, "calls": calls}
    spec["state"] = {"h": "hn", "c": "cn"} if sequence else {"state": "stateN"}
    spec["rows"] = "chunks" if sequence else "streams"
    model = f"silero-vad/{variant}.onnx"
    names = inputs_of(onnx.load(CACHE / model).graph)
    shape = (1, 1, 128) if sequence else (2, len(starts), 128)
    spec["state_shape"] = list(shape)
    inputs = [{"name": "input", "kind": "stream", **spec}]
    feeds = {entry: np.zeros(shape, np.float32) for entry in spec["state"]}
    if "sr" in names:
        feeds["sr"] = np.array(rate, np.int64)
        inputs.append({"name": "sr", "kind": "scalar", "dtype": "int64", "value": rate})
    stacked = ("speech_probs",) if sequence else ("output",)
    return Case(name, model, inputs, feeds, spec, stacked=stacked)


def inputs_of(graph: onnx.GraphProto) -> list[str]:
    """Without the initialisers, which old files list too."""
    weights = {tensor.name for tensor in graph.initializer}
    return [value.name for value in graph.input if value.name not in weights]


def light(name: str) -> Case:
    """All weights are 0.02, so the outputs say little: values on the way are checked too."""
    model = f"onnx-light/light_{name}.onnx"
    nodes = onnx.load(CACHE / model).graph.node
    pooled = [n.output[0] for n in nodes if n.op_type in ("MaxPool", "AveragePool", "Concat", "LRN")]
    before = [n.input[0] for n in nodes if n.op_type == "Softmax"]
    taps = list(dict.fromkeys([pooled[0], pooled[len(pooled) // 2], pooled[-1], *before]))
    like_terms = taps[1:] if name in ("vgg19", "zfnet512") else []
    rest = {"taps": taps, "like_terms": like_terms}
    return picture(f"light_{name}", model, "scenes.png", [[0, 0]], 224, 224, "rgb", IMAGENET, **rest)


def cases() -> list[Case]:
    det, rec = "ocr/PP-OCRv6_det_small.onnx", "ocr/PP-OCRv6_rec_small.onnx"
    turn, focus = "ocr/ch_ppocr_mobile_v2.0_cls_mobile.onnx", "vit_s_focus.onnx"
    one, two = "page_one.png", "page_two.png"
    found = [
        picture("det_page_one", det, one, [[0, 0]], 352, 640, "bgr", HALF),
        picture("det_page_two", det, two, [[0, 0]], 288, 448, "bgr", HALF),
        picture("det_batch", det, one, [[32, 32], [256, 136]], 96, 160, "bgr", HALF),
        picture("rec_320", rec, one, [[36, 46]], 48, 320, "bgr", HALF),
        picture("rec_160", rec, one, [[36, 150]], 48, 160, "bgr", HALF),
        picture("rec_batch", rec, one, [[34, 254], [216, 150]], 48, 184, "bgr", HALF),
        picture("cls_upright", turn, one, [[36, 46]], 48, 192, "bgr", HALF),
        picture("cls_batch", turn, two, [[28, 22], [180, 98]], 48, 192, "bgr", HALF),
        picture("cls_96", turn, two, [[28, 22]], 48, 96, "bgr", HALF),
        picture("vit_ball", focus, "scenes.png", [[0, 0]], 224, 224, "rgb", IMAGENET),
        picture("vit_batch", focus, "scenes.png", [[224, 0], [0, 0]], 224, 224, "rgb", IMAGENET),
    ]
    whole = [1] * 94
    for variant in ["silero_vad", "silero_vad_16k_op15", "silero_vad_half", "silero_vad_op18_ifless", "silero_vad_openvino_16k"]:
        found.append(voice(variant, variant, 16_000, whole, [0]))
    found += [
        voice("silero_vad_8k", "silero_vad", 8_000, whole, [0]),
        voice("silero_vad_op18_ifless_8k", "silero_vad_op18_ifless", 8_000, whole, [0]),
        voice("silero_vad_16k_op15_batch", "silero_vad_16k_op15", 16_000, [1] * 24, [10, 50, 0]),
        voice("silero_vad_16k_sequence", "silero_vad_16k_sequence", 16_000, [94], [0], sequence=True),
        voice("silero_vad_16k_sequence_parts", "silero_vad_16k_sequence", 16_000, [40, 1, 20], [0], sequence=True),
    ]
    pitch, entry = "basic-pitch/nmp.onnx", "serving_default_input_2:0"
    for name, files in [("basic_pitch_chord", ["chord.wav"]), ("basic_pitch_batch", ["speech.wav", "chord.wav"])]:
        feed = np.stack([samples(file, 43_844) for file in files])[..., None]
        spec = {"name": entry, "kind": "samples", "files": files, "shape": list(feed.shape)}
        found.append(Case(name, pitch, [spec], {entry: feed}))
    for name, files in [("magika_python", ["sample.py"]), ("magika_batch", ["page_one.png", "sample.py"])]:
        feed = np.stack([file_bytes((FOLDER / file).read_bytes()) for file in files]).astype(np.int32)
        spec = {"name": "bytes", "kind": "array", "dtype": "int32", "files": files}
        found.append(Case(name, "magika/model.onnx", [spec], {"bytes": feed}))
    return found + [light(name) for name in LIGHT]


# --- Running -------------------------------------------------------------------------------------------------------------------


def tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """All constants, those of branches too."""
    yield from graph.initializer
    for attribute in itertools.chain.from_iterable(node.attribute for node in graph.node):
        if attribute.HasField("t"):
            yield attribute.t
        if attribute.HasField("g"):
            yield from tensors(attribute.g)


def session(case: Case, optimised: bool, threads: int, rng: np.random.Generator | None) -> ort.InferenceSession:
    model = onnx.load(CACHE / case.model)
    # Small ones may be numbers that must be exact, like the scales of a Resize or the size of a grid.
    weights = [t for t in tensors(model.graph) if t.data_type == onnx.TensorProto.FLOAT and math.prod(t.dims) >= 32]
    for tensor in weights if rng else []:
        tensor.CopyFrom(numpy_helper.from_array(moved(numpy_helper.to_array(tensor), rng), tensor.name))
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in case.taps)
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimised else level.ORT_DISABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def moved(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each f32 up or down by one unit in the last place, or left; zeros stay."""
    if values.dtype != np.float32:
        return values
    direction = rng.choice(np.float32([-np.inf, 0, np.inf]), values.shape)
    return np.where((values == 0) | (direction == 0), values, np.nextafter(values, direction)).astype(np.float32)


def run(case: Case, runner: ort.InferenceSession, rng: np.random.Generator | None) -> dict[str, np.ndarray]:
    """All outputs of the case by name."""
    names = [value.name for value in runner.get_outputs()]
    nudge = (lambda values: moved(values, rng)) if rng else (lambda values: values)
    if case.stream is None:
        return dict(zip(names, runner.run(names, {key: nudge(value) for key, value in case.feeds.items()})))
    spec, feeds, first, stacks = case.stream, dict(case.feeds), 0, {name: [] for name in case.stacked}
    size, context, total = spec["chunk"], spec["context"], sum(spec["calls"])
    streams = [samples(spec["file"], total * size, start * size * spec["step"], spec["step"]) for start in spec["starts"]]
    rows = [np.pad(stream, (context, 0)) for stream in streams]
    for count in spec["calls"]:
        starts = range(first * size, (first + count) * size, size)
        chunks = [row[at : at + context + size] for at in starts for row in rows]
        got = dict(zip(names, runner.run(names, {"input": nudge(np.stack(chunks)), **feeds})))
        feeds.update({entry: got[output] for entry, output in spec["state"].items()})
        for name in case.stacked:
            stacks[name].append(got[name])
        first += count
    return {name: np.concatenate(stacks[name]) if name in stacks else got[name] for name in names}


# --- Writing -------------------------------------------------------------------------------------------------------------------


def sample(values: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Flat indices: half from anywhere, half from where the values are well above the least, which may be few places."""
    flat = values.ravel()
    high = np.flatnonzero(flat > flat.min() + 0.01 * (flat.max() - flat.min()))
    anywhere = rng.choice(flat.size, min(count // 2, flat.size), replace=False)
    return np.unique(np.concatenate([anywhere, rng.choice(high, min(count // 2, high.size), replace=False)])).astype(np.int64)


def digest(key: str, values: np.ndarray, tap: bool, rng: np.random.Generator) -> dict[str, np.ndarray]:
    if values.nbytes < (2_000 if tap else FULL_BYTES):
        return {key: values}
    at = sample(values, TAP_SAMPLES if tap else SAMPLES, rng)
    arrays = {f"{key}_at": at, f"{key}_values": values.ravel()[at]}
    if not tap:
        rows = values.reshape(-1, values.shape[-1])
        best = np.sort(rows, axis=1)[:, -2:]
        arrays |= {f"{key}_max": best[:, 1], f"{key}_mean": rows.mean(axis=1, dtype=np.float64).astype(np.float32)}
        arrays |= {f"{key}_argmax": rows.argmax(axis=1), f"{key}_margin": best[:, 1] - best[:, 0]}
    return arrays


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Without compression and time stamps."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, values in arrays.items():
            npy = io.BytesIO()
            np.save(npy, np.ascontiguousarray(values))
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), npy.getvalue())


def characters() -> list[str]:
    """What the classes of the recogniser stand for; class 0 is the CTC blank."""
    properties = onnx.load(CACHE / "ocr/PP-OCRv6_rec_small.onnx").metadata_props
    return ["", *next(p.value for p in properties if p.key == "character").split("\n"), " "]


def meaning(case: Case, first: np.ndarray) -> dict:
    """What the first output says in words."""
    if case.name.startswith("rec_"):
        letters = characters()
        best = first.argmax(axis=2)
        return {"texts": ["".join(letters[c] for c, _ in itertools.groupby(row)) for row in best]}
    if case.name.startswith("cls_"):
        return {"labels": [["0", "180"][row] for row in first.argmax(axis=1)]}
    if case.name.startswith("magika_"):
        labels = json.loads((CACHE / "magika/config.min.json").read_text())["target_labels_space"]
        return {"labels": [labels[row] for row in first.argmax(axis=1)]}
    return {}


def record(case: Case) -> dict:
    """Runs a case, writes its npz and returns its entry of the index."""
    golden = run(case, session(case, False, 1, None), None)
    spread = dict.fromkeys(golden, 0.0)
    for optimised, threads, seed in VARIANTS:
        rng = np.random.default_rng(seed) if seed else None
        other = run(case, session(case, optimised, threads, rng), rng)
        for name, values in other.items():
            spread[name] = max(spread[name], float(np.abs(values.astype(np.float64) - golden[name]).max()))
    arrays = {}
    for number, entry in enumerate(case.inputs):
        if entry["kind"] == "array":
            arrays[f"in{number}"] = case.feeds[entry["name"]].astype(np.int64)
    rng = np.random.default_rng(sum(case.name.encode()))
    outputs = []
    for number, (name, values) in enumerate(golden.items()):
        assert values.dtype == np.float32 and np.isfinite(values).all(), f"{case.name}: {name}"
        arrays |= digest(f"out{number}", values, name in case.taps, rng)
        floor = LIKE_TERMS_FLOOR if name in case.like_terms else FLOOR
        tolerance = max(FACTOR * spread[name], floor * float(np.abs(values).max()))
        said = {"name": name, "shape": list(values.shape)}
        numbers = {"tolerance": tolerance, "spread": spread[name], "largest": np.abs(values).max()}
        said |= {key: float(f"{number:.3g}") for key, number in numbers.items()}
        said |= {mark: True for mark, names in [("tap", case.taps), ("stacked", case.stacked)] if name in names}
        outputs.append(said)
    write_npz(FOLDER / f"{case.name}.npz", arrays)
    words = meaning(case, next(iter(golden.values())))
    print(case.name, words, *(f"{o['name']} {o['shape']} +-{o['tolerance']} of {o['largest']}" for o in outputs), sep="\n    ")
    return {"case": case.name, "model": case.model, "inputs": case.inputs, "outputs": outputs, **words}


def main() -> None:
    wanted = sys.argv[1:]
    entries = [record(case) for case in cases() if not wanted or case.name in wanted]
    if not wanted:
        head = f"onnxruntime {ort.__version__} on a CPU, f32, optimisations off, one thread"
        floors = {"floor": FLOOR, "like_terms_floor": LIKE_TERMS_FLOOR}
        index = {"made_with": head, "factor": FACTOR, **floors, "formats": FORMATS}
        # One line per case.
        lines = ",\n".join(f"  {json.dumps(entry)}" for entry in entries)
        head = json.dumps(index, indent=1).removesuffix("\n}")
        (FOLDER / "index.json").write_text(f'{head},\n "cases": [\n{lines}\n ]\n}}\n')


if __name__ == "__main__":
    main()
