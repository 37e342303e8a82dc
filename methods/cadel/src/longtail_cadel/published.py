"""What was published about CADEL, and the commands for it."""

from __future__ import annotations

from functools import partial

from longtail.training.published import TEST, Command, Published
from longtail_cadel import stage_two, training
from longtail_cadel.experiments import SCRIPTS
from longtail_cadel.flags import create_parser

_README = "README of the original repository"
_VAL = "the best epoch on the validation list, as in the code"
_TEST = f"{TEST}, as in the code"
_OURS_STAGE_ONE = "the authors have published the configuration of stage two alone"
_UNKNOWN = "heads, tau and seeds of the published figure: unknown"
_CONFIG = f"the README gives the script, and the authors' configuration stands in --cfg; {_UNKNOWN}"


def _commands(*lines: str) -> tuple[Command, ...]:
    """A command for each of these scripts with its flags."""
    return tuple(_command(line) for line in lines)


def _command(line: str) -> Command:
    script = SCRIPTS[line.split()[0].removesuffix(".py")]
    start = training.console if script.trains else stage_two.console
    where = frozenset({"data_root", "num_workers", "local_rank"})
    return Command(f"python {line}", partial(start, script), partial(create_parser, script), where)


def _both(kind: str, config: str) -> tuple[Command, ...]:
    """Both stages of a configuration, by the path that its two files share."""
    one, two = (f"--cfg ./config/{config}_stage{stage}.yaml" for stage in (1, 2))
    return _commands(f"main_{kind}.py {one}", f"main_{kind}_PC.py {two}")


def _figures(every: float, many: float, medium: float, few: float) -> dict[str, float]:
    return {"accuracy": every, "many": many, "medium": medium, "few": few}


PUBLISHED = (
    Published(
        "imagenet-lt-resnet50",
        "ResNet-50",
        "ImageNet-LT",
        _README,
        _figures(58.5, 67.5, 55.6, 43.2),
        _VAL,
        _both("CNN", "ImageNet_LT/resnet50"),
        remark=_CONFIG,
    ),
    Published(
        "imagenet-lt-resnext50",
        "ResNeXt-50",
        "ImageNet-LT",
        _README,
        _figures(59.2, 68.8, 55.8, 44.0),
        _VAL,
        obstacle=_OURS_STAGE_ONE,
    ),
    Published(
        "imagenet-lt-vit-224",
        "ViT-B/16, 224 pixels",
        "ImageNet-LT",
        _README,
        _figures(61.7, 70.3, 59.8, 47.5),
        _VAL,
        obstacle=_OURS_STAGE_ONE,
    ),
    Published(
        "imagenet-lt-vit-384",
        "ViT-B/16, 384 pixels",
        "ImageNet-LT",
        _README,
        _figures(64.7, 73.0, 62.2, 50.3),
        _VAL,
        _both("ViT", "ImageNet_LT/ViT_B_16_384"),
        remark=_CONFIG,
    ),
    Published(
        "inat18-resnet50",
        "ResNet-50",
        "iNaturalist 2018",
        _README,
        {"accuracy": 73.5},
        _TEST,
        _commands("main_CNN.py", "main_CNN_PC.py"),
        remark=_UNKNOWN,
    ),
    Published(
        "inat18-vit-224",
        "ViT-B/16, 224 pixels",
        "iNaturalist 2018",
        _README,
        _figures(76.2, 77.7, 76.3, 75.1),
        _TEST,
        _both("ViT", "iNaturalist18/ViT_B_16_224"),
        remark=_CONFIG,
    ),
    Published(
        "inat18-vit-384",
        "ViT-B/16, 384 pixels",
        "iNaturalist 2018",
        _README,
        _figures(82.7, 75.0, 81.8, 85.4),
        _TEST,
        _both("ViT", "iNaturalist18/ViT_B_16_384"),
        remark=_CONFIG,
    ),
    Published(
        "places-lt-resnet152",
        "ResNet-152",
        "Places-LT",
        _README,
        {"accuracy": 41.4},
        _VAL,
        obstacle="the weights that its training begins with were never published",
    ),
    Published(
        "places-lt-vit-224",
        "ViT-B/16, 224 pixels",
        "Places-LT",
        _README,
        _figures(46.6, 46.6, 46.7, 46.5),
        _VAL,
        _commands("main_ViT.py", "main_ViT_PC.py --cfg ./config/Places_LT/ViT_B_16_224_stage2.yaml"),
        remark=_UNKNOWN,
    ),
    Published(
        "places-lt-vit-384",
        "ViT-B/16, 384 pixels",
        "Places-LT",
        _README,
        _figures(47.1, 47.9, 50.2, 38.5),
        _VAL,
        _both("ViT", "Places_LT/ViT_B_16_384"),
        remark=_CONFIG,
    ),
)
