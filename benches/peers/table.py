#!/usr/bin/env python3
"""Us and the peers, one after another in one sitting, as the tables of docs/figures.md.

    pip install ncnn onnx==1.23.2 onnxruntime==1.32.0 numpy pillow
    git clone --depth 1 https://github.com/Tencent/ncnn
    python benches/peers/table.py ncnn/benchmark/models FOLDER [--llama-bench PROGRAM] [--without PEER...] > docs/figures.md

FOLDER receives the ONNX files that `nets.py` makes, and what every program printed: with --reuse, a part whose print is there is not run
again. `--llama-bench` names llama.cpp's program of that name, built with Vulkan. Cargo builds burn and wonnx (half an hour the first
time). WAVELANE_MODEL is the language model, WAVELANE_DEVICE our device, VK_DRIVER_FILES the drivers that everybody sees. "Times" say how
many times as fast we are: above 1 we are ahead. Every figure is a median of five or more; let nothing else run.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NETS = {"squeezenet": 227, "mobilenet_v2": 224, "resnet18": 224}


class Sitting:
    """Runs programs, keeps what they print."""

    def __init__(self, folder: Path, reuse: bool) -> None:
        self.folder, self.reuse = folder, reuse

    def run(self, part: str, command: list, **environment: str) -> str:
        kept = self.folder / f"{part.replace(' ', '-')}.txt"
        if self.reuse and kept.exists():
            return kept.read_text()
        print(f"{part} ...", file=sys.stderr, flush=True)
        run = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.PIPE, check=True, text=True)
        kept.write_text(run.stdout)
        return run.stdout

    def ours(self, bench: str, *arguments: str, **environment: str) -> dict:
        command = ["cargo", "bench", "--features", "cli", "--bench", bench, "--", "--json", *arguments]
        return json.loads(self.run(f"wavelane {bench}", command, **environment).strip().splitlines()[-1])

    def crate(self, name: str, *arguments: str) -> dict[str, float]:
        """Milliseconds of what a peer's crate ran, by name."""
        manifest, target = HERE / name / "Cargo.toml", ROOT / "target" / "peers"
        command = ["cargo", "run", "--release", "--manifest-path", manifest, "--target-dir", target, "--", *arguments]
        figures = json.loads(self.run(name, command).strip().splitlines()[-1])
        return {work: figure["ms"] for work, figure in figures.items()}

    def script(self, name: str, *arguments: str) -> str:
        return self.run(name, [sys.executable, HERE / f"{name}.py", *arguments])

    def llama(self, program: str, model: str, vulkan: bool) -> dict[str, float]:
        """Tokens per second by our names of the tasks."""
        where = ["-ngl", "99"] if vulkan else ["-dev", "none", "-t", "2"]
        command = [program, "-m", model, "-p", "512", "-n", "64", "-r", "5", "-o", "json", *where]
        tests = json.loads(self.run(f"llama.cpp {'Vulkan' if vulkan else 'CPU'}", command, GGML_VK_VISIBLE_DEVICES="0"))
        name = lambda test: f"prefill {test['n_prompt']}" if test["n_prompt"] else "decode 64 after 64"
        return {name(test): test["avg_ts"] for test in tests}


def shown(figure: float | None) -> str:
    """Three digits; nothing where there is no figure."""
    if figure is None:
        return ""
    return f"{figure:.0f}" if figure >= 100 else f"{figure:.3g}"


