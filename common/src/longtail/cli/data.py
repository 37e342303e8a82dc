"""`longtail data`: a look at data sets; small stand-ins to rehearse on; data sets and lists made of others."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from longtail.cli.inspect import add_inspect
from longtail.cli.output import print_json
from longtail.cli.parsing import Parser, split_seed
from longtail.datasets.fake import LAYOUTS
from longtail.datasets.making import KINDS, WITHOUT_IMAGES, WITHOUT_SOURCE
from longtail.training.options import at_least

_EXAMPLES = """\
examples:
  longtail data inspect photos
  longtail data make cifar100-lt --source data --out data/CIFAR100
  longtail data fake --layout cifar100 --out data"""
_FAKE_EXAMPLES = """\
examples:
  longtail data fake --layout cifar100 --out data
  longtail data fake --layout imagenet-lt --out data/ILSVRC
  longtail data fake --layout imagenet-lt --num-classes 10 --largest-class 120 --test-per-class 20 --out fake10"""
_MAKE_EXAMPLES = """\
examples:
  longtail data make cifar100-lt --source data --out data/CIFAR100
  longtail data make lists --source photos --out photos

longtail data make WHAT --help shows the options of one of them."""


def add_parser(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the subcommand and its own subcommands."""
    parser = commands.add_parser(
        "data",
        help="look at images of your own, make long-tailed data sets, or fake ones to rehearse on",
        description="Look at data sets, make long-tailed ones of others, or write small ones to rehearse on.",
        epilog=_EXAMPLES,
    )
    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_inspect(actions)
    _add_fake(actions)
    _add_make(actions)


def _add_fake(actions: argparse._SubParsersAction[Parser]) -> None:
    fake = actions.add_parser(
        "fake",
        help="write a small generated data set in the layout of a real one",
        description="Write generated pictures in the folder and list format of a real data set. "
        "Training commands then run on --root OUT; their accuracy means nothing.",
        epilog=_FAKE_EXAMPLES,
    )
    fake.add_argument("--layout", required=True, metavar="LAYOUT", choices=LAYOUTS, help=", ".join(LAYOUTS))
    fake.add_argument(
        "--out",
        required=True,
        metavar="DIR",
        help="folder to write into, empty or new; inat18-json may share it",
    )
    fake.add_argument("--seed", type=at_least(0), default=0, metavar="N", help="seed of the pictures (default: %(default)s)")
    for flag, text in (
        ("--num-classes", "classes"),
        ("--largest-class", "training images of the largest class; in the CIFAR layouts, of every class"),
        ("--test-per-class", "images per class of each evaluation part"),
    ):
        fake.add_argument(flag, type=at_least(1), metavar="N", help=f"{text} (default: the layout's own)")
    fake.add_argument("--json", action="store_true", help="print what was written as JSON")
    fake.set_defaults(run=run_fake)


def run_fake(arguments: argparse.Namespace) -> None:
    """Write the data set and say where it is."""
    from longtail.datasets.fake import write_fake

    folder = write_fake(
        arguments.layout,
        arguments.out,
        seed=arguments.seed,
        num_classes=arguments.num_classes,
        largest_class=arguments.largest_class,
        test_per_class=arguments.test_per_class,
    )
    if arguments.json:
        print_json({"layout": arguments.layout, "folder": str(folder), "root": arguments.out})
        return
    print(f"fake {arguments.layout} is in {folder}; give a training command --root {arguments.out}")


def _add_make(actions: argparse._SubParsersAction[Parser]) -> None:
    make = actions.add_parser(
        "make",
        help="write a long-tailed data set made of a balanced one, or lists of images",
        description="Write image files with lists of them, or class folders, that are long-tailed: training commands then take "
        "--data csv --root OUT, or --data folder for class folders. Or write lists alone, for code that asks for them.",
        epilog=_MAKE_EXAMPLES,
    )
    kinds = make.add_subparsers(title="what can be made", metavar="WHAT", required=True)
    for what, text in KINDS.items():
        parser = kinds.add_parser(what, help=text, description=f"Make {text}.", epilog=_examples(what))
        if what not in WITHOUT_SOURCE:
            parser.add_argument("--source", required=True, metavar="DIR", help=_SOURCES.get(what, "root of the CIFAR archive"))
        room = "the source or any other" if what in WITHOUT_IMAGES else "empty or new"
        parser.add_argument("--out", required=True, metavar="DIR", help=f"folder to write into, {room}")
        if what not in WITHOUT_IMAGES:
            _add_folders(parser)
        _OPTIONS.get(what, _add_nothing)(parser)
        parser.add_argument("--json", action="store_true", help="print what was made as JSON")
        parser.set_defaults(run=run_make, what=what)


def _examples(what: str) -> str:
    return "\n".join(["examples:", *(f"  longtail data make {what} {words}" for words in _USES[what])])


def _add_folders(parser: Parser) -> None:
    parser.add_argument(
        "--folders",
        dest="class_folders",
        action="store_true",
        help="write class folders, train/CLASS/ and so on, instead of lists with images beside them",
    )


