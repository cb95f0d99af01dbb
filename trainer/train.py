"""The training loop: shards in; checkpoints, metrics and a curve out.

A step takes one global batch: forward and backward by micro-batches, gradients summed over micro-batches and
ranks, one update. What goes on from a step to the next is what a checkpoint holds: parameters, moments, and
the numbers of `Progress`. Samples follow from the step, and nothing is random after the first weights.
"""

from __future__ import annotations

import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tokenizer.reader import Corpus, Reader
from trainer import memory, optim, parallel
from trainer.checkpoint.folder import Checkpoints, find, load, read_state
from trainer.console import Console
from trainer.data import Batch, Loader
from trainer.errors import TrainerError
from trainer.evaluate.held_out import held_out
from trainer.evaluate.scores import Score, bits_per_byte
from trainer.export.hugging_face import load_hf
from trainer.metrics.carbon import report
from trainer.metrics.energy import EnergyMeter
from trainer.metrics.flops import flops_6n, flops_attention, peak_flops
from trainer.metrics.log import MetricsLog
from trainer.model import Llama, initialise
from trainer.parallel import Ranks
from trainer.plot.figure import loss_curve
from trainer.recipe import PRECISIONS, Options, Recipe

METRICS, CURVE, CHECKPOINTS = "metrics.jsonl", "loss.png", "checkpoints"


@dataclass
class Progress:
    """How far a run is.

    Attributes:
        step: done.
        guard: what it knows of the steps so far.
        joules: of all devices.
        device_seconds: of all devices, in steps.
    """

    guard: optim.Guard
    step: int = 0
    joules: float = 0.0
    device_seconds: float = 0.0


class Taken(NamedTuple):
    """What a step tells.

    Attributes:
        losses: nats of all targets, a source.
        tokens: targets, a source.
        norm: of the gradient of the mean loss.
        rate: of learning.
        objection: why it was not taken, or None.
        joules: of all devices, since the step before.
        stop: whether some rank was asked to stop.
    """

    losses: list[float]
    tokens: list[float]
    norm: float
    rate: float
    objection: str | None
    joules: float
    stop: bool


