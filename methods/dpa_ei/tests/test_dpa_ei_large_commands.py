"""The paper's commands for ImageNet-LT and iNaturalist 2018, on fake data of few classes; evaluating what they leave."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from dpa_ei_toy import ToyNet

from longtail.loading import reading
from longtail.testing import Killed, flattened, killed_at, link_scripts, quick_help, run_here
from longtail_dpa_ei import large, large_data, stage1
from longtail_dpa_ei.experiments import LARGE
from longtail_dpa_ei.features import FeatureCache
from longtail_dpa_ei.flags import create_large_parser, create_large_test_parser
from longtail_dpa_ei.recipe import DPAEI

SCRIPTS = Path(__file__).parents[1]

IMAGENET = (
    "python train.py --dataset ImageNet_LT --data_root /ImageNet2012 --num_classes 1000 --num_meta 5 --batch-size 64 "
    "--epochs 90 --lr 0.0003 --momentum 0.9 --weight-decay 5e-4 --gpu 0 --idx '0'"
)
INAT = (
    "python train.py --dataset iNaturalist18 --data_root /iNaturalist18 --num_classes 8142 --num_meta 2 --batch-size 64 "
    "--epochs 180 --lr 0.0003 --momentum 0.9 --weight-decay 5e-4 --gpu 0 --idx '0'"
)
SHELL_SCRIPTS = (
    "--nesterov True --no-cuda False --split 1000 --seed 42 --print-freq 100 --lam 0.5 --meta_lr 0.1 --save_name 'name'"
)
FOUR = {"num_classes": 4, "largest_class": 8, "test_per_class": 3}
THREE = {"num_classes": 3, "largest_class": 120, "test_per_class": 2}
HERE = "--data_root data/fake --num_classes 4 --num_meta 2 --workers 0 --device cpu"
SMALL = "python train.py --dataset ImageNet_LT --batch_size 4 --epochs 3 --lr 0.003 --gpu 0"
FOLDER = "checkpoint/train_ImageNet_LT"

NUMBER, PERCENT = r"\d+\.\d{4}", r"\d+\.\d{3}"


def flags(text):
    return create_large_parser().parse_args(text.split())


@pytest.fixture(scope="module", autouse=True)
def small():
    """In this process, in place of a ResNet-50 on images of 224 pixels a toy on small ones."""
    load = large_data.load_lists_with_meta
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage1, "create_backbone", lambda _arch, *, num_classes, seed: ToyNet(seed, num_classes=num_classes))
        patch.setattr(
            large_data, "load_lists_with_meta", lambda *args, **options: replace(load(*args, **options), image_size=24)
        )
        yield


@pytest.fixture
def imagenet(data):
    """The working folder with an ImageNet-LT of 8, 4, 2 and 1 images in some order."""
    return data("imagenet-lt", **FOUR)


def said_in_epochs(steps, tests, results):
    """A pattern of the lines of whole epochs, of which the first batch is told."""
    return "".join(
        rf"Epoch: \[{epoch}\]\[0/{steps}\]\tLoss {NUMBER} \({NUMBER}\)\tPrec@1 {PERCENT} \({PERCENT}\)\n"
        rf"Test: \[0/{tests}\]\tTime {PERCENT} \({PERCENT}\)\tLoss {NUMBER} \({NUMBER}\)\tPrec@1 {PERCENT} \({PERCENT}\)\n"
        rf" \* Prec@1 {100 * result['test']['accuracy']:.3f}\n"
        for epoch, result in enumerate(results)
    )


def metrics(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in each.items() if key != "train_seconds"} for each in lines]


def read(path):
    return torch.load(path, weights_only=True)


def check_files(folder, prefix, epochs):
    """The paper's files, of which the latest is kept, and the core's; returns the content of the last epoch's checkpoint."""
    numbered = {epochs - 1: f"{prefix}epoch{epochs - 1}_ckpt.pth.tar"}
    ours = {"ckpt.pth.tar", "ckpt.best.pth.tar", "train.log", "run.json", "metrics.jsonl", "per_class.csv"}
    assert {each.name for each in folder.iterdir()} == ours | set(numbered.values())
    for epoch, name in numbered.items():
        content = read(folder / name)
        assert set(content) == {"epoch", "state_dict", "optimizer"}
        assert content["epoch"] == epoch + 1
        assert set(content["state_dict"]) == {"feature", "classifier"}
        assert set(content["state_dict"]["classifier"]) == {"fc.weight", "fc.bias"}
        assert not any(key.startswith("fc.") for key in content["state_dict"]["feature"])
        assert len(content["optimizer"]["state"]) == 2
    assert json.loads((folder / "run.json").read_text())["finished"]
    return content


