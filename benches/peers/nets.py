#!/usr/bin/env python3
"""Nets of ncnn's own benchmark, with random weights: as ONNX files for us, in ncnn on Vulkan and on the CPU, in onnxruntime on the CPU.

    pip install ncnn onnx==1.23.2 onnxruntime==1.32.0 numpy
    git clone --depth 1 https://github.com/Tencent/ncnn
    python benches/peers/nets.py ncnn/benchmark/models FOLDER [NET...]
    WAVELANE_NETS=FOLDER cargo bench --bench onnx --features media -- NET

NET is one of squeezenet, mobilenet_v2, resnet18 (all of them where none is named). FOLDER receives NET.onnx: the same layers as
NET.param, which names the shape of everything, so that all do the same work. Milliseconds: the median of five runs after two others, and
the distance of the slowest from the fastest as a part of it; two threads on the CPU; ncnn in f32. VK_DRIVER_FILES chooses the driver.
"""

import statistics
import sys
import time
from pathlib import Path

sys.path.remove(str(Path(__file__).parent))  # The files beside this one have the names of packages.
import ncnn
import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

THREADS, WARM, RUNS = 2, 2, 5
NETS = ["squeezenet", "mobilenet_v2", "resnet18"]


class Net:
    """An ONNX graph under construction."""

    def __init__(self) -> None:
        self.nodes, self.weights, self.input = [], [], None
        self.names: dict[str, str] = {}  # What a split blob is a copy of.
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.random = np.random.default_rng(1)

    def weight(self, name: str, *shape: int) -> str:
        """A weight that keeps the size of what goes through it."""
        spread = np.sqrt(2 / max(1, np.prod(shape[1:])))
        self.weights.append(numpy_helper.from_array(self.random.normal(0, spread, shape).astype(np.float32), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: object) -> None:
        self.nodes.append(helper.make_node(kind, [self.names.get(i, i) for i in inputs], [output], **attributes))

    def layer(self, kind: str, name: str, inputs: list[str], outputs: list[str], values: dict[int, str]) -> None:
        number = lambda key, otherwise=0: int(values.get(key, otherwise))
        rank, width, height, channels = [int(v) for v in values[-23330].split(",")[1:5]]
        shape = (channels, height, width) if rank == 3 else (width,)
        self.shapes.update((output, shape) for output in outputs)
        output, before = outputs[0], self.shapes[inputs[0]] if inputs else ()
        match kind:
            case "Input":
                self.input = helper.make_tensor_value_info(output, TensorProto.FLOAT, [1, *shape])
            case "Split":
                self.names.update((output, self.names.get(inputs[0], inputs[0])) for output in outputs)
            case "Convolution" | "ConvolutionDepthWise":
                groups, size = number(7, 1) if kind != "Convolution" else 1, number(1)
                filters = self.weight(f"{name}.weight", number(0), before[0] // groups, size, size)
                relu = number(9) == 1
                sums = f"{output}.sums" if relu else output
                steps = {"strides": [number(3, 1)] * 2, "pads": [number(4)] * 4, "kernel_shape": [size] * 2, "group": groups}
                self.node("Conv", [inputs[0], filters, self.weight(f"{name}.bias", number(0))], sums, **steps)
                if relu:
                    self.node("Relu", [sums], output)
            case "ReLU":
                self.node("Relu", inputs, output)
            case "Pooling" if number(4) == 1 or number(0) == 1 and number(1) == before[1]:
                self.node("GlobalAveragePool", inputs, f"{output}.planes")
                self.node("Flatten", [f"{output}.planes"], output)
            case "Pooling":
                size, step = number(1), number(2)
                past = max(0, (shape[1] - 1) * step + size - before[1])
                self.node("MaxPool", inputs, output, kernel_shape=[size] * 2, strides=[step] * 2, pads=[0, 0, past, past])
            case "Concat":
                self.node("Concat", inputs, output, axis=1)
            case "Eltwise" | "BinaryOp":
                self.node("Add", inputs, output)
            case "InnerProduct":
                # Not transposed: wonnx knows no other.
                columns = self.weight(f"{name}.weight", number(2) // number(0), number(0))
                self.node("Gemm", [inputs[0], columns, self.weight(f"{name}.bias", number(0))], output)
            case "Softmax":
                self.node("Softmax", inputs, output, axis=1)
            case _:
                sys.exit(f"{name}: layers of the type {kind} are not known here")


def convert(param: Path, target: Path) -> None:
    """Writes the net of a .param file as an ONNX file."""
    net = Net()
    for line in param.read_text().splitlines()[2:]:
        kind, name, ins, outs, *rest = line.split()
        ins, outs = int(ins), int(outs)
        values = {int(key): value for key, value in (item.split("=") for item in rest[ins + outs :])}
        net.layer(kind, name, rest[:ins], rest[ins : ins + outs], values)
    result = helper.make_tensor_value_info(net.nodes[-1].output[0], TensorProto.FLOAT, [1, 1000])
    graph = helper.make_graph(net.nodes, param.stem, [net.input], [result], net.weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)
    model = onnx.shape_inference.infer_shapes(model)  # wonnx asks for the shape of everything.
    onnx.checker.check_model(model)
    onnx.save(model, target)


def report(what: str, name: str, run) -> None:
    times = []
    for _ in range(WARM + RUNS):
        started = time.perf_counter()
        run()
        times.append((time.perf_counter() - started) * 1e3)
    times = sorted(times[WARM:])
    middle = statistics.median(times)
    print(f"{what:<26} {name:<14} {middle:9.2f}  {(times[-1] - times[0]) / middle * 100:8.1f} %", flush=True)


def in_ncnn(param: Path, shape: list[int], vulkan: bool):
    net = ncnn.Net()
    net.opt.num_threads, net.opt.use_vulkan_compute = THREADS, vulkan
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.load_param(str(param))
    net.load_model(ncnn.DataReaderFromEmpty())
    picture = ncnn.Mat(np.full(shape[1:], 0.01, np.float32))

    def run() -> None:
        extractor = net.create_extractor()
        extractor.input(net.input_names()[0], picture)
        _, result = extractor.extract(net.output_names()[0])
        np.array(result)

    return run


def in_onnxruntime(file: Path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    feed = {i.name: np.full(i.shape, 0.01, np.float32) for i in session.get_inputs()}
    return (lambda: session.run(None, feed)), next(iter(feed.values())).shape


def main() -> None:
    models, folder, *names = sys.argv[1:]
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name in names or NETS:
        param, file = Path(models) / f"{name}.param", Path(folder) / f"{name}.onnx"
        convert(param, file)
        run, shape = in_onnxruntime(file)
        report(f"onnxruntime {ort.__version__} CPU", name, run)
        report(f"ncnn {ncnn.__version__} CPU", name, in_ncnn(param, list(shape), False))
        if ncnn.get_gpu_count():
            report(f"ncnn {ncnn.__version__} Vulkan", name, in_ncnn(param, list(shape), True))


if __name__ == "__main__":
    main()
