"""One training run of the `longtail` command: a method on a data set, in a run folder of its own."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from longtail.backbones import Backbone, begin_with, create_backbone
from longtail.datasets.base import LongTailData
from longtail.datasets.defaults import TEST_FRACTION
from longtail.datasets.factory import create_data, is_own
from longtail.datasets.own import own_name
from longtail.distributed import ranks
from longtail.errors import UserError
from longtail.metrics import ShotThresholds, adapted_thresholds
from longtail.names import LONG_TAILED_BY_RULE
from longtail.training.checkpoint import read_weights
from longtail.training.execute import Plan, execute
from longtail.training.method import Method
from longtail.training.reports import Listener
from longtail.training.run_folder import Run
from longtail.training.runtime import RuntimeOptions

_LONGEST_NAME = 150
"""Characters of a run's name; file systems take 255 bytes."""


@dataclass(frozen=True)
class Source:
    """Which long-tailed data set; the arguments of `create_data`.

    Args:
        data: its name, or the whole path of a folder or table of one's own.
        imbalance_factor, profile, split_seed: how it was made long-tailed, if it is not so by itself.
        image_size: side in pixels that images in files are brought to; None for the data set's own.
        test_fraction: part of each class that is tested on, of one's own data without test images; drawn with `split_seed`.
    """

    data: str = "digits"
    imbalance_factor: float = 0.01
    profile: str = "exp"
    split_seed: int | None = 0
    image_size: int | None = None
    test_fraction: float = TEST_FRACTION

    @property
    def label(self) -> str:
        """What people call it."""
        return own_name(self.data) if self.is_own else self.data

    @property
    def is_own(self) -> bool:
        """Whether it is somebody's own data, given by their path."""
        return is_own(self.data)

    @property
    def is_cut(self) -> bool:
        """Whether the long tail is cut from a balanced set, by a rule."""
        return self.data in LONG_TAILED_BY_RULE

    @property
    def default_backbone(self) -> str:
        """The network that papers train on such data."""
        return "resnet32" if self.is_cut else "resnet50"

    @property
    def usual_selection(self) -> str:
        """What chooses the best epoch unless it is asked for: the papers chose on their test sets, nobody else should."""
        return "val" if self.is_own else "test"

    def load(self, root: str, runtime: RuntimeOptions) -> LongTailData:
        """The data set, with images held out where the run selects on those."""
        return create_data(
            self.data,
            root=root,
            imbalance_factor=self.imbalance_factor,
            profile=self.profile,
            split_seed=self.split_seed,
            holdout=runtime.val_fraction if runtime.select == "val" else None,
            image_size=self.image_size,
            on_bad_image=runtime.on_bad_image,
            test_fraction=self.test_fraction,
        )

    def identity(self) -> dict[str, Any]:
        """What must agree for two runs to be on the same data, as far as it was asked for."""
        without = ("imbalance_factor", "profile") if self.is_own else ("test_fraction",)
        return {name: value for name, value in asdict(self).items() if name not in without}


@dataclass(frozen=True)
class Job:
    """What is to be trained, and how.

    Args:
        method: the algorithm.
        options: its options.
        source: the data set.
        backbone: name of the network.
        seed: training seed.
        runtime: the shared options.
        thresholds: bounds of the shot groups.
        workers: processes of each loader, where images are files.
        adapt: the bounds were not asked for, and are to be those that fit the data.
        pretrained: file of the weights that the network begins with, or None.
    """

    method: Method
    options: Any
    source: Source
    backbone: str
    seed: int
    runtime: RuntimeOptions
    thresholds: ShotThresholds
    workers: int = 4
    adapt: bool = False
    pretrained: str | None = None

    def fitted(self, data: LongTailData) -> Job:
        """The job with the shot groups that it will go by on its data."""
        return replace(self, thresholds=adapted_thresholds(data.class_counts)) if self.adapt else self

    def identity(self) -> dict[str, Any]:
        """What must agree, besides what `execute` compares, for one run to be the continuation of another."""
        thresholds = {f"shots_{name}": value for name, value in asdict(self.thresholds).items()}
        begun = {} if self.pretrained is None else {"pretrained": str(Path(self.pretrained).resolve())}
        return {
            **begun,
            "method": self.method.name,
            "backbone": self.backbone,
            **self.source.identity(),
            **thresholds,
            **asdict(self.options),
        }

    def model(self) -> dict[str, Any]:
        """What `load_run` makes the network from."""
        return {"method": self.method.name, "options": asdict(self.options), "backbone": self.backbone}

    def name(self, shared: Collection[str]) -> str:
        """The run's readable name: data set, method, loss, whatever is not at its default, and the seed.

        Args:
            shared: the shared options that belong to a run's identity, by name.
        """
        source = self.source
        parts = [source.label, *_cut(source), f"{source.image_size}px" if source.image_size else ""]
        parts += [self.backbone if self.backbone != source.default_backbone else "", self.method.name]
        parts += ["" if self.pretrained is None else f"from_{Path(self.pretrained).stem}"]
        parts += _not_default(self.options)
        parts += _not_default(self.runtime, only=shared, usual={"select": source.usual_selection})
        usual = self.adapt or self.thresholds == ShotThresholds()
        parts += ["" if usual else f"shots{self.thresholds.many}_{self.thresholds.few}"]
        return _file_name([*filter(None, parts), f"seed{self.seed}"])


