#!/usr/bin/env python3
"""Us and the peers that are there, one after another in one sitting, as one table.

    pip install ncnn onnx==1.23.2 onnxruntime==1.32.0 numpy pillow
    git clone --depth 1 https://github.com/Tencent/ncnn
    python benches/peers/table.py ncnn/benchmark/models FOLDER [--llama-bench PROGRAM] > table.md

FOLDER receives the ONNX files that `nets.py` makes. `--llama-bench` names llama.cpp's program of that name, built with Vulkan. WAVELANE_MODEL
is the language model, WAVELANE_DEVICE our device, VK_DRIVER_FILES the drivers that everybody sees. Ratios say how many times as fast we
are: above 1 we are ahead. Every figure is a median of five or more; let nothing else run.
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


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def ours(bench: str, **environment: str) -> dict:
    """One of our benchmarks, as JSON."""
    say(f"wavelane: {bench}")
    command = ["cargo", "bench", "--features", "cli", "--bench", bench, "--", "--json"]
    run = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(run.stdout.strip().splitlines()[-1])


def script(name: str, *arguments: str) -> str:
    say(f"peers: {name}")
    run = subprocess.run([sys.executable, HERE / name, *arguments], cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    return run.stdout


def llama(program: str, model: str, vulkan: bool) -> dict[str, float]:
    """Tokens per second of prompts of 512 tokens and of decoding."""
    say(f"llama.cpp, {'Vulkan' if vulkan else 'CPU'}")
    environment = {**os.environ, "GGML_VK_VISIBLE_DEVICES": "0"}
    where = ["-ngl", "99"] if vulkan else ["-dev", "none", "-t", "2"]
    command = [program, "-m", model, "-p", "512", "-n", "64", "-r", "5", "-o", "json", *where]
    run = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    return {"prefill 512" if test["n_prompt"] else "decode 64 after 64": test["avg_ts"] for test in json.loads(run.stdout)}


def number(row: dict, *names: str) -> float:
    """The first of these columns that a row has."""
    return next(float(row[name]) for name in names if row.get(name) is not None)


def table(title: str, unit: str, rows: list[tuple[str, float, list[tuple[str, float, float]]]]) -> None:
    """Rows of a name, our figure, and each peer's name, figure and how many times as fast we are."""
    print(f"\n{title}, {unit}:\n\n| | Wavelane | peers |\n|---|---|---|")
    for name, own, peers in rows:
        beside = "; ".join(f"{peer} {figure:.4g} ({ratio:.2g} times)" for peer, figure, ratio in peers)
        print(f"| {name} | {own:.4g} | {beside or 'none'} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", help="ncnn's folder benchmark/models")
    parser.add_argument("folder", help="where ONNX files go")
    parser.add_argument("--llama-bench", help="llama.cpp's program")
    arguments = parser.parse_args()

    peers: dict[str, list[tuple[str, float]]] = {}
    for line in script("nets.py", arguments.models, arguments.folder).splitlines():
        if found := re.match(r"(\S+) \S+ (CPU|Vulkan)\s+(\w+)\s+([\d.]+)", line):
            peers.setdefault(found[3], []).append((f"{found[1]} {found[2]}", float(found[4])))
    for line in script("onnxruntime.py").splitlines():
        if found := re.match(r"(\w+)\s+([\d.]+)\s+[\d.]+ %", line):
            peers.setdefault(found[1], []).append(("onnxruntime CPU", float(found[2])))
    rows = []
    for case in ours("onnx", WAVELANE_NETS=str(Path(arguments.folder).resolve()))["cases"]:
        own = number(case, "ms", "run ms")
        beside = [(peer, figure, figure / own) for peer, figure in peers.get(case["case"], [])]
        rows.append((case["case"], own, beside))
    table("Models", "milliseconds a run", rows)

    language = ours("language")
    others: dict[str, dict[str, float]] = {}
    if arguments.llama_bench:
        model = os.environ["WAVELANE_MODEL"]
        others = {f"llama.cpp {'Vulkan' if v else 'CPU'}": llama(arguments.llama_bench, model, v) for v in (True, False)}
    rows = []
    for task in language["tasks"]:
        own = number(task, "tok/s")
        beside = [(peer, found[task["task"]], own / found[task["task"]]) for peer, found in others.items() if task["task"] in found]
        rows.append((task["task"], own, beside))
    table(f"{language['model']}", "tokens per second", rows)

    kernels = ours("kernels")
    rows = [(row["kernel"], number(row, "us"), []) for row in kernels["kernels"]]
    table("Kernels", "microseconds", rows)
    print(f"\nThe roof: {json.dumps(kernels['roofs'])}")


if __name__ == "__main__":
    main()