def times(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a / b


def table(title: str, head: list[str], rows: list[list]) -> None:
    print(f"\n{title}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(shown(cell) if isinstance(cell, float | None) else str(cell) for cell in row)} |")


def roofs(roofs: dict, info: dict) -> None:
    memory = roofs["memory"]
    rows = [
        ["f32 arithmetic, GFLOP/s", roofs["f32_flops"] / 1e9],
        ["read, GB/s", memory["read"] / 1e9],
        ["copy, GB/s", memory["copy"] / 1e9],
        ["a dispatch, us", roofs["dispatch_seconds"] * 1e6],
        ["submit and wait, us", roofs["submit_seconds"] * 1e6],
    ]
    table(f"The roofs of {info['name']} ({info['driver']}):", ["", ""], rows)


def kernels(rows: list[dict], burn: dict[str, float]) -> None:
    """What burn runs too, and then everything else beside the roof alone."""
    both, alone = [], []
    for row in rows:
        own, name = row["us"] / 1e3, row["kernel"]
        figures = [own, f"{row['rate']:.3g} {row['unit']}", f"{row['% of roof']:.0f} %"]
        if name in burn:
            both.append([f"`{name}`", *figures, burn[name], times(burn[name], own)])
        else:
            alone.append([f"`{name}`", *figures])
    head = ["", "Wavelane, ms", "rate", "of its roof"]
    if both:
        table("Kernels that burn has too:", [*head, "burn, ms", "times burn"], both)
    table("The other kernels:", head, alone)


def nets(cases: list[dict], peers: dict[str, dict[str, float]], wonnx: dict[str, float]) -> None:
    rows, others = [], []
    for case in cases:
        name, own = case["case"], case["ms"]
        beside = peers.get(name, {})
        counts = [str(int(case[column])) for column in ("file", "traced", "dispatches")]
        cpu = next((figure for peer, figure in beside.items() if peer.startswith("onnxruntime")), None)
        figures = [name, *counts, own, case["first ms"], cpu, times(own, cpu)]
        if name not in NETS:
            others.append(figures)
            continue
        ncnn = {where: next((f for peer, f in beside.items() if peer.startswith("ncnn") and peer.endswith(where)), None) for where in ("Vulkan", "CPU")}
        rows.append([*figures, ncnn["Vulkan"], times(ncnn["Vulkan"], own), wonnx.get(name), times(wonnx.get(name), own), ncnn["CPU"]])
    head = ["", "nodes", "traced", "dispatches", "Wavelane", "first run", "onnxruntime CPU", "Wavelane / onnxruntime"]
    table("Nets of ncnn's benchmark with random weights, milliseconds:", [*head, "ncnn Vulkan", "times", "wonnx", "times", "ncnn CPU"], rows)
    table("Other ONNX models, milliseconds:", head, others)


def language(report: dict, vulkan: dict[str, float], cpu: dict[str, float]) -> None:
    rows = []
    for task in report["tasks"]:
        name, own = task["task"], task["tok/s"]
        share = f"{task['% of roof']:.0f} % of {'arithmetic' if name.startswith('prefill') else 'reading'}"
        ratios = [vulkan.get(name), times(own, vulkan.get(name)), cpu.get(name), times(own, cpu.get(name))]
        rows.append([name, own, share, str(int(task["dispatches"])), *ratios])
    head = ["", "Wavelane", "of the roof", "dispatches of a step", "llama.cpp Vulkan", "times", "llama.cpp CPU", "times"]
    table(f"{report['model']}, tokens per second:", head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", help="ncnn's folder benchmark/models")
    parser.add_argument("folder", type=Path, help="where ONNX files and prints go")
    parser.add_argument("--llama-bench", help="llama.cpp's program")
    parser.add_argument("--without", nargs="*", default=[], choices=["burn", "wonnx"], help="peers that are left out")
    parser.add_argument("--reuse", action="store_true", help="take what the folder has instead of running it")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    sitting = Sitting(folder, arguments.reuse)

    # Each of ours beside its peers in time, since the machine drifts.
    own_kernels = sitting.ours("kernels")
    burn = {} if "burn" in arguments.without else sitting.crate("burn")

    beside: dict[str, dict[str, float]] = {}
    for line in sitting.script("nets", arguments.models, str(folder)).splitlines():
        if found := re.match(r"(\S+) (\S+) (CPU|Vulkan)\s+(\w+)\s+([\d.]+)", line):
            beside.setdefault(found[4], {})[f"{found[1]} {found[2]} {found[3]}"] = float(found[5])
    own_nets = sitting.ours("onnx", WAVELANE_NETS=str(folder))
    wonnx = {} if "wonnx" in arguments.without else sitting.crate("wonnx", *(f"{folder}/{net}.onnx:{size}" for net, size in NETS.items()))
    for line in sitting.script("onnxruntime").splitlines():
        if found := re.match(r"(\w+)\s+([\d.]+)\s+[\d.]+ %", line):
            beside.setdefault(found[1], {})["onnxruntime"] = float(found[2])

    own_language = sitting.ours("language")
    vulkan, cpu = {}, {}
    if arguments.llama_bench:
        vulkan, cpu = (sitting.llama(arguments.llama_bench, os.environ["WAVELANE_MODEL"], on_vulkan) for on_vulkan in (True, False))

    print("# Figures\n\nWritten by `benches/peers/table.py`. `docs/benchmarks.md` says what is measured, and on what machine.")
    roofs(own_kernels["roofs"], own_kernels["device"])
    language(own_language, vulkan, cpu)
    kernels(own_kernels["kernels"], burn)
    nets(own_nets["cases"], beside, wonnx)


if __name__ == "__main__":
    main()
