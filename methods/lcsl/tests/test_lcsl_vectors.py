"""Numbers computed with the paper's original code: schedules, draws, labels, whole runs of a toy network, lines and names."""

import contextlib
import io
import json
import re
import shlex

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lcsl_toy import BATCHES, BEST, COUNTS, ToyNet, clock, one_stream, toy_data, toy_images, toy_open, toy_run
from torch import nn

from longtail.backbones import Backbone
from longtail.loading.base import Batch
from longtail.metrics import ClassificationCounts, summarise
from longtail.training.mixup import Mix, blended
from longtail.training.reports import Listener
from longtail_lcsl.classifier import normalise_classifier, tau_normalised
from longtail_lcsl.experiments import EXPERIMENTS
from longtail_lcsl.flags import as_given, create_parser, run_name
from longtail_lcsl.logs import PaperLog, console_line, log_line, result_lines
from longtail_lcsl.recipe import LCSL, SelfLabelling, mirrored_mean
from longtail_lcsl.schedules import warmup_late_cosine


def decimals(values, places=8):
    """Equal to numbers that were published with so many decimals."""
    return pytest.approx(values, abs=0.51 * 10**-places, rel=0)


def ten_digits(values):
    """Equal to numbers that were published with ten digits."""
    return pytest.approx(values, rel=6e-10)


@pytest.mark.parametrize(
    ("lr", "warmup", "epochs", "rates"),
    [
        (
            0.01,
            10,
            300,
            {
                1: 0.001,
                2: 0.002,
                5: 0.005,
                10: 0.01,
                11: 0.009999708626830616,
                12: 0.009998834541281799,
                13: 0.009997377845227575,
                50: 0.009540998314539329,
                100: 0.007819785149254532,
                150: 0.0052967114818292275,
                155: 0.005026989496539522,
                156: 0.004973010503460479,
                200: 0.0026892621598001154,
                250: 0.0007389158817201541,
                290: 3.521508137971807e-05,
                299: 1.1654587182013953e-06,
                300: 2.9137316938265825e-07,
            },
        ),
        (0.1, 0, 4, {1: 0.09045084971874738, 2: 0.06545084971874737, 3: 0.03454915028125263, 4: 0.009549150281252633}),
        (0.1, 2, 5, {1: 0.05, 2: 0.1, 3: 0.08535533905932738, 4: 0.05, 5: 0.014644660940672627}),
    ],
)
def test_learning_rates(lr, warmup, epochs, rates):
    schedule = warmup_late_cosine(warmup, epochs)
    assert {epoch: lr * schedule(epoch - 1) for epoch in rates} == pytest.approx(rates, rel=1e-12)


def test_draws_and_blends():
    images, labels = torch.arange(4.0).view(4, 1, 1, 1), torch.tensor([3, 1, 4, 1])
    mixing = one_stream()
    for share, others, mixed in (
        (0.44912526447830964, [3, 1, 1, 4], [0, 1, 2.55087471, 2.44912529]),
        (0.023707189032098733, [3, 4, 1, 1], [0, 1.97629273, 2.97629261, 1.04741430]),
        (0.15599464004468885, [1, 4, 3, 1], [2.53201604, 1.84400535, 0.31198928, 1.31198931]),
    ):
        mix = mixing(None, 4)
        assert mix.share == share
        assert labels[mix.partners].tolist() == others
        assert blended(images, mix).flatten().tolist() == decimals(mixed)


class Told(Backbone):
    """Gives the logits that it was told, one table for images that are brighter on the left, another for mirrored ones."""

    num_features = 3

    def __init__(self, logits, mirrored=None):
        super().__init__()
        self.logits = torch.tensor(logits, dtype=torch.float64)
        self.mirrored = self.logits if mirrored is None else torch.tensor(mirrored, dtype=torch.float64)
        self.fc = nn.Linear(3, 4, dtype=torch.float64)

    @property
    def classifier(self):
        return self.fc

    def features(self, images):
        raise AssertionError("nobody asks for features here")

    def forward(self, images):
        upright = images[:, 0, 0, :1] > images[:, 0, 0, 1:]
        rows = torch.arange(len(images)) % len(self.logits)
        return torch.where(upright, self.logits[rows], self.mirrored[rows])