def _cut(source: Source) -> list[str]:
    """How the data set was made long-tailed, or its test images were drawn."""
    if source.is_own:
        fraction = f"test{source.test_fraction:g}" if source.test_fraction != TEST_FRACTION else ""
        return [fraction, f"split{source.split_seed}" if source.split_seed else ""]
    if not source.is_cut:
        return []
    factor = f"if{source.imbalance_factor:g}" if source.profile != "balanced" else ""
    profile = source.profile if source.profile != "exp" else ""
    split = "firsts" if source.split_seed is None else f"split{source.split_seed}" if source.split_seed else ""
    return [factor, profile, split]


def _not_default(options: Any, only: Collection[str] | None = None, usual: Mapping[str, Any] | None = None) -> list[str]:
    """The options that differ from what is usual, else from their defaults, as short texts; a loss is always told."""
    told = []
    for each in fields(options):
        value, default = getattr(options, each.name), (usual or {}).get(each.name, each.default)
        if only is not None and each.name not in only:
            continue
        if each.name.startswith("loss"):
            told.append(str(value))
        elif value != default and isinstance(value, bool):
            told.append(each.name if value else f"no_{each.name}")
        elif value != default:
            told.append(f"{each.name}_{value}" if isinstance(value, str) else f"{each.name}{value}")
    return told


def _file_name(parts: Sequence[str]) -> str:
    name = re.sub(r"[^\w.+-]", "_", "-".join(parts))
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[:_LONGEST_NAME]}-{hashlib.blake2b(name.encode(), digest_size=4).hexdigest()}-{parts[-1]}"


class _Continued(Run):
    def can_continue(self) -> bool:
        return self.is_there()


def continue_or_begin(folder: Path, name: str, identity: Mapping[str, Any]) -> Run:  # noqa: ARG001 - the name is for `open_run`
    """A run in this folder: the one that is there if it had the same settings, else a new one, which sets that aside."""
    return _Continued(folder, folder, identity=identity)


def make_network(job: Job, data: LongTailData, head: str) -> Backbone:
    """The job's network with the named head, with the weights that it begins with.

    Raises:
        UserError: there are no such weights, or none of them fits.
    """
    network = create_backbone(job.backbone, num_classes=data.num_classes, head=head, seed=job.seed, image_size=data.image_size)
    if job.pretrained is not None:
        path = Path(job.pretrained)
        try:
            loaded = begin_with(network, read_weights(path))
        except UserError as error:
            raise UserError(f"--pretrained {path}: {error}") from error
        lacking = [*loaded.missing, *loaded.misshapen]
        if lacking and ranks().is_first:
            print(f"notice: {path} lacks {len(lacking)} arrays of {job.backbone}, such as {lacking[0]}", file=sys.stderr)
    return network


def run_job(
    job: Job,
    data: LongTailData,
    open_run: Callable[[str, Mapping[str, Any]], Run],
    listeners: Callable[[Run], Sequence[Listener]],
    *,
    log_interval: int = 50,
) -> tuple[Run, dict[str, Any]]:
    """Carry out a job.

    Args:
        job: what to train.
        data: the job's data set.
        open_run: makes the run from the job's name and from what identifies it.
        listeners: makes those who are told about progress.
        log_interval: batches between reports to the listeners.

    Returns:
        The run, and the results of `execute`.
    """
    job = job.fitted(data)
    opened: list[Run] = []

    def open_named(shared: Mapping[str, Any]) -> Run:
        opened.append(open_run(job.name(shared), {**shared, **job.identity()}))
        return opened[0]

    plan = Plan(
        data=data,
        build=lambda setting: job.method.build(
            data,
            lambda head: make_network(job, data, head),
            job.options,
            setting,
        ),
        seed=job.seed,
        batch_size=getattr(job.options, "batch_size", 128),
        runtime=job.runtime,
        thresholds=job.thresholds,
        workers=job.workers,
        model=job.model(),
    )
    results = execute(plan, open_named, listeners, log_interval=log_interval)
    return opened[0], results
