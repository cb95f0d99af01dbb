"""What `python -m tests.bench.trainer` prints, a table of each kind of measurement."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from tests.bench.trainer import limit, loader
from tests.bench.trainer.peak import peak
from tests.bench.trainer.steps import Apart, Ours, Theirs, Times, alternate, compare
from tests.bench.trainer.work import Work, fitted
from trainer.metrics.flops import Peak, flops_6n, flops_attention, peak_flops
from trainer.parallel import CHECKPOINTING
from trainer.presets import Preset

MODES = ("eager", "compiled")
_MOST_APART = {"fp32": Apart(1e-4, 1e-3), "bf16": Apart(5e-2, 1e-1)}
_RUN_TOKENS = 65_536  # of a batch of the run whose waits are read, at most


class Beside(NamedTuple):
    """What was measured side by side: the work it was, how far apart the models are, and their times."""

    work: Work
    apart: Apart
    times: Mapping[str, Times]


def print_steps(work: Work, rounds: int, modes: list[str], deterministic: bool) -> None:
    """A step of ours beside that of `transformers`, and beside the limit of the device."""
    for mode in modes:
        measure = functools.partial(
            _beside, rounds=rounds, compiled=mode == "compiled", deterministic=deterministic
        )
        found = fitted(work, 2, measure)
        print(f"\na training step, {_about(found.work, work)}, {mode}:")
        for name, times in found.times.items():
            _print_times(name, times, found.work)
        ours, theirs = found.times["ours"], found.times["transformers"]
        print(
            f"    ours is {theirs.backward / ours.backward:.2f} times as fast forward and backward, "
            f"{theirs.whole / ours.whole:.2f} the step; apart at the start: loss {found.apart.loss:.0e}, "
            f"gradient {found.apart.gradient:.0e}"
        )
        _print_limit(found.work, ours, rounds)
    # Two models leave room for fewer layers than one, and with few layers the output weighs more.
    if found.work.shape.layers < work.shape.layers:
        alone, times = fitted(
            work,
            1,
            functools.partial(
                _alone, rounds=rounds, compiled=mode == "compiled", deterministic=deterministic
            ),
        )
        print(f"\na training step, {_about(alone, work)}, {mode}, nothing beside it:")
        _print_times("ours", times, alone)
        _print_limit(alone, times, rounds)


def print_memory(work: Work, rounds: int, compiled: bool) -> None:
    """Time and memory of activation checkpointing, memory beside what the trainer says it needs."""
    whole = work
    work, times = fitted(
        work, len(CHECKPOINTING), functools.partial(_checkpointing, rounds=rounds, compiled=compiled)
    )
    print(f"\nactivation checkpointing, {_about(work, whole)}, {MODES[compiled]}:")
    print(
        f"  {'':<12} {'step':>10} ratio {'peak memory':>12} {'not state':>12} ratio {'estimate':>12} / peak"
    )
    first = 0
    for kind in CHECKPOINTING:
        most, estimate, seconds = peak(work, kind, compiled), work.estimate(kind), times[kind].whole
        # Parameters, gradients and moments in fp32 are there whatever is kept of the forward pass.
        rest = most - 16 * work.shape.parameters
        first = first or rest
        print(
            f"  {kind:<12} {seconds:8.3f} s {seconds / times['none'].whole:5.2f} {most / 1e6:9,.0f} MB "
            f"{rest / 1e6:9,.0f} MB {rest / first:5.2f} {estimate / 1e6:9,.0f} MB {estimate / most:6.2f}",
            flush=True,
        )


def print_loader(data: str | None, folder: Path, preset: Preset, steps: int, device: torch.device) -> None:
    """How long a run waits for its loader, and how fast the loader is alone."""
    preset = replace(preset, batch_tokens=min(preset.batch_tokens, _RUN_TOKENS))
    data = data or loader.write(folder / "shards", (steps + 1) * preset.batch_tokens)
    found = loader.waited(data, folder / "run", preset, steps, device)
    alone = loader.speed(data, preset, device)
    trained = found.steps * preset.batch_tokens / found.seconds
    print(f"\nthe loader, {preset.name}, batches of {preset.batch_tokens:,} tokens:")
    print(f"  {found.steps} steps of a run waited {found.waited:.4f} s of {found.seconds:.1f} s: ", end="")
    print(f"{found.waited / found.seconds:.2%}")
    print(f"  alone {alone:,.0f} tokens/s, {alone / trained:,.0f} times what the run takes")


def _beside(work: Work, rounds: int, compiled: bool, deterministic: bool) -> Beside:
    ours = Ours(work, compiled=compiled, deterministic=deterministic)
    theirs = Theirs(work, ours.model, compiled=compiled)
    apart, most = compare(ours, theirs), _MOST_APART[work.precision]
    if not (apart.loss <= most.loss and apart.gradient <= most.gradient):
        raise SystemExit(f"{work}: not the same work: loss and gradient are apart by {apart}")
    return Beside(work, apart, alternate({"transformers": theirs, "ours": ours}, rounds))


def _alone(work: Work, rounds: int, compiled: bool, deterministic: bool) -> tuple[Work, Times]:
    ours = Ours(work, compiled=compiled, deterministic=deterministic)
    return work, alternate({"ours": ours}, rounds)["ours"]


def _checkpointing(work: Work, rounds: int, compiled: bool) -> tuple[Work, dict[str, Times]]:
    steps = {kind: Ours(work, compiled=compiled, checkpointing=kind) for kind in CHECKPOINTING}
    return work, alternate(steps, rounds)


@functools.cache
def _peak(device: torch.device, dtype: torch.dtype) -> Peak:
    """Where it is measured, the same in all tables."""
    return peak_flops(device, dtype)


def _about(work: Work, whole: Work) -> str:
    cut = f", {work.shape.layers} of {whole.shape.layers} layers"
    return (
        f"{work.name}{cut if work != whole else ''} ({work.shape.parameters / 1e6:,.1f} M parameters), "
        f"{work.rows} × {work.length:,} tokens, {work.precision}"
    )


def _print_times(name: str, times: Times, work: Work) -> None:
    print(
        f"  {name:<14} forward and backward {times.backward:9.4f} s, step {times.whole:9.4f} s, "
        f"{work.tokens / times.whole:10,.0f} tokens/s"
    )


def _print_limit(work: Work, ours: Times, rounds: int) -> None:
    products, attention = limit.products_seconds(work, rounds), limit.attention_seconds(work, rounds)
    top = _peak(work.device, work.dtype)
    speed = {"step": work.tokens / ours.whole, "forward and backward": work.tokens / ours.backward}
    counts = (flops_6n(work.shape), flops_attention(work.shape, work.length))
    mfu = "; ".join(
        f"{what} " + ", ".join(f"{count * tokens / top.flops:.1%}" for count in counts)
        for what, tokens in speed.items()
    )
    print(
        f"    products alone {products:.4f} s, attention alone {attention:.4f} s: ours reaches "
        f"{products / ours.backward:.1%} of the one, {(products + attention) / ours.backward:.1%} of both"
    )
    print(
        f"    MFU of ours by 6N, and with attention: {mfu}; of {top.flops / 1e12:.3g} TFLOP/s ({top.origin})",
        flush=True,
    )
