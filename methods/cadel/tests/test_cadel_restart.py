"""A run that is killed and goes on is, to the bit, the run that nothing interrupted."""

import json

import pytest
import torch
from cadel_workplace import make_workplace, put_data

from longtail.testing import Killed, flattened, killed_at, run_here
from longtail_cadel.recipe import CADEL

SCRIPTS = {
    "vit": ("python main_ViT.py", "logs/Places_LT/models/ViTB_16_224"),
    "cnn": ("python main_CNN_Places365.py", "logs/Places_LT/models/resnet152_caffe"),
}
HOW = "--device cpu --batch_size 3 --num_workers 0 --no_pretrained --num_epochs 3"


def metrics(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in each.items() if key != "train_seconds"} for each in lines]


def state(path):
    """All of a checkpoint but how many bytes of which log belong to it; seconds have several lengths."""
    content = torch.load(path, weights_only=True)
    content.get("longtail", {"progress": {}})["progress"].pop("log_sizes", None)
    return flattened(content)


def assert_same(folder, whole):
    """Two folders hold the same to the bit, but for what tells of time or of how the run was started."""
    assert {each.name for each in folder.iterdir()} == {each.name for each in whole.iterdir()}
    for name in ("acc.csv", "loss.csv", "log.txt", "cfg.yaml", "cls_accs.pkl", "per_class.csv"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
    assert metrics(folder) == metrics(whole)
    for path in whole.glob("*.pth"):
        assert state(folder / path.name) == state(path), path.name
    records = [json.loads((each / "run.json").read_text()) for each in (folder, whole)]
    for key in ("results", "identity"):
        assert records[0][key] == records[1][key]


@pytest.fixture(scope="module")
def undisturbed(fake_data, tmp_path_factory):
    """Folders of runs that nothing interrupted, each made once; to be called while small networks are in place."""
    made = {}

    def folder_of(kind):
        if kind not in made:
            place = make_workplace(tmp_path_factory.mktemp(kind))
            put_data(place, fake_data, ["places-lt"])
            command, folder = SCRIPTS[kind]
            assert run_here(place, lambda: ("", ""), command, HOW).returncode == 0
            made[kind] = place / folder
        return made[kind]

    return folder_of


@pytest.mark.parametrize(
    ("kind", "died", "every"), [("vit", (1, 3), 2), ("vit", (2, 1), None), ("cnn", (1, 4), 3)], ids=["vit", "epoch", "cnn"]
)
@pytest.mark.usefixtures("small_networks")
def test_killed_and_resumed_equals_uninterrupted(kind, died, every, undisturbed, data, run, capfd):
    whole = undisturbed(kind)
    command, name = SCRIPTS[kind]
    folder = data("places-lt") / name
    with killed_at(CADEL, *died), pytest.raises(Killed):
        run(command, HOW if every is None else f"{HOW} --checkpoint-every {every}")
    assert not json.loads((folder / "run.json").read_text())["finished"]
    capfd.readouterr()
    done = run(command, f"{HOW} --resume-auto")
    assert done.returncode == 0, done.stderr
    assert "Epoch: [1/3]" not in done.stdout
    assert_same(folder, whole)
    assert not folder.with_name(f"{folder.name}~1").exists()


def test_resumed_from_a_file(undisturbed, data, run):
    whole = undisturbed("vit")
    command, name = SCRIPTS["vit"]
    folder = data("places-lt") / name
    assert run(command, f"{HOW} --max-epochs 2").returncode == 0
    done = run(command, f"{HOW} --resume {folder}/latest_model_checkpoint.pth")
    assert done.returncode == 0, done.stderr
    assert_same(folder, whole)


def test_a_final_file_is_no_state_to_resume(undisturbed, data, run):
    final = undisturbed("vit") / "final_model_checkpoint.pth"
    data("places-lt")
    done = run(SCRIPTS["vit"][0], f"{HOW} --resume {final}")
    assert done.returncode == 2
    assert f"--resume {final}: this file holds the best networks, not the state of a run; latest_model_" in done.stderr