STUDENT = [[2, 0.5, -1, 0, 1], [0, 0, 0, 0, 0], [-1, 3, 0.5, 0.25, -0.5], [0.1, 0.2, 0.3, 0.4, 0.5]]
TEACHER = [[0, 0, 3, 0, 0], [4, 0, 0, 0, 0], [0, 0, 0, 0.5, 0], [0, 0, 0, 0, 2]]
MIRRORED = [[0, 1, 2, 0, 0], [2, 1, 0, 0, 0], [0, 0, 0, 1.5, 0.5], [0, 0, 0, 1, 3]]
LABELS = torch.tensor([0, 1, 2, 4])
PARTNERS = torch.tensor([2, 0, 3, 1])
SHARE = 0.3
LEFT = torch.tensor([1.0, 0.0], dtype=torch.float64).expand(4, 1, 1, 2)


def told_recipe(counts=(40, 20, 6, 5, 4), student=STUDENT, teacher=TEACHER, mirrored=MIRRORED, **settings):
    """A recipe whose networks say what the vectors tell, and whose teacher may teach."""
    networks = Told(student), Told(teacher, mirrored)
    recipe = LCSL(*networks, np.array(counts), SelfLabelling(**settings), lambda *_: Mix(SHARE, PARTNERS))
    recipe.can_teach.fill_(True)
    recipe.begin_epoch(clock())
    return recipe


def told_step(**settings):
    return told_recipe(**settings)(Batch(LEFT, LABELS, torch.arange(4), 4), clock())


def test_loss_of_each_sample():
    recipe = told_recipe()
    logits, own_labels = recipe.backbone(LEFT), recipe.self_labels(LEFT)[0]
    assert recipe.minority.tolist() == [False, False, True, True, True]
    assert own_labels.tolist() == [2, 0, 3, 4]
    first, second = (recipe.loss.per_sample(logits, labels) for labels in (LABELS, LABELS[PARTNERS]))
    mixup = SHARE * first + (1 - SHARE) * second
    assert mixup.tolist() == decimals([2.67443794, 1.60943791, 3.37774936, 1.62941633])
    own = recipe.loss.per_sample(logits, own_labels)
    assert own.tolist() == decimals([3.57443794, 1.60943791, 2.92774936, 1.41941633])


@pytest.mark.parametrize(
    ("tau", "confidences", "mask", "own_loss", "loss"),
    [
        (1.0, [0.72380359, 0.81205334, 0.38819802, 0.72380359], [1, 0, 0, 1], 1.24846357, 3.57122395),
        (0.5, [0.96289997, 0.98602390, 0.61382229, 0.96289997], [1, 0, 1, 1], 1.98040091, 4.30316129),
        (2.0, [0.44895518, 0.51127482, 0.28515365, 0.44895518], [0, 0, 0, 0], 0, 2.32276038),
    ],
)
def test_self_labels_and_loss(tau, confidences, mask, own_loss, loss):
    recipe = told_recipe(tau=tau)
    assert F.softmax(mirrored_mean(recipe.teacher, LEFT) / tau, dim=1).amax(dim=1).tolist() == decimals(confidences)
    assert recipe.self_labels(LEFT)[1].tolist() == mask
    output = told_step(tau=tau)
    assert output.loss.item() == decimals(loss)
    parts = {"mixup_loss": 2.32276038, "self_labelling_loss": own_loss, "self_labelled": sum(mask) / 4}
    assert {name: value.item() for name, value in output.parts.items()} == decimals(parts)


def test_the_threshold_selects_what_the_table_says():
    """The mask at the confidences of the table, to the last of their digits."""
    for confidence, selected in ((0.7238035, [1, 0, 0, 1]), (0.7238037, [0, 0, 0, 0]), (0.3881979, [1, 0, 1, 1])):
        assert told_recipe(confidence=confidence).self_labels(LEFT)[1].tolist() == selected


