"""The scripts of stage two, which correct the prior of what stage one has trained, on fake data and with small networks."""

import json
import pickle
import re
import shutil
from pathlib import Path

import pytest
import torch
from cadel_workplace import make_workplace, put_data

from longtail.testing import run_here

HOW = "--device cpu --batch_size 4 --num_workers 0"
TRAINED = f"{HOW} --no_pretrained --num_epochs 1"
MODELS = "logs/Places_LT/models/ViTB_16_224"
VIT = "python main_ViT_PC.py --cfg ./config/Places_LT/ViT_B_16_224_stage2.yaml"
STAGE_TWO = "logs/Places_LT/stage2/ViTB_16_224"
TAUS = (1.3, 1.4, 1.5, 1.6, 1.7, 1.8)


def record(folder):
    return json.loads((folder / "run.json").read_text())


@pytest.fixture(scope="module")
def trained(fake_data, tmp_path_factory):
    """A working folder in which a vision transformer has gone through stage one."""
    folder = make_workplace(tmp_path_factory.mktemp("trained"))
    put_data(folder, fake_data, ["places-lt"])
    assert run_here(folder, lambda: ("", ""), "python main_ViT.py", f"{TRAINED} --num_epochs 2").returncode == 0
    return folder


@pytest.fixture
def place(trained, data):
    """The working folder with data and the trained networks."""
    folder = data("places-lt")
    shutil.copytree(trained / MODELS, folder / MODELS)
    return folder


@pytest.mark.parametrize(
    ("first", "second", "layout", "models"),
    [
        ("main_CNN.py", "main_CNN_PC.py", "inat18", "iNaturalist18/models/resnet50"),
        ("main_CNN_Places365.py", "main_CNN_Places365_PC.py", "places-lt", "Places_LT/models/resnet152_caffe"),
        (
            "main_Vit_DDP.py --cfg ./config/Places_LT/ViT_B_16_384_stage1.yaml",
            "main_Vit_PC.py",
            "places-lt",
            "Places_LT/models/ViTB_16_384",
        ),
        (
            "main_CNN.py --cfg ./config/ImageNet_LT/resnext50_stage1.yaml",
            "main_CNN_PC.py --cfg ./config/ImageNet_LT/resnext50_stage2.yaml",
            "imagenet-lt",
            "ImageNet_LT/models/resnext50",
        ),
    ],
)
@pytest.mark.usefixtures("small_networks")
def test_one_stage_after_the_other(first, second, layout, models, data, run):
    data(layout)
    done = run(f"python {first}", f"{TRAINED} --max-steps 1")
    assert done.returncode == 0, done.stderr
    done = run(f"python {second}", HOW)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"networks of logs/{models}/final_model_checkpoint.pth\n")
    assert re.search(r"^bset_tao= 1\.\d|^bset_tao= 0\.9|^bset_tao= 1 ", done.stdout, re.MULTILINE)
    assert ("the correction is chosen on the very images" in done.stdout) == (layout == "inat18")


def test_the_best_correction_is_taken(place, run):
    before = {path.name: path.read_bytes() for path in (place / MODELS).iterdir()}
    done = run(VIT, HOW)
    assert done.returncode == 0, done.stderr
    told = re.findall(r"^tao= (\S+)\nPhase: val\nEvaluation_accuracy_micro_top1: (\S+)$", done.stdout, re.MULTILINE)
    scores = {float(tau): float(accuracy) for tau, accuracy in told}
    assert tuple(scores) == TAUS
    best = max(scores, key=lambda tau: scores[tau])  # the first of those that are
    chosen, score = re.search(r"^bset_tao= (\S+)   best_acc= (\S+)\nPhase: test$", done.stdout, re.MULTILINE).groups()
    assert float(chosen) == best
    assert float(score) == pytest.approx(scores[best], abs=6e-4)
    folder = place / STAGE_TWO
    assert {each.name for each in folder.iterdir()} == {"cfg.yaml", "log.txt", "run.json", "per_class.csv", "cls_accs.pkl"}
    identity = record(folder)["identity"]
    assert identity["tau"] == best
    assert identity["chosen_on"] == "val"
    tested = record(folder)["results"]["test"]
    assert pickle.loads((folder / "cls_accs.pkl").read_bytes()) == tested["per_class_accuracy"]
    assert done.stdout.startswith((folder / "log.txt").read_text())
    assert {name: (place / MODELS / name).read_bytes() for name in before} == before