# --- the published commands


def test_imagenet_in_a_shell(data, in_terminal):
    workplace = data("imagenet-lt", **FOUR)
    done = in_terminal(IMAGENET, f"{HERE} --batch-size 2 --max-epochs 1 --max-steps 1 --test-batch-size 2 --stage1 random")
    assert done.returncode == 0, done.stderr
    expected = {
        **{
            "dataset": "ImageNet_LT",
            "num_classes": 4,
            "num_meta": 2,
            "imb_factor": 0.01,
            "batch_size": 2,
            "test_batch_size": 2,
        },
        **{"epochs": 90, "lr": 0.0003, "momentum": 0.9, "nesterov": True, "weight_decay": 0.0005, "no_cuda": False},
        **{"split": 1000, "seed": 42, "print_freq": 1000, "lam": 0.5, "gpu": 0, "meta_lr": 0.1, "save_name": "name", "idx": 0},
    }
    assert done.stdout.startswith("".join(f"{name}={value}\n" for name, value in expected.items()))
    lines = done.stdout.split("cache_features=False\n")[1]
    results = metrics(workplace / FOLDER)
    assert re.fullmatch(f"random features\n{said_in_epochs(1, 1, results)}", lines)
    content = check_files(workplace / FOLDER, "0.0003_2_0.1", 1)
    assert len(content["state_dict"]["feature"]) == 318
    assert content["state_dict"]["classifier"]["fc.weight"].shape == (4, 2048)
    assert (
        "notice: --num_meta 2 is followed; the paper's code took 10 on ImageNet-LT whatever its command said\n" in done.stderr
    )
    record = json.loads((workplace / FOLDER / "run.json").read_text())
    assert record["parameters"] == 23_508_032 + 4 * 2049
    assert sorted(record["class_counts"]) == [1, 2, 4, 8]


def test_inat_here(data, run):
    workplace = data("inat18", **THREE)
    done = run(INAT, "--data_root data/fake --num_classes 3 --device cpu --stage1 random --max-epochs 2 --max-steps 2")
    assert done.returncode == 0, done.stderr
    folder = workplace / "checkpoint" / "train_iNaturalist18"
    results = metrics(folder)
    assert done.stdout.startswith("dataset=iNaturalist18\nnum_classes=3\nnum_meta=2\n")
    assert re.search(f"\nrandom features\n{said_in_epochs(2, 1, results)}$", done.stdout)
    check_files(folder, "0.0003_64_0.1", 2)
    assert "--num_meta" not in done.stderr
    record = json.loads((folder / "run.json").read_text())
    assert sorted(record["class_counts"]) == [2, 15, 120]
    assert record["identity"]["num_meta"] == 2
    # the strength is 0 in the first epoch, and so is the gradient of the covariance
    assert [each["train_correction"] > 0 for each in results] == [False, True]
    assert {each["learning_rate"] for each in results} == {0.0003}
    assert all(each["train_meta_loss"] > 0 for each in results)


def test_flags_of_the_shell_scripts():
    def words(command):
        return command.split("train.py")[1].replace("'", "")

    args = flags(f"{words(INAT)} --imb_factor 0.01 --test-batch-size 100 {SHELL_SCRIPTS}".replace("'", ""))
    assert vars(args) == {**vars(flags(words(INAT))), "print_freq": 100}


# --- what is trained


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A stage-one checkpoint as classifier-balancing saves it."""
    path = tmp_path_factory.mktemp("stage1") / "resnet50_uniform_e90.pth"
    weights = {f"module.{name}": value for name, value in ToyNet(seed=9, num_classes=4).state_dict().items()}
    parts = {"feat_model": {}, "classifier": {}}
    for name, value in weights.items():
        parts["classifier" if ".fc." in name else "feat_model"][name] = value
    torch.save({"state_dict_best": parts, "best_acc": 0.5}, path)
    return path


@pytest.fixture(scope="module")
def place(fake_data, tmp_path_factory):
    """A working folder of its own for this module's runs that nothing interrupts."""

    def make(name):
        folder = link_scripts(SCRIPTS, tmp_path_factory.mktemp(name))
        (folder / "data").symlink_to(fake_data("imagenet-lt", **FOUR))
        return folder

    return make