def test_weights_of_the_losses():
    assert told_step(alpha=2.0, beta=3.0).loss.item() == decimals(8.39091147)


@pytest.mark.parametrize(("confidence", "passes"), [(0.5, 1), (0.5 + 1e-15, 0)])
def test_a_confidence_equal_to_the_threshold_passes(confidence, passes):
    undecided = [[0, 0]] * 4
    recipe = told_recipe((1, 3), undecided, undecided, undecided, confidence=confidence)
    labels, selected = recipe.self_labels(LEFT)
    assert (labels.tolist(), selected.tolist()) == ([0] * 4, [passes] * 4)


ROWS = torch.tensor([[3, 4, 0], [0.5, 0, 0], [1, 2, 2], [-0.1, 0.2, -0.2]], dtype=torch.float64)
UNIT = [[0.6, 0.8, 0], [1, 0, 0], [1 / 3, 2 / 3, 2 / 3], [-1 / 3, 2 / 3, -2 / 3]]


def test_tau_normalised_rows():
    assert tau_normalised(ROWS, 1.0).numpy() == pytest.approx(np.array(UNIT), abs=1e-15)
    found = tau_normalised(ROWS, 1.9)
    expected = [
        [0.14095427, 0.18793903, 0],
        [1.86606598, 0, 0],
        [0.12401369, 0.24802737, 0.24802737],
        [-0.98507572, 1.97015145, -1.97015145],
    ]
    assert found.numpy() == decimals(np.array(expected))
    assert found.norm(dim=1).tolist() == decimals([0.23492379, 1.86606598, 0.37204106, 2.95522717])


def test_normalised_classifier_keeps_its_biases():
    network = Told(STUDENT)
    with torch.no_grad():
        network.fc.weight.copy_(ROWS)
        network.fc.bias.copy_(torch.arange(1.0, 5.0))
    normalise_classifier(network)
    assert network.fc.weight.detach().numpy() == pytest.approx(np.array(UNIT), abs=1e-15)
    assert network.fc.bias.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("tau", [0.5, 1.0, 1.9])
def test_a_row_of_zeros_stays_one(tau):
    rows = torch.zeros(2, 3, dtype=torch.float32)
    rows[1, 0] = 2.0
    found = tau_normalised(rows, tau)
    assert found[0].tolist() == [0, 0, 0]
    assert found[1].tolist() == pytest.approx([2 ** (1 - tau), 0, 0])


def counted(truth, predictions, classes):
    """What was counted when these classes were predicted."""
    counts = ClassificationCounts(classes)
    counts.update(F.one_hot(torch.tensor(predictions), classes).double(), torch.tensor(truth))
    return counts


def test_shot_groups():
    predictions = [1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 2, 0, 3, 3, 3, 4, 4, 4, 4]
    summary = summarise(counted(np.repeat(np.arange(5), 4).tolist(), predictions, 5), [150, 100, 20, 19, 101])
    assert summary.per_class_accuracy == (0.75, 0.5, 0.25, 0.75, 1.0)
    assert (summary.many, summary.medium, summary.few) == (0.875, 0.375, 0.75)
    assert result_lines(summary.to_dict()) == "acc avgClass:  65.0%\nMany: 87.5% Medium: 37.5% Few: 75.0%"


def test_lines_of_an_epoch():
    summary = summarise(counted([0, 0, 0, 0, 1, 1, 2], [0, 0, 0, 1, 1, 2, 2], 3), [4, 2, 1])
    assert (summary.accuracy, summary.balanced_accuracy) == (pytest.approx(5 / 7), 0.75)
    scores = 1.23456789, summary.accuracy, summary.balanced_accuracy
    line = "\tloss: 1.234568 | acc-all: 0.71429 | acc-avg-cls: 0.75000 | training time: 0.50000"
    assert console_line(scores, "training", 0.5) == line
    assert log_line(scores, "training") == "\ttraining: loss:1.234568, acc-all:0.71429, acc-avg-cls:0.75000\n"


