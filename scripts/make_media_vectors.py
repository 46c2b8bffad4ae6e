"""Writes tests/data/media: small picture and sound files, and what other programs make of them.

Needs numpy, pillow, opencv-python-headless, soundfile and transformers (no torch). The expected values come from Pillow, OpenCV,
libsndfile (which holds libFLAC, libvorbis and mpg123), numpy and transformers; nothing here is computed by the crate under test.
Run it from the root of the repository. Two files differ with every run: libsndfile writes the time into float.wav and a random
number into stereo.ogg.
"""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import soundfile as sf
from PIL import Image, ImageDraw
from transformers import WhisperFeatureExtractor
from transformers.audio_utils import mel_filter_bank

OUT = Path("tests/data/media")


def wave(a):
    """A triangle wave between 0 and 255 with period 510."""
    return np.abs(np.asarray(a) % 510 - 255)


def pattern(width, height):
    """The test picture, `pattern` of tests/media/image.rs: whole numbers only, smooth with a few folds."""
    y, x = np.mgrid[0:height, 0:width].astype(np.int64)
    return np.stack([wave(6 * x + 2 * y), wave(x * y // 3), wave(9 * y + x * x // 8)], axis=-1).astype(np.uint8)


def noise(n):
    """The test sound, `noise` of tests/media/spectrum.rs: a linear congruential generator, 16 bits of each state, -0.5 to 0.5."""
    state, out = 1, np.empty(n)
    for i in range(n):
        state = (state * 1103515245 + 12345) % 2**31
        out[i] = (state // 256 % 65536) / 65536 - 0.5
    return out.astype(np.float32)


def numbers(values):
    rounded = [float(f"{v:.7g}") for v in np.asarray(values, dtype=np.float64).ravel()]
    return [int(v) if v == int(v) else v for v in rounded]


def sampled(values, count=96):
    """Some values of a large array, spread by a stride that shares no factor with common sizes; `worst` of support.rs reads them."""
    flat = np.asarray(values).ravel()
    index = [(i * 7919 + 13) % flat.size for i in range(count)]
    return {"shape": list(np.shape(values)), "values": numbers(flat[index])}


def pictures():
    truth = {}
    small = Image.fromarray(pattern(40, 30))
    files = {
        "rgb.png": dict(optimize=True),
        "chroma444.jpg": dict(quality=90, subsampling=0),
        "chroma420.jpg": dict(quality=90, subsampling=2),
        "progressive.jpg": dict(quality=90, subsampling=0, progressive=True),
        "lossless.webp": dict(lossless=True),
        "lossy.webp": dict(quality=80),
    }
    for name, options in files.items():
        small.save(OUT / name, **options)
    small.convert("L").save(OUT / "grey.png", optimize=True)
    small.quantize(16).save(OUT / "palette.png", optimize=True)
    exif = Image.Exif()
    exif[0x112] = 6  # to be turned by 90 degrees clockwise
    small.save(OUT / "turned.jpg", quality=90, subsampling=0, exif=exif)
    alpha = small.convert("RGBA")
    alpha.putalpha(Image.fromarray(wave(7 * np.arange(40 * 30).reshape(30, 40)).astype(np.uint8)))
    alpha.save(OUT / "alpha.png", optimize=True)

    decoded = {}
    for path in sorted(OUT.iterdir()):
        if path.suffix in (".png", ".jpg", ".webp"):
            image = Image.open(path)
            if path.name == "turned.jpg":
                image = image.transpose(Image.Transpose.ROTATE_270)
            if path.name == "alpha.png":
                white = Image.new("RGBA", image.size, (255, 255, 255, 255))
                image = Image.alpha_composite(white, image)
            decoded[path.name] = sampled(np.array(image.convert("RGB")), 200)
    truth["decoded"] = decoded

    source = pattern(97, 61)
    pillow = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC, "lanczos": Image.LANCZOS}
    resized = []
    for width, height in [(40, 25), (150, 100), (97, 20), (13, 90)]:
        for name, filter in pillow.items():
            image = Image.fromarray(source).resize((width, height), filter)
            resized.append({"filter": name, "size": [width, height], **sampled(np.array(image), 150)})
        for name, filter in {"linear": cv2.INTER_LINEAR, "area": cv2.INTER_AREA}.items():
            image = cv2.resize(source, (width, height), interpolation=filter)
            resized.append({"filter": name, "size": [width, height], **sampled(image, 150)})
    truth["resized"] = resized
    truth["quads"] = quads(source)
    truth["presets"] = presets()
    return truth


def quads(source):
    out = []
    for quad in [
        [[10, 8], [80, 8], [80, 40], [10, 40]],
        [[20.5, 5.25], [90, 20], [84, 52.75], [12, 35]],
        [[70, 50], [20, 45], [25, 10], [75, 15]],
        [[-10, -5], [60, 0], [110, 70], [0, 55]],
    ]:
        p = np.array(quad, dtype=np.float64)
        side = lambda a, b: np.linalg.norm(p[a] - p[b])
        width, height = int(max(side(0, 1), side(2, 3))), int(max(side(0, 3), side(1, 2)))
        # Eight equations for the eight numbers of the projection from the result to the picture.
        rows, right = [], []
        for (u, v), (x, y) in zip([(0, 0), (width, 0), (width, height), (0, height)], p):
            rows += [[u, v, 1, 0, 0, 0, -u * x, -v * x], [0, 0, 0, u, v, 1, -u * y, -v * y]]
            right += [x, y]
        m = np.append(np.linalg.solve(np.array(rows, dtype=np.float64), right), 1).reshape(3, 3)
        v, u = np.mgrid[0:height, 0:width]
        x, y, w = np.einsum("ij,jhw->ihw", m, np.stack([u, v, np.ones_like(u)]).astype(np.float64))
        x, y = (np.clip(a / w, 0, size - 1) for a, size in ((x, source.shape[1]), (y, source.shape[0])))
        x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
        x1, y1 = np.minimum(x0 + 1, source.shape[1] - 1), np.minimum(y0 + 1, source.shape[0] - 1)
        fx, fy = (x - x0)[..., None], (y - y0)[..., None]
        s = source.astype(np.float64)
        top = s[y0, x0] * (1 - fx) + s[y0, x1] * fx
        bottom = s[y1, x0] * (1 - fx) + s[y1, x1] * fx
        exact = sampled(np.rint(top * (1 - fy) + bottom * fy), 150)
        # OpenCV's own warp, which is what PaddleOCR's crops are trained behind; it rounds positions to 1/32 of a pixel.
        warped = cv2.warpPerspective(
            source, np.linalg.inv(m), (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        out.append({"quad": quad, **exact, "opencv": sampled(warped, 150)["values"]})
    return out


def presets():
    imagenet = lambda rgb: (rgb.astype(np.float32) / 255 - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
    signed = lambda rgb: (rgb[..., ::-1].astype(np.float32) / 255 - 0.5) / 0.5
    planes = lambda hwc: np.ascontiguousarray(hwc.transpose(2, 0, 1))[None]
    out = []
    for width, height in [(400, 301), (90, 250), (31, 47)]:
        rgb = pattern(width, height)
        image = Image.fromarray(rgb)
        truth = {}

        short, long = min(width, height), max(width, height)
        size = (256, 256 * long // short) if width <= height else (256 * long // short, 256)
        resized = image.resize(size, Image.BILINEAR)
        left, top = round((size[0] - 224) / 2), round((size[1] - 224) / 2)
        truth["imagenet"] = planes(imagenet(np.array(resized.crop((left, top, left + 224, top + 224)))))
        truth["imagenet-224-square"] = planes(imagenet(np.array(image.resize((224, 224), Image.BILINEAR))))

        ratio = 736 / short if short < 736 else 1.0
        h, w = (int(round(int(side * ratio) / 32) * 32) for side in (height, width))
        truth["paddleocr-det"] = planes(signed(cv2.resize(rgb, (w, h))))

        for name, least, grows in [("paddleocr-rec", 320, True), ("paddleocr-cls", 192, False)]:
            columns = int(48 * max(least / 48, width / height)) if grows else least
            w = min(math.ceil(48 * (width / height)), columns)
            canvas = np.zeros((48, columns, 3), dtype=np.float32)
            canvas[:, :w] = signed(cv2.resize(rgb, (w, 48)))
            truth[name] = planes(canvas)

        scale = 224 / long
        w, h = round(width * scale), round(height * scale)
        canvas = np.zeros((224, 224, 3), dtype=np.uint8)
        left, top = (224 - w) // 2, (224 - h) // 2
        canvas[top : top + h, left : left + w] = cv2.resize(rgb, (w, h), interpolation=cv2.INTER_AREA)
        truth["vit-focus"] = planes(imagenet(canvas))

        truth["unit"] = planes(rgb.astype(np.float32) / 255)
        out += [{"preset": name, "size": [width, height], **sampled(value)} for name, value in truth.items()]
    return out


def sounds():
    rate, n = 8000, 2000
    t = np.arange(n) / rate
    envelope = np.sin(np.pi * np.arange(n) / n) ** 2
    left = 0.5 * envelope * np.sin(2 * np.pi * 440 * t)
    right = 0.3 * envelope * np.sin(2 * np.pi * (300 + 800 * t) * t) + 0.05 * envelope
    stereo = np.stack([left, right], axis=1)
    files = {
        "int16.wav": ("WAV", "PCM_16"),
        "int24.wav": ("WAV", "PCM_24"),
        "float.wav": ("WAV", "FLOAT"),
        "stereo.flac": ("FLAC", "PCM_16"),
        "stereo.ogg": ("OGG", "VORBIS"),
        "stereo.mp3": ("MP3", "MPEG_LAYER_III"),
    }
    decoded = {}
    for name, (format, subtype) in files.items():
        sf.write(OUT / name, stereo[:600] if name in ("int24.wav", "float.wav") else stereo, rate, subtype, format=format)
        samples, read_rate = sf.read(OUT / name, dtype="float32", always_2d=True)
        decoded[name] = {"rate": read_rate, **sampled(samples.T, 150)}
    return decoded


def spectra():
    def hann(n):
        return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)

    out = []
    for n_fft, hop, padding, samples in [(400, 160, "reflect", 3000), (512, 128, "zeros", 2000), (25, 10, "none", 700)]:
        x = noise(samples).astype(np.float64)
        if padding != "none":
            x = np.pad(x, n_fft // 2, mode="reflect" if padding == "reflect" else "constant")
        frames = (len(x) - n_fft) // hop + 1
        spectrum = np.stack([np.fft.rfft(x[t * hop : t * hop + n_fft] * hann(n_fft)) for t in range(frames)])
        out.append(
            {
                "n_fft": n_fft,
                "hop": hop,
                "padding": padding,
                "samples": samples,
                "real": sampled(spectrum.real),
                "imag": sampled(spectrum.imag),
                "power": sampled(np.abs(spectrum) ** 2),
            }
        )
    return out


def banks():
    out = []
    for rate, n_fft, bands, low, high in [(16000, 400, 80, 0.0, 8000.0), (22050, 1024, 40, 50.0, 10000.0)]:
        for scale in ["slaney", "htk"]:
            for norm in [None, "slaney"]:
                bank = mel_filter_bank(n_fft // 2 + 1, bands, low, high, rate, norm=norm, mel_scale=scale).T
                out.append(
                    {"rate": rate, "n_fft": n_fft, "bands": bands, "range": [low, high], "scale": scale}
                    | {"area": norm is not None, **sampled(bank, 200), "sums": numbers(bank.sum(axis=1))}
                )
    return out


def whisper():
    out = []
    for bands, samples in [(80, 24000), (128, 5000)]:
        extractor = WhisperFeatureExtractor(feature_size=bands)
        # A loud first half and a quiet second one, so that the floor at 8 below the maximum is reached in the silence only.
        x = noise(samples)
        x[samples // 2 :] /= 1024
        features = extractor(x, sampling_rate=16000, return_tensors="np", device="cpu")["input_features"][0]
        out.append({"bands": bands, "samples": samples, **sampled(features[:, : samples // 160 + 40], 200)})
    return out


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "pictures.json").write_text(json.dumps(pictures(), separators=(",", ":")) + "\n")
    sound = {"decoded": sounds(), "spectra": spectra(), "banks": banks(), "whisper": whisper()}
    (OUT / "sounds.json").write_text(json.dumps(sound, separators=(",", ":")) + "\n")


main()
