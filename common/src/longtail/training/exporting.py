"""A trained run as a file for other programs, each compared with the network in PyTorch before it is written."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from longtail.errors import UserError
from longtail.loading.framing import CentreCrop
from longtail.randomness import Randomness
from longtail.training.files import demand_writable, write_atomically, write_json
from longtail.training.trained import TrainedRun

INPUT, OUTPUT = "images", "logits"
"""What the input and the output of exported networks are called."""

TOLERANCE = 1e-4
"""Largest difference between the logits of both programs, in parts of the largest logit, and at least absolute."""

_TRACED, _CHECKED = 2, (1, 3)
"""Batch sizes: a batch of one would be taken for a constant."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Args:
        file: the network or its weights.
        sidecar: JSON beside it, on what to show it and how to read its answers.
        difference: the largest between its logits and PyTorch's; 0 for weights, which are the same.
    """

    file: Path
    sidecar: Path
    difference: float


def export_run(run: TrainedRun, form: str, file: Path, *, force: bool = False) -> Exported:
    """Write the network of a run for other programs, and beside it a JSON file with all that they must know.

    Args:
        run: on the CPU.
        form: `onnx`; `torch`, a program of `torch.export`; or `safetensors`, the weights alone.
        file: where to; the other file is called the same with `.json` behind it.
        force: overwrite files that are there.

    Raises:
        UserError: a file is there or cannot be written, a package is missing, or the exported network computes something else.
        ValueError: there is no such form.
    """
    if form not in FORMS:
        raise ValueError(f"exports have the forms {', '.join(FORMS)}, got {form!r}")
    sidecar = file.with_name(f"{file.name}.json")
    demand_writable(file, sidecar, force=force)
    description = describe(run, form)
    content, difference = FORMS[form](run, json.dumps(description))
    write_atomically(file, content)
    write_json(sidecar, description)
    return Exported(file, sidecar, difference)


def describe(run: TrainedRun, form: str) -> dict[str, Any]:
    """What a program must know that uses the network: what to show it, and what its answers mean."""
    framing, size, upright = run.shower.framing, run.image_size, run.record["input"]["upright"]
    return {
        "format": 1,
        "form": form,
        "method": run.method,
        "backbone": run.record["model"]["backbone"],
        "options": run.record["model"]["options"],
        "checkpoint": run.which,
        "epoch": run.epoch,
        "reading": run.reading,
        "class_names": list(run.class_names),
        "class_counts": run.class_counts.tolist(),
        "input": {"name": INPUT, "dtype": "float32", "shape": ["batch", 3, size, size]},
        "output": {"name": OUTPUT, "dtype": "float32", "shape": ["batch", len(run.class_names)]},
        "preprocessing": [
            f"RGB, {'turned as the EXIF orientation says' if upright else 'pixels as they are stored'}",
            *_framed(framing),
            "divide by 255",
            "subtract mean and divide by std, channel by channel",
        ],
        "upright": upright,
        "image_size": size,
        "resize": framing.resize,
        "mean": list(run.mean),
        "std": list(run.std),
        "in_the_network": [] if form == "safetensors" else _after(run),
        "postprocessing": [
            *(_after(run) if form == "safetensors" else []),
            "softmax over the classes gives probabilities",
        ],
        "logit_scale": run.logit_scale,
        "adjustment": None if run.adjustment is None else run.adjustment.to_dict(),
    }


def _framed(framing: CentreCrop) -> list[str]:
    size = framing.size
    resized = f"resize the shorter side to {framing.resize}, bilinear with antialiasing"
    if framing.resize == size:
        resized += f" (nothing happens to {size} x {size} pixels)"
    return [resized, f"cut out the central {size} x {size}"]


def _after(run: TrainedRun) -> list[str]:
    """What makes logits of the answers of the method's network, step by step."""
    read = [] if run.reading is None else [f"what {run.method} calls {run.reading}"]
    scaled = ["multiply by logit_scale"] if run.logit_scale != 1 else []
    return read + scaled + (["add log target_shares - log source_shares of adjustment"] if run.adjustment is not None else [])