def test_a_class_that_is_only_predicted_does_not_count():
    assert summarise(counted([0, 0, 1], [0, 2, 1], 3), [4, 2, 1]).balanced_accuracy == 0.75


def test_the_toy_is_that_of_the_vectors():
    patterns, *_ = toy_images()
    assert patterns[0, 0, 0, :3].tolist() == decimals([3.43436858, 0.64938666, -0.9490868])
    assert ToyNet(331).conv.weight[0, 0, 0].tolist() == decimals([-0.91863875, 0.60740627, 0.24750378])


class Watched(LCSL):
    """Remembers what the teacher said."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.said = []

    def self_labels(self, mixed):
        labels, selected = super().self_labels(mixed)
        self.said.append((teacher_confidence(self, mixed), labels.tolist(), selected.tolist()))
        return labels, selected


@torch.no_grad()
def teacher_confidence(recipe, mixed):
    return F.softmax(mirrored_mean(recipe.teacher, mixed) / recipe.settings.tau, dim=1).amax(dim=1).tolist()


class Losses(Listener):
    """The loss of each batch."""

    def __init__(self):
        self.values = []

    def train_batch(self, report, clock, learning_rate):
        self.values.append(report.loss.value)


class NoFigures:
    """Stands in for the figures, which have tests of their own."""

    def draw(self, records, plain, tau):
        self.drawn = records, plain, tau


class RunA:
    """The toy run with both losses weighted alike, and all that it said and wrote."""

    def __init__(self, folder):
        self.folder, self.losses, self.mixing, self.figures = folder, Losses(), one_stream(), NoFigures()
        log = PaperLog(toy_open(folder), name="toy", flags={"dataset": "toy", "lr": 0.1}, figures=self.figures)
        with contextlib.redirect_stdout(io.StringIO()) as said:
            self.recipe, self.results = toy_run(
                folder,
                SelfLabelling(confidence=0.4),
                listeners=[self.losses, log],
                mixing=self.mixing,
                recipe_class=Watched,
            )
        self.said = said.getvalue()


@pytest.fixture(scope="module")
def run_a(tmp_path_factory):
    return RunA(tmp_path_factory.mktemp("a"))


TABLE_A = {
    "loss_train": [1.103217697, 1.074567723, 0.9836054435, 1.010062607, 0.8818897592],
    "loss_test": [1.013701186, 1.293460521, 1.268211736, 1.131644199, 1.105825101],
    "acc_train": [0.3333333333, 0.5714285714, 0.4444444444, 0.6666666667, 0.6666666667],
    "acc_test": [0.5, 0.3333333333, 0.3333333333, 0.6666666667, 0.6666666667],
    "lr": [0.05, 0.1, 0.08535533906, 0.05, 0.01464466094],
}


def epochs_of(folder):
    """The lines of `metrics.jsonl`."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_run_a_epoch_by_epoch(run_a):
    records = json.loads((run_a.folder / "checkpoints" / "log.json").read_text())
    assert list(records) == list(TABLE_A)
    for name, values in TABLE_A.items():
        assert records[name] == ten_digits(values), name
    assert [epoch["is_best"] for epoch in epochs_of(run_a.folder)] == [True, False, False, True, False]
    assert run_a.figures.drawn == (records, run_a.results["best"], run_a.results["final"]["tau_normalised"])


def test_run_a_batch_by_batch(run_a):
    assert run_a.losses.values == ten_digits(
        [
            *(1.019848802, 1.208087888, 1.081716401, 1.331482329, 1.054172466, 0.8380483736, 1.22395763, 1.103433429),
            *(0.6234252715, 1.380219279, 1.165295654, 0.4846728869, 1.084368848, 1.094224626, 0.4670758045),
        ]
    )
    assert [mix.share for mix in run_a.mixing.drawn] == decimals(
        [
            *(0.44912526, 0.02370719, 0.15599464, 0.55722649, 0.02952397, 0.45133699, 0.92053184, 0.62003262),
            *(0.46445322, 0.56424771, 0.72055205, 0.65609528, 0.59020864, 0.82607833, 0.34774410),
        ]
    )


