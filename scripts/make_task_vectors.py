#!/usr/bin/env python3
"""Makes tests/data/tasks/page_three.png, a page whose text tests/tasks.rs knows: two columns, and a line that stands on its side.

    pip install pillow
    python scripts/make_task_vectors.py

Another version of Pillow may draw other pixels.
"""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

FOLDER = Path(__file__).parent.parent / "tests" / "data" / "tasks"


def write(page: Image.Image, text: str, size: int, colour: tuple, at: tuple[int, int], angle: int = 0) -> None:
    # The font that Pillow carries, so that no font of the machine matters.
    font = ImageFont.load_default(size=size)
    left, top, right, bottom = font.getbbox(text)
    line = Image.new("L", (right - left + 8, bottom - top + 8))
    ImageDraw.Draw(line).text((4 - left, 4 - top), text, font=font, fill=255)
    line = line.rotate(angle, expand=True)
    page.paste(Image.new("RGB", line.size, colour), at, line)


def main() -> None:
    page = Image.new("RGB", (560, 300), (250, 250, 246))
    write(page, "Tide table", 34, (20, 40, 90), (90, 20))
    write(page, "high water 04:12", 28, (30, 30, 30), (90, 110))
    write(page, "5.8 m", 28, (140, 30, 30), (400, 110))
    write(page, "low water 10:37", 28, (30, 30, 30), (90, 200))
    write(page, "0.9 m", 28, (140, 30, 30), (400, 200))
    write(page, "Harbour office", 28, (40, 100, 60), (24, 50), 90)
    FOLDER.mkdir(parents=True, exist_ok=True)
    page.save(FOLDER / "page_three.png", optimize=True)


if __name__ == "__main__":
    main()
