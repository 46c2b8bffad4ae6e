#!/usr/bin/env python3
"""gpu_cost.py WEIGHTS FILE...: what the main loop of each kernel costs, from AMD machine code as Mesa's compiler prints it.

The main loop is the one with the most multiply-adds. WEIGHTS is how many weights one thread takes in a pass of it.
docs/gpu-cost.md says how the files are made and what the numbers cannot tell.
"""

import re
import sys

MULTIPLY_ADD = re.compile(r"v_(?:dual_)?(?:pk_)?(?:fma|fmac|mac|mad|dot)(?!_[iu]\d)")
LOAD = re.compile(r"(?:buffer|global|flat|scratch)_load(?:_format)?_(\w+)")
BYTES = {"dword": 4, "dwordx2": 8, "dwordx3": 12, "dwordx4": 16, "b32": 4, "b64": 8, "b96": 12, "b128": 16}


def blocks(text):
    """The basic blocks: their number and their instructions."""
    found = [(-1, [])]
    for line in text.splitlines():
        line = line.split(";")[0].strip()
        if label := re.match(r"BB(\d+):", line):
            found.append((int(label.group(1)), []))
        elif re.match(r"[a-z]\w*", line):
            found[-1][1].append(line)
    return found


def loops(text):
    """The instructions of every loop, from the target of a backward branch to the last such branch."""
    all_blocks = blocks(text)
    place = {number: i for i, (number, _) in enumerate(all_blocks)}
    ends = {}
    for i, (_, instructions) in enumerate(all_blocks):
        for instruction in instructions:
            target = re.match(r"s_c?branch\w*\s+BB(\d+)", instruction)
            if target and place[int(target.group(1))] <= i:
                ends[place[int(target.group(1))]] = i
    return [[s for _, block in all_blocks[begin : end + 1] for s in block] for begin, end in ends.items()]


def multiply_adds(instructions):
    return sum(len(MULTIPLY_ADD.findall(s)) for s in instructions)


def main():
    weights = int(sys.argv[1])
    for path in sys.argv[2:]:
        with open(path, encoding="utf-8", errors="replace") as file:
            loop = max(loops(file.read()), key=lambda body: (multiply_adds(body), -len(body)))
        loads = [BYTES.get(m.group(1), 0) for s in loop if (m := LOAD.match(s))]
        widths = " + ".join(f"{loads.count(width)} x {width} B" for width in sorted(set(loads), reverse=True))
        print(
            f"{path}: {len(loop)} instructions, {multiply_adds(loop)} multiply-adds; a weight: {len(loop) / weights:.2f} "
            f"instructions, {len(loads) / weights:.3f} loads ({widths})"
        )


if __name__ == "__main__":
    main()