TEACHER_A = {
    4: ([0.343258, 0.404367, 0.431060, 0.384323], [0, 1, 0, 1], [0, 1, 0, 0]),
    6: ([0.535060, 0.358370, 0.367798, 0.340350], [1, 1, 0, 0], [1, 0, 0, 0]),
    10: ([0.380535, 0.405594, 0.431060, 0.345304], [1, 1, 0, 1], [0, 1, 0, 0]),
    13: ([0.563696, 0.451409, 0.543043, 0.510263], [0, 0, 0, 0], [0, 0, 0, 0]),
    15: ([0.539190, 0.530149, 0.522586, 0.503275], [1, 0, 0, 0], [1, 0, 0, 0]),
}


@pytest.mark.parametrize("iteration", TEACHER_A)
def test_run_a_teacher(run_a, iteration):
    # nobody taught the first epoch, which had three batches
    confidence, labels, selected = run_a.recipe.said[iteration - 4]
    expected = TEACHER_A[iteration]
    assert confidence == decimals(expected[0], 6)
    assert (labels, selected) == expected[1:]


def test_run_a_random_teacher():
    """What the original's random teacher would say of the first batch, in which ours has no teacher yet."""
    recipe = LCSL(ToyNet(331), ToyNet(332), COUNTS, SelfLabelling(confidence=0.4))
    normalise_classifier(recipe.teacher)
    train, _ = toy_data()
    mixed = blended(next(iter(train.epoch(0))).images, one_stream()(None, len(BATCHES[0])))
    assert teacher_confidence(recipe, mixed) == decimals([0.647686, 0.795431, 0.643765, 0.644775], 6)
    labels, selected = recipe.self_labels(mixed)
    assert (labels.tolist(), selected.tolist()) == ([0] * 4, [0] * 4)


@torch.no_grad()
def test_run_a_final_networks(run_a):
    student, teacher = run_a.recipe.backbone, run_a.recipe.teacher
    assert student.conv.weight.sum().item() == ten_digits(0.7168564247)
    assert student.conv.weight.flatten()[:4].tolist() == decimals([-0.77340687, 0.64179999, 0.15407967, 0.78687178])
    assert student.bn.weight.tolist() == decimals([1.30257850, 0.93645148, 1.26411122, 0.59546995])
    assert student.bn.running_mean.tolist() == decimals([0.17955623, -0.38637429, 0.23211437, -0.17782208])
    assert student.bn.running_var.tolist() == decimals([20.81258484, 25.49616671, 13.59838863, 25.23790276])
    assert student.bn.num_batches_tracked == 30
    assert student.fc.weight.sum().item() == ten_digits(-1.655843101)
    assert student.fc.weight[0].tolist() == decimals([-1.21890959, 0.27465339, 2.04737437, -1.72657147])
    assert student.fc.bias.tolist() == decimals([0.45513801, 0.01071603, -0.46585404])
    assert teacher.fc.weight[0].tolist() == decimals([-0.41190172, 0.09360675, 0.69338680, -0.58377179])
    assert teacher.fc.weight.norm(dim=1).tolist() == pytest.approx([1, 1, 1])


def test_run_a_files(run_a):
    assert (run_a.folder / "toy_note_bestModel.log").read_text() == (
        "The best model is achieved at epoch-1: loss1.01370, acc-all:0.50000, acc-avg-cls:0.50000.\n"
        "The best model is achieved at epoch-4: loss1.13164, acc-all:0.66667, acc-avg-cls:0.66667.\n"
    )
    assert [path.name for path in (run_a.folder / "checkpoints").glob("*_model.pth")] == ["epoch_005_model.pth"]
    last = torch.load(run_a.folder / "checkpoints" / "epoch_005_model.pth", weights_only=True)
    assert all(torch.equal(last[name], value) for name, value in run_a.recipe.backbone.state_dict().items())
    assert (
        (run_a.folder / "toy_train.log")
        .read_text()
        .endswith(
            "\nEpoch 5/5\n----------\n"
            "\ttraining: loss:0.881890, acc-all:0.83333, acc-avg-cls:0.66667\n"
            "\ttesting: loss:1.105825, acc-all:0.66667, acc-avg-cls:0.66667\n"
        )
    )


