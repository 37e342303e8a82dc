"""Ranks, reductions, and losses over the global batch. Everything here is the identity where one process runs alone."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from longtail.errors import UserError


class Ranks(NamedTuple):
    """This process's place: global rank, rank on this machine, number of processes."""

    rank: int = 0
    local_rank: int = 0
    world_size: int = 1

    @property
    def is_first(self) -> bool:
        """True on the one process that prints and writes."""
        return self.rank == 0


def ranks() -> Ranks:
    """The place of this process, from the variables that `torchrun` sets; a lone process is rank 0 of 1."""
    read = {
        name: os.environ.get(name, fallback) for name, fallback in (("RANK", "0"), ("LOCAL_RANK", "0"), ("WORLD_SIZE", "1"))
    }
    try:
        return Ranks(int(read["RANK"]), int(read["LOCAL_RANK"]), int(read["WORLD_SIZE"]))
    except ValueError as error:
        raise UserError(f"RANK, LOCAL_RANK and WORLD_SIZE must be integers, got {read}") from error


def start(device: torch.device) -> Ranks:
    """Join the process group that `torchrun` announced (nccl on CUDA, gloo elsewhere); does nothing for a lone process."""
    place = ranks()
    if place.world_size > 1 and not dist.is_initialized():
        with _output_as_errors():
            # on CUDA both: what the hosts tell each other must not wait for the GPUs
            dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    return place


@contextmanager
def _output_as_errors() -> Iterator[None]:
    """Meanwhile what is written to standard output goes to standard error: gloo of older versions tells of its connections."""
    sys.stdout.flush()
    output = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(output, 1)
        os.close(output)


def stop() -> None:
    """Leave the process group, if there is one."""
    if dist.is_available() and dist.is_initialized():
        # a wrapper that waits for the garbage collector would keep the group's threads, which abort an ending interpreter
        gc.collect()
        dist.destroy_process_group()


def is_active() -> bool:
    """Whether several processes work together."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def sum_over_ranks(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor, in place, with its sum over all ranks."""
    if is_active():
        for tensor in tensors:
            dist.all_reduce(tensor)


def mean_over_ranks(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The mean over all ranks of each tensor; all of them have one type, and travel in one message."""
    if not is_active():
        return list(tensors)
    together = torch.cat([each.reshape(-1) for each in tensors])
    dist.all_reduce(together)
    parts = torch.split(together / dist.get_world_size(), [each.numel() for each in tensors])
    return [part.view(each.shape) for part, each in zip(parts, tensors, strict=True)]


def share_buffers(module: nn.Module) -> None:
    """Give every rank the buffers of rank 0, batch normalisation's statistics above all."""
    if is_active():
        for buffer in module.buffers():
            dist.broadcast(buffer, src=0)


def slice_of(size: int, place: Ranks) -> slice:
    """The part of a global batch of this size that belongs to a rank.

    The parts are contiguous and in rank order, the first ones larger by one where it does not come out even.
    """
    share, larger = divmod(size, place.world_size)
    begin = place.rank * share + min(place.rank, larger)
    return slice(begin, begin + share + (place.rank < larger))


def own_slice(size: int) -> slice:
    """This process's part of a global batch of this size, see `slice_of`."""
    return slice_of(size, Ranks(dist.get_rank(), world_size=dist.get_world_size())) if is_active() else slice(0, size)


def any_rank(flag: bool) -> bool:
    """Whether the flag is set on any rank; no GPU is waited for."""
    if not is_active():
        return flag
    votes = torch.tensor(int(flag))
    dist.all_reduce(votes, dist.ReduceOp.MAX)
    return bool(votes)


def on_first(action: Callable[[], Any]) -> Any:
    """Run `action` on rank 0 alone while the others wait; all of them return its result or raise its error."""
    if not is_active():
        return action()
    message: list[Any] = [None, None]
    if dist.get_rank() == 0:
        try:
            message[0] = action()
        except Exception as error:
            message[1] = error
    dist.broadcast_object_list(message, src=0)
    if message[1] is not None:
        raise message[1]
    return message[0]


class _GatherRows(torch.autograd.Function):
    """All ranks' rows in rank order; backward hands each rank its own rows' gradient, times the number of ranks.

    Every rank computes the same loss of the gathered rows, so the gradient of that loss with respect to them is already
    known everywhere. The factor undoes the averaging over ranks in `DistributedDataParallel`.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        sizes = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(dist.get_world_size())]
        dist.all_gather(sizes, torch.tensor([len(rows)], dtype=torch.int64, device=rows.device))
        counts = [int(size) for size in sizes]
        padded = rows.new_zeros((max(counts), *rows.shape[1:]))
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        rank = dist.get_rank()
        ctx.place = (sum(counts[:rank]), len(rows), len(counts))
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        start, count, world_size = ctx.place
        mine: Tensor = gradients[0][start : start + count] * world_size
        return mine


def gather_rows(rows: Tensor) -> Tensor:
    """The rows of the global batch, shape (global B, ...), from each rank's slice (B, ...); differentiable.

    A loss of the gathered logits is the loss of the global batch whatever its normalisation is (class weights, say), just as
    `DataParallel` computed it. Use it together with `DistributedDataParallel`, whose averaging the backward pass accounts for.
    """
    if not is_active():
        return rows
    gathered: Tensor = _GatherRows.apply(rows)
    return gathered


_STAND_INS = 2
"""Images that an empty slice is replaced with: batch normalisation of one value is an error."""


def stand_ins(images: Tensor) -> Tensor:
    """The images, shape (B, 3, H, W), or where there are none some black ones, whose outputs are to be dropped."""
    return images if len(images) else images.new_zeros((_STAND_INS, *images.shape[1:]))


def accept_empty_slices(network: nn.Module) -> None:
    """Let a network be trained on a slice of no images, which a rank gets where a last batch is smaller than their number.

    It sees black images instead, whose outputs are dropped: its gradients are zeros, as `DistributedDataParallel` needs them,
    and what batch normalisation makes of them is overwritten with rank 0's statistics, which always come from images.

    Args:
        network: called with images, shape (B, 3, H, W), it gives a tensor of B rows.
    """

    stood_in = False

    def fill(_: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        nonlocal stood_in
        images, *others = arguments
        stood_in = not len(images)
        return stand_ins(images), *others

    def drop(_: nn.Module, __: tuple[Any, ...], output: Tensor) -> Tensor:
        return output[:0] if stood_in else output

    network.register_forward_pre_hook(fill)
    network.register_forward_hook(drop)