class Trainer:
    """A run with its weights: those of its last checkpoint, or the first ones.

    Attributes:
        model: on this rank's device, or its shards there.
        progress: how far it is.
    """

    def __init__(self, recipe: Recipe, options: Options, ranks: Ranks) -> None:
        """Make the model and fill it.

        Args:
            recipe: what it is trained by.
            options: how.
            ranks: this process.

        Raises:
            TrainerError: it does not fit, a checkpoint is damaged, or it is of another recipe.
        """
        self.recipe, self.options, self.ranks = recipe, options, ranks
        memory.check(recipe, options, ranks)
        folder = options.output / CHECKPOINTS
        self._checkpoints = Checkpoints(folder, options.keep, ranks.rank, ranks.world, ranks.attempt)
        last = find(folder) if self._checkpoints.steps() else None
        if last is not None:
            recipe.check(read_state(last)["recipe"], last)

        with torch.device("meta"):
            self.model = Llama(recipe.shape, PRECISIONS[recipe.precision])
        parallel.distribute(self.model, ranks, checkpointing=options.checkpointing, compiled=options.compiled)
        self._parameters = list(self.model.parameters())
        self._optimizer = optim.adamw(self.model)
        optim.start(self._optimizer, 0)
        self.progress = Progress(optim.Guard(recipe.explosion))
        if last is None:
            initialise(self.model, recipe.seed, self._given())
        else:
            state = load(last, optim.named_tensors(self.model, self._optimizer))["progress"]
            self.progress = Progress(**state | {"guard": optim.Guard(**state["guard"])})
            optim.start(self._optimizer, self.progress.guard.taken)

    def _given(self) -> dict[str, Tensor] | None:
        if self.options.start is None:
            return None
        shape, tensors = load_hf(self.options.start)
        if shape != self.recipe.shape:
            raise TrainerError(
                f"{self.options.start} is of {shape}, the preset and shards of {self.recipe.shape}"
            )
        return tensors

    def take(self, batches: list[Batch], sources: int, joules: float, stop: bool) -> Taken:
        """Take the next step with this rank's micro-batches, or not, if all ranks find it must not be taken.

        Args:
            batches: of a global batch.
            sources: how many there are.
            joules: that this device has used since the step before.
            stop: whether this rank was asked to stop after this step.
        """
        step = self.progress.step + 1
        totals = torch.zeros(2 * sources + 2, dtype=torch.float64, device=self.ranks.device)
        numbers = torch.arange(sources, device=self.ranks.device)
        for batch in batches:
            losses_BT = self.model(batch.tokens_BT, batch.targets_BT, batch.documents_BT)
            losses_BT.sum().backward()
            # A product, not a scatter: sums in the same order each time, on any device.
            of_source_SN = (batch.sources_BT.flatten() == numbers.unsqueeze(1)).double()
            totals[:sources] += of_source_SN @ losses_BT.detach().flatten().double()
            totals[sources:-2] += of_source_SN.sum(1)
        totals[-2:] = torch.tensor([joules, float(stop)])
        self.ranks.sum(totals)
        tokens = self.recipe.batch * self.recipe.length
        norm = optim.gradient_norm(self._parameters, tokens)
        *sums, all_joules, stops, length = torch.cat((totals, norm.double().reshape(1))).tolist()
        rate = optim.learning_rate(
            step, peak=self.recipe.learning_rate, warmup=self.recipe.warmup_steps, steps=self.recipe.steps
        )
        objection = self.progress.guard.objection(sum(sums[:sources]) / tokens, length)
        if objection is None:
            optim.clip(self._parameters, length, tokens)
            optim.take_step(self._optimizer, rate)
        self._optimizer.zero_grad()
        self.progress.step = step
        self.progress.joules += all_joules
        return Taken(sums[:sources], sums[sources:], length, rate, objection, all_joules, stops > 0)

    def score(self, texts: Mapping[str, Corpus]) -> dict[str, Score]:
        """Bits per byte of held-out text, a source."""
        return bits_per_byte(
            self.model,
            texts,
            length=self.recipe.length,
            rows=self.options.micro_batch,
            device=self.ranks.device,
            limit=self.options.evaluate_tokens,
            rank=self.ranks.rank,
            world=self.ranks.world,
            documents=self.recipe.within_documents,
        )

    def save(self) -> None:
        """Begin to write a checkpoint; see `Checkpoints.save`."""
        recipe = asdict(self.recipe)
        state = {
            "progress": asdict(self.progress),
            "recipe": recipe,
            "shape": recipe["shape"],
            "length": self.recipe.length,
            "tokenizer_sha256": self.recipe.tokenizer,
        }
        self._checkpoints.save(self.progress.step, optim.named_tensors(self.model, self._optimizer), state)

    def wait(self) -> None:
        """Wait for the last checkpoint."""
        self._checkpoints.wait()