def test_a_correction_of_one_is_what_training_evaluates_with(place, run):
    done = run(VIT, f"{HOW} --taus 1")
    assert done.returncode == 0, done.stderr
    tested, best = record(place / STAGE_TWO)["results"]["test"], record(place / MODELS)["results"]["best"]
    assert tested == {name: best[name] for name in tested}


def test_chosen_on_the_test_list(place, run):
    done = run(VIT, f"{HOW} --select test")
    assert done.returncode == 0, done.stderr
    assert "the correction is chosen on the very images whose accuracy is reported" in done.stdout
    told = record(place / STAGE_TWO)
    assert told["identity"]["chosen_on"] == "test"
    assert max(told["identity"]["tried"].values()) == told["results"]["test"]["accuracy"]


def test_the_folder_that_the_authors_name(place, run):
    path = place / "config/Places_LT/ViT_B_16_224_stage2.yaml"
    text = path.read_text()
    assert "model_dir: ./logs/Places_LT/models/ViTB_16_224" in text
    path.write_text(text.replace("Places_LT/models/ViTB_16_224", "Places_LT/stage1/ViTB_16_224"))
    done = run(VIT, HOW)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"networks of {MODELS}/final_model_checkpoint.pth\n")


def test_an_authors_file(place, run):
    ours = torch.load(place / MODELS / "final_model_checkpoint.pth", weights_only=True)
    assert run(VIT, HOW).returncode == 0
    path = place / "theirs.pth"
    torch.save({name: ours[name] for name in ("epoch", "best_epoch", "state_dict_best", "best_acc", "centroids")}, path)
    done = run(VIT, f"{HOW} --model_dir {path}")
    assert done.returncode == 0, done.stderr
    assert f"notice: an earlier evaluation was moved to {STAGE_TWO}~1\n" in done.stdout
    both = [record(place / folder)["results"] for folder in (STAGE_TWO, f"{STAGE_TWO}~1")]
    assert both[0] == both[1]


def test_trained_networks_are_never_moved(place, run):
    """Not even where stage two is told to write into the folder that they are in."""
    path = place / "config/Places_LT/ViT_B_16_224_stage2.yaml"
    path.write_text(path.read_text().replace(f"log_dir: ./{STAGE_TWO}", f"log_dir: ./{MODELS}"))
    for _ in range(2):
        done = run(VIT, HOW)
        assert done.returncode == 0, done.stderr
    assert (place / MODELS / "final_model_checkpoint.pth").is_file()
    assert (place / MODELS / "evaluation" / "run.json").is_file()
    assert (place / MODELS / "evaluation~1").is_dir()


@pytest.mark.parametrize(
    ("heads", "same"),
    [("all", True), ("1,2,3", True), ("last", False)],
)
def test_heads(heads, same, place, run):
    losses = []
    for flags in ("", f"--eval_heads {heads}"):
        done = run(VIT, f"{HOW} {flags}")
        assert done.returncode == 0, done.stderr
        losses.append(record(place / STAGE_TWO)["results"]["test"]["loss"])
    assert (losses[0] == losses[1]) == same


# --- mistakes


def refused(done, message):
    assert done.returncode == 2
    told = done.stderr.split("error: ", 1)[1]
    assert re.search(message, told), told
    assert len(told.splitlines()) <= 2
    assert "Traceback" not in done.stderr


def test_without_stage_one(data, run):
    place = data("places-lt")
    refused(run(VIT, HOW), r"no trained networks: .*in \./logs/Places_LT/models/ViTB_16_224 or .*Train stage one first")
    assert not Path(place / "logs").exists()


def test_with_the_networks_of_another_configuration(place, run):
    path = place / "config/Places_LT/ViT_B_16_224_stage2.yaml"
    path.write_text(path.read_text().replace("embed_dim: 24", "embed_dim: 28"))
    refused(run(VIT, HOW), r"final_model_checkpoint\.pth: ")


@pytest.mark.usefixtures("small_networks", "place")
def test_with_the_networks_of_another_layout(run):
    refused(
        run("python main_CNN_Places365_PC.py", f"{HOW} --model_dir {MODELS}"),
        r"final_model_checkpoint\.pth: ",
    )


def test_with_a_damaged_file(place, run):
    path = place / MODELS / "final_model_checkpoint.pth"
    path.write_bytes(path.read_bytes()[:5000])
    refused(run(VIT, HOW), r"final_model_checkpoint\.pth")
