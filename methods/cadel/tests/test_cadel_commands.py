"""The paper's commands of stage one, on fake data of four classes and with small networks."""

import csv
import json
import logging
import pickle
import re
import shutil
from collections import Counter

import pytest
import torch
from cadel_workplace import make_workplace, put_data

from longtail.testing import flattened, run_here
from longtail_cadel import training
from longtail_cadel.config_loading import load_config

QUICK = "--device cpu --batch_size 4 --num_workers 0 --max-epochs 1 --max-steps 1 --no_pretrained"
PLACES = "logs/Places_LT/models/ViTB_16_224"
VIT = "python main_ViT.py"
SHORT = "--device cpu --batch_size 4 --num_workers 0 --no_pretrained --num_epochs 3"
FILES = {
    "cfg.yaml",
    "log.txt",
    "acc.csv",
    "loss.csv",
    "latest_model_checkpoint.pth",
    "final_model_checkpoint.pth",
    "cls_accs.pkl",
    "run.json",
    "metrics.jsonl",
    "per_class.csv",
}
SHARE, GROUP = r"[01]\.\d{3}", r"([01]\.\d{3}|absent)"
EVALUATION = (
    rf"Evaluation_accuracy_micro_top1: {SHARE}\nAveraged F-measure: {SHARE}\n"
    rf"Many_shot_accuracy_top1: {GROUP} Median_shot_accuracy_top1: {GROUP} Low_shot_accuracy_top1: {GROUP}\n"
)
PERCENTS = r"(absent|\d+\.\d) \t (absent|\d+\.\d) \t (absent|\d+\.\d) \t \d+\.\d"


def read(path):
    return torch.load(path, weights_only=True)


def record(folder):
    return json.loads((folder / "run.json").read_text())


def metrics(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in each.items() if key != "train_seconds"} for each in lines]


# --- the published commands


@pytest.mark.parametrize(
    ("command", "layout", "folder"),
    [
        ("python main_CNN.py", "inat18", "logs/iNaturalist18/models/resnet50"),
        ("python main_CNN_DDP.py", "inat18", "logs/iNaturalist18/models/resnet50"),
        ("python main_ViT.py", "places-lt", PLACES),
        ("python main_Vit_DDP.py", "places-lt", PLACES),
        ("python main_CNN_Places365.py", "places-lt", "logs/Places_LT/models/resnet152_caffe"),
    ],
)
@pytest.mark.usefixtures("small_networks")
def test_scripts_with_their_own_configurations(command, layout, folder, data, run):
    place = data(layout)
    done = run(command, QUICK)
    assert done.returncode == 0, done.stderr
    assert {each.name for each in (place / folder).iterdir()} == FILES
    assert record(place / folder)["finished"]
    assert done.stdout.endswith("ALL COMPLETED.\n")


STAGE_ONE = ("resnext50.yaml", "resnext50_stage1.yaml", "resnet50_stage1.yaml", "ViT_B_16_384_stage1.yaml")


@pytest.mark.parametrize("name", STAGE_ONE)
@pytest.mark.usefixtures("small_networks")
def test_configurations_for_imagenet(name, data, run):
    place = data("imagenet-lt")
    done = run(f"python main_CNN.py --cfg ./config/ImageNet_LT/{name}", QUICK)
    assert done.returncode == 0, done.stderr
    folder = place / load_config(place / "config" / "ImageNet_LT" / name).training_opt.log_dir
    assert {each.name for each in folder.iterdir()} == FILES