class _Network(nn.Module):
    """Images to logits, with no parameters but those that predictions need: a teacher, for instance, stays behind."""

    def __init__(self, run: TrainedRun) -> None:
        super().__init__()
        self.backbone = run.recipe.backbone
        # a bound method is no submodule, as the recipe would be
        self._predict = run.predictor
        self._scale = run.logit_scale
        self.shift: Tensor | None
        self.register_buffer("shift", None if run.adjustment is None else run.adjustment.shift.to(run.device))

    def forward(self, images: Tensor) -> Tensor:
        logits = self._predict(images).float()
        logits = logits if self._scale == 1 else logits * self._scale
        return logits if self.shift is None else logits + self.shift


def _program(run: TrainedRun) -> tuple[ExportedProgram, nn.Module]:
    network = _Network(run).to(memory_format=torch.contiguous_format).eval()
    with torch.no_grad(), _quiet():
        program = torch.export.export(
            network, (_some_images(run, _TRACED),), dynamic_shapes={"images": {0: Dim("batch", min=1, max=1 << 16)}}
        )
    return program, network


def _to_torch(run: TrainedRun, description: str) -> tuple[bytes, float]:
    program, network = _program(run)
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={"longtail.json": description})
    with _quiet():
        loaded = torch.export.load(io.BytesIO(buffer.getvalue())).module()
    return buffer.getvalue(), _compared(run, network, loaded)


def _to_onnx(run: TrainedRun, description: str) -> tuple[bytes, float]:
    _demand("onnx", "onnx", "onnxscript", "onnxruntime")
    program, network = _program(run)
    with torch.no_grad(), _quiet():
        made = torch.onnx.export(program, input_names=[INPUT], output_names=[OUTPUT], dynamo=True, verbose=False)
    assert made is not None
    proto = made.model_proto
    entry = proto.metadata_props.add()
    entry.key, entry.value = "longtail", description
    content: bytes = proto.SerializeToString()
    session = import_module("onnxruntime").InferenceSession(content, providers=["CPUExecutionProvider"])
    return content, _compared(run, network, lambda images: torch.from_numpy(session.run([OUTPUT], {INPUT: images.numpy()})[0]))


def _to_safetensors(run: TrainedRun, description: str) -> tuple[bytes, float]:
    _demand("safetensors", "safetensors")
    package = import_module("safetensors.torch")
    weights = {
        name: each.detach().clone(memory_format=torch.contiguous_format)
        for name, each in run.recipe.backbone.state_dict().items()
    }
    content: bytes = package.save(weights, metadata={"longtail": description})
    read = package.load(content)
    if read.keys() != weights.keys() or not all(torch.equal(read[name], each) for name, each in weights.items()):
        raise UserError("the weights read back from safetensors are others; nothing was written")
    return content, 0.0


FORMS: dict[str, Callable[[TrainedRun, str], tuple[bytes, float]]] = {
    "onnx": _to_onnx,
    "torch": _to_torch,
    "safetensors": _to_safetensors,
}
"""Makes the content of the file, and compares it with the network."""


def _demand(form: str, *packages: str) -> None:
    missing = [each for each in packages if find_spec(each) is None]
    if missing:
        raise UserError(
            f"--format {form} needs {', '.join(missing)}: pip install {' '.join(missing)}, or longtail-common with [export]"
        )


def _some_images(run: TrainedRun, count: int) -> Tensor:
    """Noise in place of normalised images: whatever differs between two programs differs on noise."""
    generator = Randomness(0).torch_generator("export", count)
    return torch.randn((count, 3, run.image_size, run.image_size), generator=generator)


def _compared(run: TrainedRun, network: nn.Module, other: Callable[[Tensor], Tensor]) -> float:
    """The largest difference of the logits, at batch sizes that were not traced.

    Raises:
        UserError: it is more than rounding explains.
    """
    largest = 0.0
    for count in _CHECKED:
        images = _some_images(run, count)
        with torch.no_grad():
            expected, got = network(images), other(images)
        difference = _difference(expected, got)
        if not difference <= TOLERANCE * max(1.0, float(expected[expected.isfinite()].abs().max())):
            raise UserError(f"the exported network's logits differ from PyTorch's by up to {difference:g}; nothing was written")
        largest = max(largest, difference)
    return largest


def _difference(expected: Tensor, got: Tensor) -> float:
    """The largest; both are -inf for a class that the adjustment rules out."""
    if expected.shape != got.shape:
        return float("inf")
    return float((expected - got).where(expected != got, 0.0).abs().max())


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporters warn about their own insides, and some versions of them print what they do."""
    names = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")
    before = {name: logging.getLogger(name).level for name in names}
    try:
        for name in names:
            logging.getLogger(name).setLevel(logging.ERROR)
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
