"""`longtail export RUN`: a trained run for other programs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from longtail.cli.parsing import Parser
from longtail.cli.trained import about, add_priors, add_run, load_adjusted, notice_adjustment

FORMATS = {"onnx": ".onnx", "torch": ".pt2", "safetensors": ".safetensors"}
"""What can be written, and what its files end in."""
_EXAMPLES = """\
examples:
  longtail export runs/mine --format onnx --out model.onnx
  longtail export runs/mine --format onnx --target-prior uniform
  longtail export runs/mine --format safetensors --which last"""


def add_parser(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "export",
        help="write a trained run as ONNX, as a PyTorch program, or as weights",
        description="Write the network of a run of `longtail train` for other programs, and beside it a JSON file with class "
        "names, image size, normalisation and whatever else they must know. Networks take normalised images (batch, 3, size, "
        "size), any number at a time, and are compared with PyTorch before anything is written.",
        epilog=_EXAMPLES,
    )
    add_run(parser)
    parser.add_argument(
        "--format",
        required=True,
        choices=tuple(FORMATS),
        help="onnx; torch, a program of torch.export, which needs PyTorch but not longtail; safetensors, the weights alone",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="file to write (default: model.onnx, .pt2 or .safetensors in RUN)"
    )
    parser.add_argument("--force", action="store_true", help="replace files that are there")
    add_priors(parser, "logits")
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Write the files and say where they are."""
    from longtail.training.exporting import export_run

    file = arguments.out or Path(arguments.run_folder) / f"model{FORMATS[arguments.format]}"
    trained = load_adjusted(arguments, "cpu")
    notice_adjustment(trained)
    written = export_run(trained, arguments.format, file.expanduser(), force=arguments.force)
    size = written.file.stat().st_size
    if arguments.json:
        told = {"file": str(written.file), "sidecar": str(written.sidecar), "bytes": size, "difference": written.difference}
        print(json.dumps({"format": 1, "form": arguments.format, **about(trained), **told}, indent=2))
        return
    what = "weights" if arguments.format == "safetensors" else "network"
    print(f"{what} of epoch {trained.epoch}: {written.file} ({size / 1e6:.1f} MB)")
    print(f"how to use it: {written.sidecar}")
    if what == "network":
        print(f"compared with PyTorch: logits differ by at most {written.difference:.2g}")