def test_run_a_console(run_a):
    epochs = re.sub(r"(time: )\d+\.\d{5}$", r"\1#", run_a.said, flags=re.MULTILINE).split("Adjusting learning rate to  ")
    assert epochs[4] == (
        "0.05\n\nEpoch 4/5\n----------\n"
        "\tloss: 1.010063 | acc-all: 0.83333 | acc-avg-cls: 0.66667 | training time: #\n"
        "\tloss: 1.131644 | acc-all: 0.66667 | acc-avg-cls: 0.66667 | testing time: #\n"
        "\t-----------> New best accuracy:0.66667\n"
        "\t-----------> Load new weights for the pseudo teacher\n\n"
    )
    assert epochs[3].endswith("\tCurrent best accuracy:0.50000\n\tCurrent count_epoch:  2\n\n")
    assert run_a.said.endswith(
        "The results on test dataset:\nacc avgClass:  66.7%\nMany: absent Medium: absent Few: 66.7%\n\n"
        "Apply L2 at the FC layer\nacc avgClass:  33.3%\nMany: absent Medium: absent Few: 33.3%\n\n"
    )


BEST_ROWS = [
    [-1.22217135, 0.27774461, 2.05737785, -1.73213444],
    [1.72562656, 0.18996973, -0.95875193, -0.93677221],
    [-1.21026070, 0.07678829, 0.45677848, -0.38286669],
]
FINAL_LOGITS = {
    "flip": [
        [0.831094, 0.382877, -0.796716],
        [1.109419, 0.198126, -0.695979],
        [0.533283, 0.678000, -1.049281],
        [0.370658, 0.888135, -1.197955],
        [1.681599, -0.400178, -0.322647],
        [1.951203, -0.578554, -0.214726],
    ],
    "tau_normalised_flip": [
        [0.503471, 0.090493, -0.650767],
        [0.538717, 0.048950, -0.593908],
        [0.465758, 0.156854, -0.793320],
        [0.445164, 0.204105, -0.877235],
        [0.611176, -0.085583, -0.383190],
        [0.645317, -0.125693, -0.322277],
    ],
}


@torch.no_grad()
def test_final_evaluation_of_run_a(run_a):
    recipe = LCSL(ToyNet(0), None, COUNTS, SelfLabelling())
    recipe.backbone.load_state_dict(torch.load(run_a.folder / BEST, weights_only=True))
    recipe.eval()
    assert recipe.backbone.fc.weight.numpy() == decimals(np.array(BEST_ROWS))
    assert recipe.backbone.fc.bias.tolist() == decimals([0.45596681, 0.00567638, -0.46164319])
    *_, images, _ = toy_images()
    for name, logits in FINAL_LOGITS.items():
        assert recipe.final_predictors()[name](images).numpy() == decimals(np.array(logits), 6), name
    scores = {name: result["balanced_accuracy"] for name, result in run_a.results["final"].items()}
    assert (scores["flip"], scores["tau_normalised_flip"]) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert {result["epoch"] for result in run_a.results["final"].values()} == {3}