@pytest.fixture(scope="module")
def whole(place, start):
    """The folder of a run that nothing interrupted."""
    folder = place("whole")
    assert run_here(folder, lambda: ("", ""), SMALL, f"{HERE} --stage1 {start}").returncode == 0
    return folder / FOLDER


def test_only_the_classifier_is_trained(whole, start):
    before = read(start)["state_dict_best"]
    after = check_files(whole, "0.003_4_0.1", 3)["state_dict"]
    features = {name.removeprefix("module."): value for name, value in before["feat_model"].items()}
    assert flattened(after["feature"]) == flattened(features)
    classifier = before["classifier"]
    assert not torch.equal(after["classifier"]["fc.weight"], classifier["module.fc.weight"])
    assert not torch.equal(after["classifier"]["fc.bias"], classifier["module.fc.bias"])


@pytest.mark.usefixtures("imagenet")
def test_the_console_tells_where_features_come_from(start, run):
    done = run(SMALL, f"{HERE} --stage1 {start} --max-epochs 1 --max-steps 1")
    assert done.returncode == 0, done.stderr
    assert f"\nfeatures and classifier of {start}\n" in done.stdout


def test_the_place_of_the_papers_scripts_is_the_default(imagenet, start, run):
    theirs = imagenet / LARGE["ImageNet_LT"].stage1[1]
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(start.read_bytes())
    done = run(SMALL, f"{HERE} --max-epochs 1 --max-steps 1")
    assert done.returncode == 0, done.stderr
    assert "\nfeatures and classifier of stage1/resnet50_uniform_e90.pth\n" in done.stdout


@pytest.fixture
def seen(monkeypatch):
    """The files that are read."""
    files, read_image = [], reading.read_image
    monkeypatch.setattr(reading, "read_image", lambda path, **how: files.append(path) or read_image(path, **how))
    return files


@pytest.mark.usefixtures("imagenet")
def test_the_features_of_the_test_images_are_computed_once(start, run, seen, monkeypatch):
    computed, compute = [], FeatureCache._compute
    monkeypatch.setattr(FeatureCache, "_compute", lambda self, part: computed.append(len(part)) or compute(self, part))
    done = run(SMALL, f"{HERE} --stage1 {start}")
    assert done.returncode == 0, done.stderr
    # test images and, since ImageNet-LT's are not augmented, meta images; training images are read in each epoch
    assert sorted(computed) == [8, 12]
    assert len(seen) == 12 + 8 + 3 * 15


def test_cached_features(imagenet, start, run, seen):
    done = run(SMALL, f"{HERE} --stage1 {start} --cache-features")
    assert done.returncode == 0, done.stderr
    assert len(seen) == 12 + 8 + 15
    check_files(imagenet / FOLDER, "0.003_4_0.1", 3)
    assert [each["train_correction"] > 0 for each in metrics(imagenet / FOLDER)] == [False, True, True]


def test_cached_features_are_those_of_the_images(imagenet, start, run, monkeypatch):
    runs = []
    for appended in ("--cache-features", "--cache-features --select last"):
        if runs:
            # features of every batch anew, by the network
            monkeypatch.setattr(FeatureCache, "loader", from_images)
        done = run(SMALL, f"{HERE} --stage1 {start} {appended}")
        assert done.returncode == 0, done.stderr
        runs.append(metrics(imagenet / FOLDER))
    told = [[(each["train_loss"], each["test"]["loss"], each["test"]["accuracy"]) for each in records] for records in runs]
    assert told[0] == [pytest.approx(each, rel=1e-5) for each in told[1]]


def from_images(self, part, order=None, *, batch_size):
    """A loader of the images that the features are those of."""
    if order is None:
        return self._setting.in_order(self._data, part, batch_size=batch_size)
    return self._setting.loader(self._data, part, order, batch_size=batch_size)


@pytest.mark.parametrize("cached", ["", "--cache-features"])
def test_half_precision_accumulation_and_clipping(cached, imagenet, run):
    done = run(SMALL, f"{HERE} --stage1 random --precision bf16 --accumulate 2 --clip-norm 1 --max-epochs 2 {cached}")
    assert done.returncode == 0, done.stderr
    content = check_files(imagenet / FOLDER, "0.003_4_0.1", 2)
    assert {value.dtype for value in content["state_dict"]["classifier"].values()} == {torch.float32}


# --- interrupted runs


