#!/usr/bin/env python3
"""gpu_kernels.py KERNELS GPU=FOLDER...: what AMD's compiler makes of every kernel, as lines of docs/gpu-kernels.tsv; with --summary by shader,
as a table of docs/gpu-cost.md.

KERNELS is a folder that `wavelane shaders --profile rdna --own --dump KERNELS` wrote. Each FOLDER has what the compiler said of a pipeline of each
of them, in the same order: `statistics.jsonl`, a line of its statistics each, and the machine code, `N_*Assembly*.txt` for pipeline N.
docs/gpu-cost.md says how these are made and what the numbers cannot tell.
"""

import json
import re
import sys
from pathlib import Path

from gpu_cost import BYTES, LOAD, loops, multiply_adds

MEMORY = re.compile(r"(?:buffer|global|flat|scratch)_(?:load|store|atomic)")


def name(path: Path) -> str:
    """A kernel's name: the first comment of its text."""
    return next(line[3:] for line in path.read_text().splitlines() if line.startswith("// "))


def figures(folder: Path) -> list[dict]:
    """Of each pipeline: registers, spills, workgroup memory, waves, instructions, those of memory; the loop with the most multiply-adds."""
    found = []
    for number, line in enumerate((folder / "statistics.jsonl").read_text().splitlines()):
        said = json.loads(line)
        [code] = folder.glob(f"{number}_*ssembly*.txt")
        text = code.read_text(errors="replace")
        loop = max(loops(text), key=lambda body: (multiply_adds(body), -len(body)), default=[])
        loads = sum(BYTES.get(m.group(1), 1) for s in loop if (m := LOAD.match(s)))
        lines = [line.strip() for line in text.splitlines()]
        found.append(
            {
                "VGPRs": said["VGPRs"],
                "spilled": said["Spilled VGPRs"] + said["Spilled SGPRs"],
                "LDS": said["LDS size"],
                "waves": said["Subgroups per SIMD"],
                "instructions": said.get("Instructions", said.get("Instruction Count")),
                "memory": sum(bool(MEMORY.match(line)) for line in lines),
                "loop": len(loop),
                "MACs": multiply_adds(loop),
                "loaded": loads,
            }
        )
    return found


def span(values: list) -> str:
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low}-{high}"


def main() -> None:
    summary = "--summary" in sys.argv
    kernels, *gpus = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    names = [name(path) for path in sorted(Path(kernels).glob("*.wgsl"))]
    by_gpu = {gpu: figures(Path(folder)) for gpu, folder in (argument.split("=") for argument in gpus)}
    assert all(len(found) == len(names) for found in by_gpu.values()), "a pipeline is missing"
    if not summary:
        columns = list(next(iter(by_gpu.values()))[0])
        print("\t".join(["kernel", *(f"{gpu} {column}" for gpu in by_gpu for column in columns)]))
        for i, kernel in enumerate(names):
            print("\t".join([kernel, *(str(found[i][column]) for found in by_gpu.values() for column in columns)]))
        return
    shaders: dict[str, list[int]] = {}
    for i, kernel in enumerate(names):
        shaders.setdefault(re.split(r"[+ ]", kernel)[0], []).append(i)
    print("| shader | kernels | GPU | VGPRs | spilled | LDS | waves a SIMD | instructions | memory instructions | multiply-adds of the main loop |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for shader, places in shaders.items():
        for gpu, found in by_gpu.items():
            of = [found[i] for i in places]
            share = [round(100 * f["MACs"] / f["loop"]) for f in of if f["MACs"]]
            cells = [span([f[column] for f in of]) for column in ("VGPRs", "spilled", "LDS", "waves", "instructions", "memory")]
            print(f"| `{shader}` | {len(of)} | {gpu} | {' | '.join(cells)} | {f'{span(share)} %' if share else ''} |")


if __name__ == "__main__":
    main()