OTHER_RUNS = {
    "B": (
        SelfLabelling(alpha=0.5, beta=2.0, confidence=0.4),
        {
            "loss_train": [0.5609533476, 0.9378786487, 0.5845294461, 0.6837274079, 1.144236352],
            "loss_test": [1.006187773, 1.025546449, 1.10789499, 1.147678053, 1.158263692],
            "acc_test": [1 / 3, 1 / 3, 1 / 3, 0.5, 1 / 3],
            "bias": [0.34902536, 0.14053106, -0.48955642],
        },
    ),
    "C": (
        SelfLabelling(confidence=0.4, normalise_teacher=False),
        {
            "loss_train": [1.103217697, 1.326222951, 0.9078746948, 1.063687343, 0.9764515909],
            "loss_test": [1.013701186, 1.152685167, 1.191200048, 1.162513088, 1.149533049],
            "acc_test": [0.5, 0.5, 2 / 3, 2 / 3, 2 / 3],
        },
    ),
    "beta twice alpha": (
        SelfLabelling(beta=2.0, confidence=0.4),
        {"loss_train": [1.103217697, 1.193958013, 1.020668369, 0.9689261424, 0.9184621093]},
    ),
}


@pytest.mark.parametrize("name", OTHER_RUNS)
def test_other_runs(tmp_path, name):
    settings, expected = OTHER_RUNS[name]
    recipe, _ = toy_run(tmp_path, settings)
    epochs = epochs_of(tmp_path)
    found = {
        "loss_train": [epoch["train_loss"] for epoch in epochs],
        "loss_test": [epoch["test"]["loss"] for epoch in epochs],
        "acc_test": [epoch["test"]["balanced_accuracy"] for epoch in epochs],
        "bias": recipe.backbone.fc.bias.tolist(),
    }
    for what, values in expected.items():
        assert found[what] == (decimals(values) if what == "bias" else ten_digits(values)), what


def parsed(line):
    return create_parser().parse_args(shlex.split(line))


@pytest.mark.parametrize(
    ("factor", "ratio"),
    [(0.01, 100), (0.02, 50), (0.05, 20), (0.1, 10), (0.005, 200), (0.03, 33), (0.002, 500), (1.0, 1)],
)
def test_names_of_runs_on_cifar(factor, ratio):
    name = f"LCSL_cifar10_IF_{ratio}_data_aug_none_network_ResNet32"
    assert run_name(parsed(f"--dataset cifar10 --imb_factor {factor}"), EXPERIMENTS["cifar10"]) == name


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ("", "LCSL_cifar100_IF_100_data_aug_none_network_ResNet32"),
        ("--dataset imagenet", "LCSL_imagenet_data_aug_none_network_ResNeXt50"),
        ("--dataset inaturalist", "LCSL_inaturalist_data_aug_none_network_ResNet50"),
    ],
)
def test_names_of_runs(flags, name):
    args = parsed(flags)
    assert run_name(args, EXPERIMENTS[args.dataset]) == name


ARGUMENTS = {
    "image_size": 32,
    "dataset": "cifar100",
    "batch_size": 64,
    "optimizer": "sgd",
    "imb_type": "exp",
    "imb_factor": 0.01,
    "alpha": 1.0,
    "beta": 1.0,
    "tau": 1.0,
    "lr": 0.01,
    "weight_decay": 0.005,
    "warmup_epochs": 10,
    "data_aug": "none",
    "epochs": 300,
    "gpu": "0",
    "fc_norm": 1.9,
    "start_epoch": 1,
    "lambda_init": 0.5,
}


def test_arguments_of_the_published_command(tmp_path):
    """In `args.txt`, to the character; the two values after them are not flags."""
    args = parsed(
        "--dataset='cifar100' --batch_size=64 --imb_factor=0.01 --alpha=1. --beta=1. --lr=0.01 "
        "--gpu=0 --weight_decay=5e-3 --epochs=300 --lambda_init=0.5"
    )
    experiment = EXPERIMENTS[args.dataset]
    flags = {**as_given(args), "nClasses": experiment.num_classes, "network": experiment.network}
    PaperLog(toy_open(tmp_path), name="toy", flags=flags, figures=NoFigures()).run_started(0, 300)
    expected = {**ARGUMENTS, "nClasses": 100, "network": "ResNet32"}
    assert (tmp_path / "args.txt").read_text() == json.dumps(expected, indent=2)
