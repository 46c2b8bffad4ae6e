#!/usr/bin/env python3
"""Writes tests/data/onnx/pipelines.json: what the packages that carry the models make of the committed files, end to end.

    pip install rapidocr==3.10.0 onnxruntime==1.32.0 opencv-python-headless==5.0.0.93 magika==1.0.3
    pip install --no-deps silero-vad==6.2.3
    python scripts/make_pipeline_goldens.py

Text boxes are pixels of the image, corners clockwise from the top left; speech is in samples at 16 kHz. A box may be off by
a pixel or two elsewhere: it is rounded after contours, a smallest rectangle and an offset polygon.
"""

import json
import os
import sys
import wave
from pathlib import Path
from unittest.mock import MagicMock

import cv2
import magika
import numpy as np
import onnxruntime
import rapidocr

# silero-vad imports torch, of which the functions used here need nothing.
sys.modules.setdefault("torch", MagicMock())
import silero_vad
from silero_vad.sequence_vad import SileroVADSequence, get_speech_timestamps_sequence

FOLDER = Path(os.environ.get("WAVELANE_GOLDENS", Path(__file__).parent.parent / "tests" / "data" / "onnx" / "goldens"))


def read(engine: rapidocr.RapidOCR, name: str) -> dict:
    """The lines of a page, after each stage."""
    whole = engine(FOLDER / name)
    image = engine.load_img(FOLDER / name)
    found = engine.text_det(image)
    crops = engine.crop_text_regions(image, found.boxes)
    turned = engine.text_cls(crops)
    lines = []
    for number, (box, text, score) in enumerate(zip(whole.boxes, whole.txts, whole.scores)):
        assert np.array_equal(box, found.boxes[number]), "a line was dropped or moved"
        label, certainty = turned.cls_res[number]
        lines.append(
            {
                "box": box.astype(int).tolist(),
                "box_score": round(float(found.scores[number]), 4),
                "crop": [crops[number].shape[1], crops[number].shape[0]],
                "turned": label,
                "turned_score": round(float(certainty), 4),
                "text": text,
                "text_score": round(float(score), 4),
            }
        )
    return {"file": name, "detector_input": list(engine.text_det.preprocess_op(image).shape), "lines": lines}


def speech(name: str) -> dict:
    with wave.open(str(FOLDER / name)) as sound:
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2").astype(np.float32) / np.float32(32768)
    model = SileroVADSequence(Path(silero_vad.__file__).parent / "data" / "silero_vad_16k_sequence.onnx")
    probabilities = model.audio_forward(samples)
    spoken = get_speech_timestamps_sequence(samples, model)
    return {"file": name, "speech": spoken, "probabilities": [round(float(p), 5) for p in probabilities]}


def kind(classifier: magika.Magika, name: str) -> dict:
    result = classifier.identify_path(FOLDER / name)
    return {"file": name, "label": str(result.output.label), "score": round(float(result.score), 5)}


def main() -> None:
    engine = rapidocr.RapidOCR(params={"Global.log_level": "error"})
    classifier = magika.Magika()
    versions = {"onnxruntime": onnxruntime.__version__, "opencv": cv2.__version__}
    files = ["sample.py", "page_one.png", "speech.wav"]
    golden = {
        "versions": versions | {"rapidocr": "3.10.0", "silero-vad": "6.2.3", "magika": magika.__version__},
        "text": [read(engine, name) for name in ["page_one.png", "page_two.png"]],
        "speech": [speech("speech.wav")],
        "file_types": [kind(classifier, name) for name in files],
    }
    (FOLDER / "pipelines.json").write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n")
    print(json.dumps(golden, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