def test_the_readmes_command_in_a_shell(data, in_terminal):
    place = data("places-lt")
    done = in_terminal(VIT, QUICK.replace("--no_pretrained", "--allow_missing_pretrain"))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "./pretrain/ImageNet_1K_Res_224.pth is not there: began with random weights"
    assert re.fullmatch(
        r"Places_LT: \d+ training images of 4 classes, in batches of 4; everything goes to \./" + PLACES, lines[1]
    )
    told = "\n".join(lines[2:]) + "\n"
    assert re.fullmatch(
        rf"Epoch: \[1/30\] Step:     0 Loss: \d+\.\d{{3}} current_learning_rate: 0\.00010 Minibatch_accuracy_micro: {SHARE}\n"
        rf" Training acc Top1: {SHARE}\nMany_top1: {GROUP} Median_top1: {GROUP} Low_top1: {GROUP}\n"
        rf"Phase: val\n{EVALUATION}Best validation accuracy is {SHARE} at epoch 1\nDone\n"
        rf"Phase: test\n{EVALUATION}{PERCENTS}\n{PERCENTS} \t last head\nALL COMPLETED\.\n",
        told,
    )
    assert (place / PLACES / "log.txt").read_text() == told
    notices = r"notice: \./config/\S+: keys without effect, as in the paper's code: .*\n"
    assert re.sub(notices, "", done.stderr) == (
        "data/Places_LT: generated fake data, not Places-LT\n"
        "Places_LT: no num_shots.npz or num_shots.txt; class counts are those of the training list\n"
    )


# --- what a run leaves


@pytest.fixture(scope="module")
def place(fake_data, tmp_path_factory):
    """A working folder of its own for this module's undisturbed runs."""
    folder = make_workplace(tmp_path_factory.mktemp("whole"))
    put_data(folder, fake_data, ["places-lt"])
    return folder


@pytest.fixture(scope="module")
def whole(place):
    """The folder of a run of three epochs."""
    assert run_here(place, lambda: ("", ""), VIT, SHORT).returncode == 0
    return place / PLACES


def test_tables(whole):
    accuracies = list(csv.DictReader((whole / "acc.csv").open()))
    assert ",".join(accuracies[0]) == (
        "epoch,train_all,train_many,train_median,train_low,val_all,val_many,val_median,val_low,val_fscore"
    )
    assert [row["epoch"] for row in accuracies] == ["1", "2", "3"]
    told = metrics(whole)
    for row, epoch in zip(accuracies, told, strict=True):
        assert float(row["val_all"]) == pytest.approx(epoch["val"]["accuracy"], abs=1e-6)
        assert float(row["train_all"]) == pytest.approx(epoch["train_top1"], abs=1e-6)
        assert row["val_many"] == ""  # no class has more than a hundred images
        assert epoch["test"] is None
    losses = list(csv.DictReader((whole / "loss.csv").open()))
    assert [(row["Epoch"], row["Step"], row["feat"]) for row in losses] == [(str(epoch), "0", "") for epoch in (1, 2, 3)]


def test_final_checkpoint_is_the_papers(whole):
    content = read(whole / "final_model_checkpoint.pth")
    assert {"epoch", "best_epoch", "state_dict_best", "best_acc", "centroids"} <= set(content)
    scores = [each["val"]["accuracy"] for each in metrics(whole)]
    assert content["best_acc"] == max(scores)
    assert content["best_epoch"] == content["epoch"] == scores.index(max(scores)) + 1
    assert set(content["state_dict_best"]) == {"feat_model"}
    keys = content["state_dict_best"]["feat_model"]
    assert all(key.startswith("module.") for key in keys)
    assert {"module.blocks.11.mlp.fc2.weight", "module.aux_layer2.head.weight", "module.fc_norm.weight"} <= set(keys)


def test_class_accuracies(whole):
    results = record(whole)["results"]
    listed = pickle.loads((whole / "cls_accs.pkl").read_bytes())
    assert listed == results["best"]["per_class_accuracy"]
    assert len(listed) == 4


def test_the_dumped_configuration_is_the_one_that_ran(whole, place):
    told = load_config(whole / "cfg.yaml")
    assert told.training_opt.num_epochs == 3
    assert told.training_opt.batch_size == 4
    published = load_config(place / "config/Places_LT/ViT_B_16_224_stage1.yaml")
    assert told.networks == published.networks


def test_a_seed_decides_all(whole, data, run):
    place = data("places-lt")
    assert run(VIT, SHORT).returncode == 0
    assert metrics(place / PLACES) == metrics(whole)
    for name in ("final_model_checkpoint.pth", "latest_model_checkpoint.pth"):
        weights = [flattened(read(each / name)["state_dict"]) for each in (place / PLACES, whole)]
        assert weights[0] == weights[1]
    done = run(f"{VIT} --seed 1", SHORT)
    assert done.returncode == 0, done.stderr
    assert f"notice: an earlier run was moved to {PLACES}~1\n" in done.stdout
    assert metrics(place / PLACES)[0]["train_loss"] != metrics(whole)[0]["train_loss"]