def state(path):
    """All of a checkpoint but how many bytes of which log belong to it; seconds have several lengths."""
    content = read(path)
    content.get("longtail", {"progress": {}})["progress"].pop("log_sizes", None)
    return flattened(content)


@pytest.mark.parametrize("cached", ["", "--cache-features"])
def test_killed_and_resumed_equals_uninterrupted(cached, whole, place, imagenet, start, run, capfd):
    how = f"{HERE} --stage1 {start} {cached}"
    if cached:
        other = place("cached")
        assert run_here(other, lambda: ("", ""), SMALL, how).returncode == 0
        whole = other / FOLDER
    with killed_at(DPAEI, 1, 3), pytest.raises(Killed):
        run(SMALL, f"{how} --checkpoint-every 2")
    folder = imagenet / FOLDER
    assert not json.loads((folder / "run.json").read_text())["finished"]
    capfd.readouterr()
    done = run(SMALL, f"{how} --resume-auto")
    assert done.returncode == 0, done.stderr
    assert "Epoch: [0]" not in done.stdout
    assert metrics(folder) == metrics(whole)
    assert {each.name for each in folder.iterdir()} == {each.name for each in whole.iterdir()}
    for path in whole.glob("*.tar"):
        assert state(folder / path.name) == state(path), path.name
    for name in ("train.log", "per_class.csv"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()


def test_a_second_run_moves_the_first_aside(imagenet, run):
    quick = f"{HERE} --stage1 random --max-epochs 1 --max-steps 1"
    assert run(SMALL, quick).returncode == 0
    done = run(f"{SMALL} --lam 2", quick)
    assert done.returncode == 0, done.stderr
    assert f"notice: an earlier run was moved to {FOLDER}~1\n" in done.stdout
    assert (imagenet / f"{FOLDER}~1" / "ckpt.best.pth.tar").is_file()


def test_the_best_epoch_may_be_chosen_on_held_out_images(imagenet, run):
    done = run(f"{SMALL} --num_meta 2", f"{HERE} --stage1 random --select val --max-steps 2")
    assert done.returncode == 0, done.stderr
    assert "notice: the best" not in done.stderr
    scores = [each["val"]["accuracy"] for each in metrics(imagenet / FOLDER)]
    results = json.loads((imagenet / FOLDER / "run.json").read_text())["results"]
    assert results["best"]["epoch"] == scores.index(max(scores))


# --- evaluation


def test_each_checkpoint_has_the_accuracy_that_was_printed(whole, imagenet, run):
    every = metrics(whole)
    assert len({each["test"]["loss"] for each in every}) == 3
    best = max(every, key=lambda each: each["test"]["accuracy"])
    for name, told in (("0.003_4_0.1epoch2_ckpt", every[2]), ("ckpt.best", best)):
        (imagenet / f"{name}.pth.tar").write_bytes((whole / f"{name}.pth.tar").read_bytes())
        done = run(f"python test.py --dataset ImageNet_LT --data_root data/fake --loading_path {name}.pth.tar", HERE)
        assert done.returncode == 0, done.stderr
        accuracy = 100 * told["test"]["accuracy"]
        assert re.search(
            rf"\nTest: \[0/1\]\tTime {PERCENT} \({PERCENT}\)\tLoss {NUMBER} \({NUMBER}\)\tPrec@1 {accuracy:.3f} \(.*\)\n"
            rf" \* Prec@1 {accuracy:.3f}\nAccuracy:  {accuracy:.3f}\n",
            done.stdout,
        )
        record = json.loads((imagenet / f"{name}_test" / "run.json").read_text())
        assert record["results"]["test"]["per_class_accuracy"] == told["test"]["per_class_accuracy"]
        assert record["results"]["test"]["loss"] == pytest.approx(told["test"]["loss"], rel=1e-5)
    assert len(list(imagenet.glob("*_test/per_class.csv"))) == 2


def test_the_training_images_need_not_be_there_for_evaluation(whole, imagenet, fake_data, run):
    root, theirs = imagenet / "only_tested", fake_data("imagenet-lt", **FOUR) / "fake"
    root.mkdir()
    for entry in theirs.iterdir():
        if entry.name != "train":
            (root / entry.name).symlink_to(entry)
    path = whole / "0.003_4_0.1epoch2_ckpt.pth.tar"
    (imagenet / "ckpt.pth.tar").write_bytes(path.read_bytes())
    done = run("python test.py --loading_path ckpt.pth.tar --num_classes 4 --data_root only_tested", "--device cpu --workers 0")
    assert done.returncode == 0, done.stderr


# --- flags, notices, mistakes


def test_defaults_are_the_papers():
    args = flags("")
    assert (args.dataset, args.data_root, args.num_meta, args.batch_size, args.epochs) == (
        *("iNaturalist18", "/iNaturalist18", 2, 100, 20),
    )
    assert (args.lr, args.workers, args.print_freq, args.gpu, args.lam, args.local_rank) == (0.0003, 0, 1000, None, 0.5, 0)
    args = create_large_test_parser().parse_args([])
    assert (args.dataset, args.num_meta, args.batch_size, args.workers, args.lam, args.lr) == (
        "ImageNet_LT",
        10,
        64,
        16,
        0.75,
        0.1,
    )
    assert (args.loading_path, args.print_freq, args.test_batch_size) == ("", 1000, 100)


@pytest.mark.parametrize("spelling", ["--batch{}size", "--test{0}batch{0}size", "--print{}freq"])
def test_both_spellings(spelling):
    assert flags(f"{spelling.format('-')} 7") == flags(f"{spelling.format('_')} 7") != flags("")


@pytest.mark.parametrize(
    ("text", "starts"),
    [
        ("--dataset ImageNet_LT --num_meta 10", ()),
        ("--dataset ImageNet_LT --num_meta 5", ("--num_meta 5 is followed; the paper's code took 10 on ImageNet-LT",)),
        ("--dataset iNaturalist18 --num_meta 3", ("--num_meta 3 is followed; the paper's code took 2 on iNaturalist 2018",)),
        ("--dataset iNaturalist18 --momentum 0", ("--momentum 0 leaves nothing for --nesterov to do",)),
    ],
)
def test_notices(text, starts):
    args = flags(text)
    found = large.notices(LARGE[args.dataset], args)
    assert len(found) == len(starts)
    assert all(each.startswith(start) for each, start in zip(found, starts, strict=True))


@pytest.mark.parametrize("script", ["train.py", "test.py"])
def test_help_imports_nothing_heavy(script):
    told = quick_help(SCRIPTS, script)
    assert "--data_root" in told
    assert "--max-steps" in told


def assert_refused(done, workplace, message, lines=2):
    """A mistake is answered on standard error, in so many lines, and nothing is written."""
    assert done.returncode == 2
    said = [line for line in done.stderr.splitlines() if not line.startswith(("notice:", "warning:"))]
    said = [line for line in said if "generated fake data" not in line]
    assert message in "\n".join(said), done.stderr
    assert len(said) <= lines, done.stderr
    assert "Traceback" not in done.stderr
    assert not (workplace / "checkpoint").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is neither ImageNet_iNat/stage1/ImageNet_LT/models/resnet50_uniform_e90/latest_model_checkpoint.pth nor"),
        ("--stage1 gone.pth", "there is no gone.pth: this trains a classifier on the features of a ResNet-50"),
        ("--stage1 train.py", "train.py is not a readable checkpoint"),
        ("--stage1 random --num_classes 5", "--num_classes 5 contradicts the data: ImageNet-LT in data/fake has 4 classes"),
        ("--stage1 random --num_meta 4", "num_meta 4 is too many for class "),
        ("--stage1 random --num_meta 0", "argument --num_meta: must be at least 1, got 0"),
        ("--stage1 random --data_root elsewhere", "elsewhere"),
        ("--dataset Places_LT", "argument --dataset: invalid choice: 'Places_LT'"),
        ("--epochs 0", "argument --epochs: must be at least 1, got 0"),
    ],
)
def test_mistakes(text, message, imagenet, run):
    done = run(f"{SMALL} --data_root data/fake --num_meta 2 {text}", "--device cpu --max-steps 1 --workers 0")
    assert_refused(done, imagenet, message, lines=12 if "elsewhere" in text else 3)


def test_mistakes_in_evaluation(imagenet, start, run):
    for text, message in (
        ("", "which checkpoint is to be evaluated? give it with --loading_path PATH"),
        ("--loading_path gone.pth.tar", "no checkpoint found at 'gone.pth.tar'"),
        (f"--loading_path {start} --num_classes 5", "--num_classes 5 contradicts the data"),
        ("--loading_path test.py", "test.py is not a readable checkpoint"),
    ):
        assert_refused(run(f"python test.py --data_root data/fake {text}", "--device cpu --workers 0"), imagenet, message)
    assert not list(imagenet.glob("*_test"))
