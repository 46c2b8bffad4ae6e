#!/usr/bin/env python3
"""Makes the files in tests/data/onnx that are fed to models: pages of text, pictures, speech, a chord, a source file.

    pip install numpy pillow
    python scripts/make_onnx_inputs.py

A file that is there is left alone, for all goldens hang on it. Speech needs espeak-ng. Another version of Pillow, or of
espeak-ng, may make other files.
"""

import os
import subprocess
import tempfile
import wave
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

FOLDER = Path(os.environ.get("WAVELANE_GOLDENS", Path(__file__).parent.parent / "tests" / "data" / "onnx" / "goldens"))


def font(size: int) -> ImageFont.FreeTypeFont:
    """The one that Pillow carries, so that no font of the machine matters."""
    return ImageFont.load_default(size=size)


def page_one() -> Image.Image:
    """Three lines, dark on bright; its height is no multiple of 32."""
    page = Image.new("RGB", (640, 360), (244, 240, 228))
    draw = ImageDraw.Draw(page)
    draw.rectangle((0, 0, 639, 23), fill=(52, 84, 128))
    draw.line((40, 126, 600, 126), fill=(190, 180, 160), width=2)
    lines = ["Neural networks on any GPU", "Order 4096: 17 boxes, $38.50", "wave lanes run in step"]
    for row, (text, colour) in enumerate(zip(lines, [(20, 20, 24), (120, 30, 30), (24, 70, 40)])):
        draw.text((40, 48 + 104 * row), text, font=font(36), fill=colour)
    return page


def gradient(size: tuple[int, int], top: tuple, bottom: tuple) -> Image.Image:
    """From one colour to another, downwards."""
    down = np.linspace(0, 1, size[1])[:, None]
    rows = (np.array(top) + (np.array(bottom) - np.array(top)) * down).round().astype(np.uint8)
    return Image.fromarray(np.repeat(rows[:, None], size[0], axis=1))


def page_two() -> Image.Image:
    """Bright on dark: a straight line, one upside down, a slanted one."""
    page = gradient((448, 300), (28, 48, 96), (96, 64, 112))

    def write(text: str, size: int, colour: tuple, angle: float, at: tuple[int, int]) -> None:
        line = Image.new("L", (440, size * 2))
        ImageDraw.Draw(line).text((8, size // 2 - 4), text, font=font(size), fill=255)
        line = line.rotate(angle, resample=Image.Resampling.BICUBIC, expand=True)
        page.paste(Image.new("RGB", line.size, colour), at, line)

    write("Platform 9 to London", 34, (255, 255, 255), 0, (24, 12))
    write("doors open at 18:45", 30, (255, 220, 120), 180, (-60, 96))
    write("mind the gap", 38, (180, 240, 220), 6, (70, 160))
    return page


def scenes() -> Image.Image:
    """Two pictures of 224 x 224 side by side: a ball on a lawn, a flower at night. Drawn large and reduced, for soft edges."""
    big = Image.new("RGB", (1792, 896))
    big.paste(gradient((896, 500), (110, 170, 230), (210, 230, 245)), (0, 0))
    big.paste(gradient((896, 396), (90, 150, 60), (40, 100, 40)), (0, 500))
    big.paste(gradient((896, 896), (10, 12, 30), (30, 26, 50)), (896, 0))
    draw = ImageDraw.Draw(big)
    draw.ellipse((500, 420, 780, 700), fill=(210, 40, 40))
    draw.ellipse((560, 470, 640, 550), fill=(250, 150, 140))
    draw.polygon([(80, 500), (80, 340), (190, 250), (300, 340), (300, 500)], fill=(150, 120, 100))
    draw.line((1240, 420, 1280, 880), fill=(60, 120, 60), width=24)
    for turn in np.arange(8) * np.pi / 4:
        x, y = 1240 + 130 * np.cos(turn), 380 + 130 * np.sin(turn)
        draw.ellipse((x - 75, y - 75, x + 75, y + 75), fill=(240, 190, 220))
    draw.ellipse((1170, 310, 1310, 450), fill=(250, 210, 60))
    return big.resize((448, 224), Image.Resampling.BOX)


def write_wav(path: Path, samples: np.ndarray, rate: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes((samples * 32767).round().astype("<i2").tobytes())


def resample(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """By cutting the spectrum of the whole."""
    count = len(samples) * new_rate // rate
    return np.fft.irfft(np.fft.rfft(samples)[: count // 2 + 1], count) * (count / len(samples))


def speech(path: Path) -> None:
    """Two phrases of synthetic speech with silence around them: 3 s at 16 kHz."""
    whole, at = np.zeros(48_000), 5_600
    for text in ["Hello from the graphics card.", "One, two."]:
        with tempfile.NamedTemporaryFile(suffix=".wav") as file:
            subprocess.run(["espeak-ng", "-v", "en-us", "-s", "185", "-w", file.name, text], check=True)
            with wave.open(file.name) as said:
                heard = np.frombuffer(said.readframes(said.getnframes()), "<i2") / 32768
                heard = resample(heard, said.getframerate(), 16_000)
        loud = np.flatnonzero(np.abs(heard) > 0.004)
        heard = heard[loud[0] : loud[-1] + 1]
        whole[at : at + len(heard)] = heard[: len(whole) - at]
        at += len(heard) + 6_400
    write_wav(path, whole, 16_000)


def chord(path: Path) -> None:
    """Four plucked notes, one after another and ringing on, over a little noise: one window of basic-pitch at 22,050 Hz."""
    rate, whole = 22_050, np.random.default_rng(5).normal(0, 1e-3, 43_844)
    for number, pitch in enumerate([57, 61, 64, 69]):
        seconds = np.arange(len(whole) - number * 8_000) / rate
        partials = sum(np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * n * seconds) / n**1.5 for n in range(1, 7))
        whole[number * 8_000 :] += 0.15 * partials * np.exp(-1.5 * seconds) * np.minimum(seconds * 200, 1)
    write_wav(path, whole, rate)


SOURCE = '''

def collatz(number):
    """Counts the steps until a number reaches one."""
    steps = 0
    while number != 1:
        number = number // 2 if number % 2 == 0 else 3 * number + 1
        steps += 1
    return steps


if __name__ == "__main__":
    for start in range(1, 30):
        print(f"{start}: {collatz(start)}")

'''


def main() -> None:
    makers = {
        "page_one.png": lambda path: page_one().save(path, optimize=True),
        "page_two.png": lambda path: page_two().save(path, optimize=True),
        "scenes.png": lambda path: scenes().save(path, optimize=True),
        "speech.wav": speech,
        "chord.wav": chord,
        "sample.py": lambda path: path.write_text(SOURCE),
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, make in makers.items():
        if not (FOLDER / name).exists():
            make(FOLDER / name)


if __name__ == "__main__":
    main()