def train(trainer: Trainer, corpus: Corpus, console: Console) -> dict[str, Score]:
    """Train to the end, or until asked to stop; returns the last scores of held-out text.

    Raises:
        TrainerError: training has diverged, or a checkpoint could not be written.
        ShardError: a shard is missing or is not as it was written.
    """
    recipe, options, ranks, progress = trainer.recipe, trainer.options, trainer.ranks, trainer.progress
    last = min(recipe.steps, options.stop_after or recipe.steps)
    every = max(1, min(1_000, recipe.steps // 10))
    tokens = recipe.batch * recipe.length
    texts, scores = held_out(corpus.root), dict[str, Score]()
    meter = EnergyMeter(ranks.device, watts=options.watts, local_rank=ranks.rank % ranks.here)
    peak = peak_flops(ranks.device, PRECISIONS[recipe.precision])
    with _asked_to_stop() as stop, _log(trainer) as log, _loader(trainer, corpus) as loader:

        def evaluate() -> None:
            scores.update(trainer.score(texts))
            columns = {key: {n: getattr(s, key) for n, s in scores.items()} for key in _SCORES}
            log("evaluation", **columns)
            console.evaluated(progress.step, scores)

        log("run", peak=peak.origin, energy=meter.origin, **_about(trainer))
        console.begin(progress.step, recipe.steps)
        if texts and not progress.step:
            evaluate()
        joules = meter.joules()
        while progress.step < last:
            began, waited = time.perf_counter(), loader.waited
            batches = next(loader)
            joules, used = meter.joules(), meter.joules() - joules
            taken = trainer.take(batches, len(loader.sources), used, stop.is_set())
            seconds = time.perf_counter() - began
            progress.device_seconds += seconds * ranks.world
            speed = tokens / seconds
            of_peak = speed / ranks.world / peak.flops
            log(
                "train",
                loss=sum(taken.losses) / tokens,
                loss_by_source=_by_source(loader.sources, taken.losses, taken.tokens),
                tokens_by_source=dict(zip(loader.sources, map(int, taken.tokens), strict=True)),
                gradient_norm=taken.norm,
                learning_rate=taken.rate,
                tokens=progress.step * tokens,
                position=progress.step * recipe.batch,
                tokens_per_second=speed,
                mfu_6n=of_peak * flops_6n(recipe.shape),
                mfu_attention=of_peak * flops_attention(recipe.shape, recipe.length),
                step_seconds=seconds,
                wait_seconds=loader.waited - waited,
                joules=taken.joules,
            )
            if taken.objection:
                samples = [progress.step * recipe.batch - recipe.batch, progress.step * recipe.batch - 1]
                log("skipped", reason=taken.objection, samples=samples)
                console.skipped(progress.step, taken.objection, samples)
            console.step(progress.step, sum(taken.losses) / tokens, speed)
            done = taken.stop or progress.step == last
            if texts and (
                progress.step % (options.evaluate_every or every) == 0 or progress.step == recipe.steps
            ):
                evaluate()
            if done or progress.step % (options.checkpoint_every or every) == 0:
                trainer.save()
            if done:
                break
        trainer.wait()
        if progress.step == recipe.steps:
            carbon = report(progress.joules, meter.origin, pue=options.pue, kg_per_kwh=options.kg_per_kwh)
            hours = progress.device_seconds / 3600
            log("end", skipped=progress.guard.skipped, device_hours=hours, **carbon._asdict())
            console.end(carbon, hours)
        else:
            console.stopped(progress.step, recipe.steps)
    if ranks.first:
        loss_curve(options.output / METRICS, options.output / CURVE)
    return scores


_SCORES = ("bits_per_byte", "nats_per_token")


def _loader(trainer: Trainer, corpus: Corpus) -> Loader:
    recipe, ranks = trainer.recipe, trainer.ranks
    return Loader(
        Reader([corpus], recipe.length, recipe.seed),
        size=recipe.batch,
        micro=trainer.options.micro_batch,
        rank=ranks.rank,
        world=ranks.world,
        start=trainer.progress.step * recipe.batch,
        device=ranks.device,
        documents=recipe.within_documents,
    )


def _by_source(names: list[str], sums: list[float], counts: list[float]) -> dict[str, float]:
    """Nats a token of the sources that the batch has."""
    return {name: total / count for name, total, count in zip(names, sums, counts, strict=True) if count}


def _about(trainer: Trainer) -> dict[str, Any]:
    """What a reader of the log may want to know of a start."""
    ranks, device = trainer.ranks, trainer.ranks.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "cpu"
    return {
        "recipe": asdict(trainer.recipe),
        "parameters": trainer.recipe.shape.parameters,
        "options": {k: str(v) if isinstance(v, Path) else v for k, v in asdict(trainer.options).items()},
        "ranks": ranks.world,
        "device": name,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


@contextmanager
def _log(trainer: Trainer) -> Iterator[Callable[..., None]]:
    """What appends a record of the step that is done to the run's metrics; on rank 0 alone."""
    if not trainer.ranks.first:
        yield lambda kind, **values: None
        return
    log = MetricsLog(trainer.options.output / METRICS, trainer.progress.step)
    try:
        yield lambda kind, **values: log.write({"kind": kind, "step": trainer.progress.step, **values})
    finally:
        log.close()


@contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
    """Set by Ctrl-C and SIGTERM: the step under way is finished and saved. A second Ctrl-C ends at once."""
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