# --- beginning with trained networks


def begin_with(run, path):
    return run(VIT, f"{QUICK} --model_dir {path}")


def test_warm_start(whole, data, run):
    data("places-lt")
    done = begin_with(run, whole)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"began with the networks of {whole}/final_model_checkpoint.pth\n")


@pytest.mark.parametrize("prefix", ["module.", ""])
def test_an_authors_file(prefix, whole, data, run, tmp_path):
    place = data("places-lt")
    theirs = read(whole / "final_model_checkpoint.pth")["state_dict_best"]["feat_model"]
    state = {prefix + name.removeprefix("module."): value for name, value in theirs.items()}
    for number in (1, 2):
        # a layer norm that their code makes and never uses
        state |= {f"{prefix}aux_layer{number}.norm.{name}": torch.ones(24) for name in ("weight", "bias")}
    path = tmp_path / "theirs" / "final_model_checkpoint.pth"
    path.parent.mkdir()
    torch.save({"state_dict_best": {"feat_model": state}}, path)
    done = begin_with(run, path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"began with the networks of {path}\n")
    assert begin_with(run, whole).returncode == 0
    losses = [(place / folder / "loss.csv").read_text() for folder in (PLACES, f"{PLACES}~1")]
    assert losses[0] == losses[1]


def test_an_authors_pretrained_file(whole, data, run):
    place = data("places-lt")
    state = read(whole / "final_model_checkpoint.pth")["state_dict_best"]["feat_model"]
    trunk = {name.removeprefix("module."): value for name, value in state.items() if "aux" not in name and "head" not in name}
    (place / "pretrain").mkdir()
    torch.save({"model": {**trunk, "mask_token": torch.zeros(1, 1, 24)}}, place / "pretrain" / "ImageNet_1K_Res_224.pth")
    done = run(VIT, QUICK.removesuffix("--no_pretrained"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"began with {len(trunk)} tensors of pretrain/ImageNet_1K_Res_224.pth")


# --- flags


def test_evaluation_alone(whole, place, capfd):
    before = {path.name: path.read_bytes() for path in whole.iterdir()}
    done = run_here(place, capfd.readouterr, f"{VIT} --test", SHORT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"networks of {PLACES}/final_model_checkpoint.pth\nPhase: val\n")
    assert "Epoch:" not in done.stdout
    assert f"every class: {PLACES}/evaluation/per_class.csv\n" in done.stdout
    tested = record(whole / "evaluation")["results"]["test"]
    best = record(whole)["results"]["best"]
    assert tested == {name: best[name] for name in tested}
    assert {name: (whole / name).read_bytes() for name in before} == before


def test_training_on_the_validation_list(data, run):
    place = data("imagenet-lt")
    command = "python main_ViT.py --cfg ./config/ImageNet_LT/ViT_B_16_384_stage1.yaml --val_as_train"
    done = run(command, QUICK)
    assert done.returncode == 0, done.stderr
    assert "ImageNet_LT: 8 training images of 4 classes" in done.stdout
    folder = place / "logs/ImageNet_LT/stage1/ViTB_16_384"
    assert max(record(folder)["class_counts"]) == 12  # priors and shot groups are those of the training list


@pytest.mark.parametrize(("select", "chosen", "told"), [("test", "test", "test"), ("last", None, "test"), ("val", "val", None)])
def test_what_chooses_the_best_epoch(select, chosen, told, data, run):
    place = data("places-lt")
    done = run(VIT, f"{SHORT} --select {select} --max-steps 2")
    assert done.returncode == 0, done.stderr
    assert ("the best epoch is chosen on the test set" in done.stderr) == (select == "test")
    every = metrics(place / PLACES)
    assert all((each["val"] is None) == (select != "val") for each in every)
    assert all((each["test"] is None) == (told is None) for each in every)
    results = record(place / PLACES)["results"]
    scores = [each[chosen]["accuracy"] for each in every] if chosen else [0, 0, 1]
    assert results["best"]["epoch"] == scores.index(max(scores))


@pytest.mark.usefixtures("whole")
def test_progress_in_plain_lines(place, capfd):
    done = run_here(place, capfd.readouterr, f"{VIT} --test", f"{SHORT} --progress plain")
    assert done.returncode == 0, done.stderr
    assert "val: batch 1/2\n" in done.stderr
    assert "test: batch 1/2\n" in done.stderr


@pytest.mark.usefixtures("whole")
def test_resuming_needs_the_same_run(place, capfd):
    done = run_here(place, capfd.readouterr, VIT, f"{SHORT} --resume-auto --batch_size 8")
    assert done.returncode == 2
    assert "holds a run with other options (training_opt was" in done.stderr


# --- several processes


def program(folder):
    """The README's launcher, as an installation has it."""
    path = folder / "bin" / "torch.distributed.launch"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\nexec python -c 'import sys; from longtail_cadel.launch import main; sys.exit(main())' \"$@\"\n")
    path.chmod(0o755)


