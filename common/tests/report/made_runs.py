"""Runs as training leaves them, with made-up results, and the pages made of them, taken apart."""

import json
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import torch

from longtail.datasets.base import ArrayImages, ImageData
from longtail.metrics import ClassificationCounts, summarise
from longtail.report.html import Predicted, read_run
from longtail.report.html.compared import HEADINGS, Compared, Contender

EVIL = '<script>alert("1")</script> & <b>'
VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """The elements of a page with their attributes; complains where they are not nested."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def predictions(labels, logits, names):
    """What a network with these logits makes of noise with these labels."""
    counts = ClassificationCounts(len(names), confusion_limit=100)
    counts.update(torch.from_numpy(logits), torch.from_numpy(labels))
    probabilities = torch.softmax(torch.from_numpy(logits), dim=1).numpy()
    pixels = np.arange(len(labels) * 12 * 12 * 3).reshape(-1, 12, 12, 3) % 251
    data = ImageData(ArrayImages(pixels.astype(np.uint8)), labels, tuple(names))
    return Predicted(data, "noise", 2, probabilities.argmax(axis=1), probabilities.max(axis=1), counts)


def write_run(
    folder, class_names=("cat", "dog", "emu"), class_counts=(100, 30, 3), epochs=2, seed=0, finished=True, member=None
):
    """A run's folder as training leaves it, with made-up results; returns the run with its predictions."""
    classes = len(class_names)
    rng = np.random.default_rng(seed)
    labels = np.arange(20 * classes) % classes
    logits = 2 * rng.normal(size=(len(labels), classes)).astype(np.float32) + 2 * np.eye(classes, dtype=np.float32)[labels]
    predicted = predictions(labels, logits, class_names)
    result = summarise(predicted.counts, class_counts).to_dict()
    folder.mkdir(parents=True)
    lines = [
        {"epoch": at, "train_loss": 2.0 / (at + 1), "test": result, "val": None, "is_best": at == 0} for at in range(epochs)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    record = {
        "command": "longtail train erm",
        "identity": {"method": "erm", "seed": seed, "select": "test", "shots_many": 50, "shots_few": 20},
        "class_counts": list(class_counts),
        "input": {"class_names": list(class_names)},
        "versions": {"torch": "2.9.0"},
        "finished": finished,
    }
    if finished:
        record["results"] = {"select": "test", "best": {"epoch": 0, **result}, "last": {"epoch": epochs - 1, **result}}
    (folder / "run.json").write_text(json.dumps(record))
    return replace(read_run(folder, member), predicted=predicted)


def compared(methods, baseline="erm"):
    """What a comparison of these methods might have found."""
    contenders = [
        Contender(
            name=each,
            runs=3,
            results=["83.4 ± 12.1"] * len(HEADINGS),
            train_time="71.2 ± 10.3 s",
            differences=None if each == baseline else ["\N{MINUS SIGN}10.2 ± 20.8"] * len(HEADINGS),
            verdict="baseline" if each == baseline else "no difference beyond seed noise (-10.2 ± 20.8 points)",
            failures=[],
        )
        for each in methods
    ]
    return Compared("photos", baseline, contenders, ["Judged after the last epoch: nothing was chosen."], {})
