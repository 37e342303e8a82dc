"""Names of combinations, such as `normout+rsg+ldam:cbl+supcon`: the words that stand in the name of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from longtail.errors import UserError
from longtail_rsg_study.flags import SUFFIXES

WEIGHTS: dict[str, dict[str, Any]] = {
    "icf": {"ldam_weight_type": "icf"},
    "cbl": {"ldam_weight_type": "cbl"},
    "none": {"ldam_weight_type": "cbl", "cbl_beta": 0.0},
}
"""What can stand behind `ldam:`, as flags of the training script; the first is what `ldam` means alone."""

_USUAL = next(iter(WEIGHTS))
_FLAGS = {word: flag for flag, word in SUFFIXES.items()}


@dataclass(frozen=True)
class Combination:
    """Which switches are on.

    Args:
        words: of the switches, in the order in which the name of a run has them.
        weights: LDAM's class weights, a key of `WEIGHTS`.
    """

    words: tuple[str, ...]
    weights: str = _USUAL

    @classmethod
    def parse(cls, text: str) -> Combination:
        """The combination of this name; its words may come in any order.

        Raises:
            UserError: a word is unknown or stands there twice.
        """
        weights = [part.partition(":")[2] for part in text.split("+") if part.startswith("ldam:")]
        words = ["ldam" if part.startswith("ldam:") else part for part in text.split("+")]
        unknown = [word for word in words if word not in _FLAGS] + [f"ldam:{each}" for each in weights if each not in WEIGHTS]
        if unknown:
            known = ", ".join([*_FLAGS, *(f"ldam:{each}" for each in WEIGHTS)])
            raise UserError(f"{unknown[0]!r} in {text!r} is no word of a combination; they are, with + between them:\n{known}")
        twice = [word for word in words if words.count(word) > 1]
        if twice:
            raise UserError(f"combination {text!r} names {twice[0]} twice")
        return cls(tuple(word for word in _FLAGS if word in words), *weights)

    def __str__(self) -> str:
        """The name, with LDAM's weights where they are not the usual ones."""
        told = {"ldam": "ldam" if self.weights == _USUAL else f"ldam:{self.weights}"}
        return "+".join(told.get(word, word) for word in self.words)

    @property
    def flags(self) -> dict[str, Any]:
        """Every switch of the training script, on or off, and the weights of LDAM where there is one."""
        switches = {flag: word in self.words for word, flag in _FLAGS.items()}
        return {**switches, **(WEIGHTS[self.weights] if "ldam" in self.words else {})}

    @property
    def untold(self) -> str:
        """What the name of a run, made of the switches, does not tell of the combination."""
        return "" if self.weights == _USUAL else self.weights


_WITHOUT_RSG = ("ce", "focal", "normout+ldam", "normout+ldam:cbl", "normout+ldam:none", "ce+supcon", "normout+ldam+supcon")
_WITH_RSG = (str(Combination.parse(f"rsg+{each}")) for each in _WITHOUT_RSG)

GRID = (*_WITHOUT_RSG, *_WITH_RSG, "ce+arcmar", "ce+addmar", "ce+sphere")
"""What is compared unless told: the losses, with the classifier that suits each, the same with RSG, and the margin heads."""