def test_two_processes_are_one_in_the_readmes_words(data, in_terminal, run, small_vit_without_drop_path):
    place = data("places-lt")
    small_vit_without_drop_path()
    program(place)
    # batch_size is that of each process
    how = SHORT.replace("--num_epochs 3", "--num_epochs 2")
    done = in_terminal("torch.distributed.launch --nproc_per_node=2 main_ViT.py", how)
    assert done.returncode == 0, done.stderr
    assert "in batches of 8;" in done.stdout
    assert done.stdout.count("ALL COMPLETED.") == 1
    alone = run(VIT, how.replace("--batch_size 4", "--batch_size 8"))
    assert alone.returncode == 0, alone.stderr
    two, one = (read(place / folder / "latest_model_checkpoint.pth")["state_dict"] for folder in (f"{PLACES}~1", PLACES))
    assert two.keys() == one.keys()
    for name, value in two.items():
        torch.testing.assert_close(value, one[name], rtol=1e-3, atol=1e-4, msg=name)
    losses = [[each["train_loss"] for each in metrics(place / folder)] for folder in (f"{PLACES}~1", PLACES)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.fixture
def small_vit_without_drop_path(workplace):
    """Drop path draws for each rank anew."""

    def edit():
        path = workplace / "config/Places_LT/ViT_B_16_224_stage1.yaml"
        path.write_text(path.read_text().replace("drop_path: 0.1", "drop_path: 0.0"))

    return edit


# --- mistakes


@pytest.mark.parametrize(
    ("edit", "flags", "message"),
    [
        (
            ("batch_size: 128", "batchsize: 128"),
            "",
            r"line \d+: training_opt\.batchsize is not a known key; did you mean batch_",
        ),
        (
            ("dataset: Places_LT", "dataset: Places"),
            "",
            "training_opt.dataset is Places; these scripts know ImageNet_LT, Places_LT",
        ),
        (("img_size: 32", "img_size: 36"), "", "img_size must be 32, as training_opt.image_size, got 36"),
        (None, "--image_size 100", "images of 100 px cannot be cut into patches of 8 px"),
        (None, "--gpu 0,1,2 --batch_size 8", "a batch of 8 images cannot be split evenly over 3 processes"),
        (None, "--knn --test", "--knn cannot be done"),
        (
            None,
            "--cfg config/Places_LT/ViT_B_16_224_stage3.yaml",
            r"there is no such file.*did you mean \./config/Places_LT/ViT",
        ),
        (None, "--test", "no trained networks: there is no final_model_checkpoint.pth in ./logs/Places_LT/"),
        (None, "--model_dir lost/model.pth", "no trained networks at 'lost/model.pth', which model_dir names"),
        (None, "--model_dir lost", "there is no final_model_checkpoint.pth in lost"),
        (None, "--resume lost.pth", "lost.pth"),
    ],
)
def test_mistakes(edit, flags, message, data, run):
    place = data("places-lt")
    path = place / "config/Places_LT/ViT_B_16_224_stage1.yaml"
    if edit:
        text = path.read_text()
        assert edit[0] in text
        path.write_text(text.replace(*edit))
    refused(run(VIT, f"--device cpu --no_pretrained {flags}"), message)
    assert not (place / "logs").exists()


def refused(done, message, lines=3):
    """The command ended with a message of a few lines, and nothing else."""
    assert done.returncode == 2
    told = done.stderr.split("error: ", 1)[1]
    assert re.search(message, told), told
    assert len(told.splitlines()) <= lines
    assert "Traceback" not in done.stderr


def test_missing_pretrained_weights(data, run):
    data("places-lt")
    done = run(VIT, "--device cpu")
    refused(done, r"no pretrained weights at 'pretrain/ImageNet_1K_Res_224\.pth', which .*params\.checkpoint")
    assert "--no_pretrained" in done.stderr


@pytest.mark.usefixtures("small_networks")
def test_missing_pretrained_networks_for_places(data, run):
    data("places-lt")
    done = run("python main_CNN_Places365.py", "--device cpu")
    refused(done, r"no pretrained networks at '\./pretrain/Pretrain_for_Places_LT_v2\.pth', which pretrain_dir")
    assert "--no_pretrained" in done.stderr


@pytest.mark.usefixtures("small_networks")
def test_random_weights_that_stay_random(data, run):
    data("places-lt")
    done = run("python main_CNN_Places365.py", QUICK)
    assert done.stdout.startswith("began with random weights, and will keep those of feat_model, whose lr is 0\n")


def test_missing_data(workplace, run):
    done = run(VIT, QUICK)
    refused(done, r"Places-LT: Places_LT_train\.txt is in none of data/Places_LT/", lines=4)
    assert "longtail data fake --layout places-lt" in done.stderr
    assert not (workplace / "logs").exists()


@pytest.fixture
def own_copy(data):
    """The working folder with a Places-LT that may be changed."""
    place = data("places-lt")
    root = place / "data/Places_LT"
    lists = root.resolve()
    root.unlink()
    shutil.copytree(lists, root)
    return place


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ("1\n2\n3", r"num_shots\.txt has 3 classes, the training list of Places_LT has 4"),
        ("1\n2\n3\n400", r"contradicts the training list of Places_LT: class \d has .*remove the file"),
        ("one\ntwo", "cannot read class counts from"),
    ],
)
def test_class_counts_that_are_wrong(counts, message, own_copy, run):
    (own_copy / "data/Places_LT/num_shots.txt").write_text(counts)
    refused(run(VIT, QUICK), message)


