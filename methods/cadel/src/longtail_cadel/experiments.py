"""The paper's scripts, and where its data, networks and checkpoints lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from longtail.errors import UserError


@dataclass(frozen=True)
class Script:
    """What one of the paper's scripts does unless its command line says otherwise.

    Args:
        name: of its file, without the ending.
        cfg: default of `--cfg`.
        stage: 1 trains, 2 corrects the prior of what was trained.
        taus: strengths of the correction that stage two tries.
    """

    name: str
    cfg: str
    stage: int
    taus: tuple[float, ...] = ()

    @property
    def trains(self) -> bool:
        """Whether it is a script of stage one."""
        return self.stage == 1


_CNN = "./config/iNaturalist18/resnet50_stage1.yaml"
_VIT = "./config/Places_LT/ViT_B_16_224_stage1.yaml"
_VIT_TWO = "./config/Places_LT/ViT_B_16_384_stage2.yaml"
CNN_TAUS = (0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5)
VIT_TAUS = (1.3, 1.4, 1.5, 1.6, 1.7, 1.8)
"""What the paper's scripts of stage two try."""

SCRIPTS = {
    each.name: each
    for each in (
        Script("main_CNN", _CNN, 1),
        Script("main_CNN_DDP", _CNN, 1),
        Script("main_ViT", _VIT, 1),
        Script("main_Vit_DDP", _VIT, 1),
        Script("main_CNN_Places365", "./config/Places_LT/resnet152_stage1_places365.yaml", 1),
        Script("main_CNN_PC", "./config/iNaturalist18/resnet50_stage2.yaml", 2, CNN_TAUS),
        Script("main_ViT_PC", _VIT_TWO, 2, VIT_TAUS),
        Script("main_Vit_PC", _VIT_TWO, 2, VIT_TAUS),
        Script("main_CNN_Places365_PC", "./config/Places_LT/resnet152_stage2.yaml", 2, CNN_TAUS[:-1]),
    )
}
"""By name: the README's names and those of the files that the authors published."""


@dataclass(frozen=True)
class DataSet:
    """What the paper's scripts do with a data set.

    Args:
        name: as configurations have it.
        lists: what the core calls its lists.
        jitter: of brightness, contrast and saturation in training.
        has_val: whether there is a validation list besides the one that it is tested on.
    """

    name: str
    lists: str
    jitter: float = 0.4
    has_val: bool = True

    @property
    def folder(self) -> str:
        """Where the paper's code keeps the lists."""
        return f"data/{self.name}"


DATA_SETS = {
    each.name: each
    for each in (
        DataSet("ImageNet_LT", "imagenet-lt"),
        DataSet("Places_LT", "places-lt"),
        DataSet("iNaturalist18", "inat18", jitter=0.0, has_val=False),
    )
}


def data_set(name: str) -> DataSet:
    """The data set that a configuration names.

    Raises:
        UserError: it is none of the paper's.
    """
    if name not in DATA_SETS:
        raise UserError(
            f"training_opt.dataset is {name}; these scripts know {', '.join(DATA_SETS)}, and `longtail train cadel` any other"
        )
    return DATA_SETS[name]


DATA_ROOTS = {
    "ImageNet": "./data/ImageNet_LT/",
    "Places": "./data/Places_LT/",
    "iNaturalist18": "./data/iNaturalist18/",
}
"""Where the images of each data set lie unless `--data_root` tells; the paper's users edit this in its scripts."""


def data_root(dataset: str, given: str | None = None) -> str:
    """The folder with the images of a data set.

    Args:
        dataset: as the configuration calls it, such as `ImageNet_LT`.
        given: `--data_root`.

    Raises:
        UserError: it is none of the paper's data sets, and nothing is given.
    """
    root = given or DATA_ROOTS.get(dataset.rstrip("_LT"))
    if root is None:
        raise UserError(f"where are the images of {dataset}? Only {', '.join(DATA_ROOTS)} have a default; give --data_root")
    return root


_RENAMED = {"resnet152": "resnet152_caffe", "ViTB_16_ensemble_762": "ViTB_16_224"}
"""Folders of stage one that the authors' files for stage two call otherwise."""


def model_dirs(model_dir: str) -> tuple[str, ...]:
    """Where a network of stage one may lie: the folder that a configuration names, then its siblings.

    The authors' files for stage two look in `stage1/`, where their files for stage one write into `models/`.
    """
    path = PurePosixPath(model_dir.removeprefix("./"))
    siblings = {"stage1": "models", "models": "stage1"}
    if path.parent.name not in siblings:
        return (model_dir,)
    names = (path.name, _RENAMED.get(path.name, path.name))
    folder = path.parent.parent / siblings[path.parent.name]
    prefix = "./" if model_dir.startswith("./") else ""
    return (model_dir, *(dict.fromkeys(f"{prefix}{folder / name}" for name in names)))


def pretrained_files(checkpoint: str) -> tuple[str, ...]:
    """Names that a pretrained network's file may have: as the configuration says, then without the space in it."""
    return tuple(dict.fromkeys((checkpoint, checkpoint.replace(" ", ""))))