def _add_nothing(_parser: Parser) -> None:
    """For what has no options of its own."""


def _add_cut_options(parser: Parser) -> None:
    parser.add_argument(
        "--imbalance-factor",
        type=float,
        default=0.01,
        metavar="X",
        help="smallest class / largest class (default: %(default)s)",
    )
    parser.add_argument(
        "--profile", default="exp", metavar="NAME", help="how class sizes fall: exp, step or balanced (default: %(default)s)"
    )
    parser.add_argument(
        "--split-seed",
        type=split_seed,
        metavar="N",
        help="which images the classes keep: a seed to draw them with, or `first` for the first ones (default: first)",
    )


def _add_cifar_options(parser: Parser) -> None:
    _add_cut_options(parser)
    parser.add_argument(
        "--holdout-val",
        type=_share_or_number,
        metavar="N",
        help="validate on training images: so many of each class, or this part of it; the long tail is cut from the others "
        "(default: validate on the test images)",
    )


def _add_mini_imagenet_options(parser: Parser) -> None:
    parser.add_argument("--seed", type=at_least(0), default=0, metavar="N", help="seed of the split (default: %(default)s)")
    parser.add_argument(
        "--lists",
        type=_folder,
        metavar="DIR",
        help="folder of train.csv, val.csv and test.csv to take as they are (default: make new ones)",
    )
    parser.add_argument("--link", action="store_true", help="make symbolic links to the images instead of copies")


def _add_list_options(parser: Parser) -> None:
    parser.add_argument(
        "--prefix", metavar="NAME", help="call the lists NAME_train.txt and so on, such as ImageNet_LT (default: train.txt)"
    )


_SOURCES = {
    "mini-imagenet-lt": "folder of the images: class folders, also in train/, val/ and test/, or all in one",
    "lists": "folder of train/CLASS/, and of val/CLASS/ or test/CLASS/ or both",
    "inat18-lists": "folder of train2018.json and val2018.json",
    "num-shots": "training list, or its folder",
}
_USES = {
    "cifar10-lt": ("--source data --out data/CIFAR10", "--source data --out data/CIFAR10-step --profile step"),
    "cifar100-lt": ("--source data --out data/CIFAR100", "--source data --out cifar-folders --imbalance-factor 0.02 --folders"),
    "digits": ("--out photos --folders", "--out data/digits --imbalance-factor 0.05"),
    "mini-imagenet-lt": (
        "--source mini-imagenet --out data/mini-ImageNet",
        "--source mini-imagenet --out data/mini-ImageNet --lists published --link",
    ),
    "lists": ("--source ImageNet-LT --out ImageNet-LT", "--source photos --out photo-lists --prefix photos"),
    "inat18-lists": ("--source inat --out data/iNaturalist18",),
    "num-shots": ("--source data/ImageNet_LT --out data/ImageNet_LT",),
}
_OPTIONS = {
    "cifar10-lt": _add_cifar_options,
    "cifar100-lt": _add_cifar_options,
    "digits": _add_cut_options,
    "mini-imagenet-lt": _add_mini_imagenet_options,
    "lists": _add_list_options,
}


def _share_or_number(text: str) -> float:
    """The type of an argument that is a number of images, or a part in (0, 1)."""
    try:
        value = float(text) if "." in text else int(text)
    except ValueError:
        value = 0
    if value <= 0 or (isinstance(value, float) and value >= 1):
        raise argparse.ArgumentTypeError(f"must be a number of images of at least 1, or a part between 0 and 1, got {text!r}")
    return value


def _folder(text: str) -> Path:
    path = Path(text).expanduser()
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {text!r}")
    return path.resolve()


_NOT_OPTIONS = {"run", "what", "source", "out", "json"}


def run_make(arguments: argparse.Namespace) -> None:
    """Make the data set and say what is in it."""
    from longtail.datasets.making import make

    options: dict[str, Any] = {name: value for name, value in vars(arguments).items() if name not in _NOT_OPTIONS}
    source = None if arguments.what in WITHOUT_SOURCE else arguments.source
    result = make(arguments.what, source, arguments.out, **options)
    if arguments.json:
        print_json({"what": arguments.what, "folder": arguments.out, "parts": result.parts, "settings": result.settings})
        return
    for part, told in result.parts.items():
        print(f"{part:<5}  {told}")
    print(_told_of_use(arguments))


def _told_of_use(arguments: argparse.Namespace) -> str:
    """Where it is, and what to do with it."""
    what, out = arguments.what, arguments.out
    counts = "num_shots.npz and num_shots.txt"
    if what == "num-shots":
        return f"{counts} are in {out}"
    if what == "inat18-lists":
        return f"the lists are in {out}, with {counts}; their paths begin at the folder of train_val2018/"
    if what == "lists":
        return f"the lists are in {out}, with {counts}; their paths begin at {arguments.source}"
    data = "folder" if arguments.class_folders else "csv"
    return f"{what} is in {out}; give a training command --data {data} --root {out}"