def test_images_that_are_left_out_do_not_contradict_the_class_counts(own_copy, run):
    root = own_copy / "data/Places_LT"
    lines = [line.split() for line in (root / "Places_LT_train.txt").read_text().splitlines()]
    counts = Counter(label for _, label in lines)
    (root / "num_shots.txt").write_text("".join(f"{counts[str(label)]}\n" for label in range(4)))
    # fake lists name some images several times
    bad = max((path for path, _ in lines), key=[path for path, _ in lines].count)
    (root / bad).write_bytes(b"no image")
    done = run(VIT, f"{QUICK} --on-bad-image skip")
    assert done.returncode == 0, done.stderr
    assert f"Places_LT: {len([path for path, _ in lines if path != bad])} training images" in done.stdout


def test_another_number_of_classes_than_the_list_has(data, run):
    place = data("places-lt")
    path = place / "config/Places_LT/ViT_B_16_224_stage1.yaml"
    path.write_text(path.read_text().replace("num_classes: 4", "num_classes: 5"))
    refused(run(VIT, QUICK), r"training_opt\.num_classes is 5, but Places_LT in \./data/Places_LT/ has 4 classes")


@pytest.fixture
def levels_of_loggers():
    """All ranks but the first silence loggers, in this process for good."""
    loggers = [logging.getLogger(name) for name in ("longtail", "longtail_cadel")]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.mark.parametrize(("rank", "waits"), [("0", []), ("1", [2.0])])
@pytest.mark.usefixtures("levels_of_loggers")
def test_under_a_launcher_the_first_rank_tells_a_mistake_first(rank, waits, workplace, run, monkeypatch):
    """By the time that the others would tell it too, the launcher has ended them."""
    waited = []
    monkeypatch.setattr(training.time, "sleep", waited.append)
    for name, value in (("RANK", rank), ("LOCAL_RANK", rank), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    refused(run(f"{VIT} --local-rank={rank}", QUICK), "is in none of data/Places_LT/")
    assert waited == waits
    assert not (workplace / "logs").exists()
