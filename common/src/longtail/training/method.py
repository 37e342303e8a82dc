"""What a method package offers to the core, and how the core finds it; torch comes with `Method.build`, not before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from longtail.errors import UserError
from longtail.training.registry import installed_methods
from longtail.training.runtime import RuntimeOptions

if TYPE_CHECKING:
    import torch

    from longtail.backbones import Backbone
    from longtail.datasets.base import ImageData, LongTailData
    from longtail.distributed import Ranks
    from longtail.loading.augment import Augmentation
    from longtail.loading.base import RandomAccessLoader
    from longtail.loading.framing import Framed
    from longtail.loading.orders import Order
    from longtail.randomness import Randomness
    from longtail.training.stage import Stage

MakeBackbone: TypeAlias = "Callable[[str], Backbone]"
"""Makes the network with the named head, "linear" or "cosine", on the CPU."""


@dataclass(frozen=True)
class Setting:
    """Where and how a stage will run: what a method needs besides the data and its own options.

    Args:
        device, ranks: of this process.
        randomness: of the run.
        runtime: the shared options.
        workers: processes of each loader of files.
    """

    device: torch.device
    ranks: Ranks
    randomness: Randomness
    runtime: RuntimeOptions
    workers: int = 0

    def loader(
        self,
        data: LongTailData,
        part: ImageData,
        order: Order,
        *,
        batch_size: int,
        augmentation: Augmentation | Framed | None = None,
        stream: str = "augment",
        drop_last: bool = False,
    ) -> RandomAccessLoader:
        """A loader of a part of `data` (train, val, test) for this process; the arguments are those of `create_loader`."""
        from longtail.loading.factory import create_loader

        return create_loader(
            part,
            order,
            batch_size=batch_size,
            image_size=data.image_size,
            mean=data.mean,
            std=data.std,
            randomness=self.randomness,
            augmentation=augmentation,
            stream=stream,
            device=self.device,
            rank=self.ranks.rank,
            world_size=self.ranks.world_size,
            drop_last=drop_last,
            workers=self.workers,
        )

    def in_order(self, data: LongTailData, part: ImageData, *, batch_size: int) -> RandomAccessLoader:
        """A loader of a part of `data`, every image once and unaugmented, for evaluation."""
        from longtail.loading.orders import Sequential

        return self.loader(data, part, Sequential(len(part)), batch_size=batch_size)


class Method(Protocol):
    """A paper's algorithm for any data set.

    Its module, and whatever that imports, is free of torch and numpy, which `build` imports for itself: a help text, a list of
    methods or a wrong option need neither.

    name: as on the command line.
    paper: title, venue and year.
    year: of the paper; None for what is no paper's.
    cost: of a training step, as a multiple of plain training's on the same network, in words.
    needs: what it needs besides the training and the test images, in words.
    options: a frozen dataclass; each field's metadata holds its flag's `help` (and `choices`), its default is the paper's.
    """

    name: str
    paper: str
    year: int | None
    cost: str
    needs: str
    options: type[Any]

    def build(self, data: LongTailData, backbone: MakeBackbone, options: Any, setting: Setting) -> Stage:
        """What trains a fresh network on `data`; reads no image, since a trained run is made again without any."""
        ...


def load_method(name: str) -> Method:
    """The installed method of that name.

    Raises:
        UserError: there is none.
    """
    installed = installed_methods()
    if name not in installed:
        raise UserError(f"no method {name!r} is installed; installed: {', '.join(installed) or 'none'}")
    method: Method = installed[name].load()
    return method
