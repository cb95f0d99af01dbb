"""The training loop: shards in; checkpoints, metrics and a curve out."""

from __future__ import annotations

import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from tokenizer.reader import Corpus, Reader
from trainer.console import Console
from trainer.data import Loader
from trainer.evaluate.held_out import held_out
from trainer.evaluate.scores import Score
from trainer.metrics.carbon import report
from trainer.metrics.energy import EnergyMeter
from trainer.metrics.flops import flops_6n, flops_attention, peak_flops
from trainer.metrics.log import MetricsLog
from trainer.plot.figure import loss_curve
from trainer.recipe import PRECISIONS
from trainer.run import Run

METRICS, CURVE = "metrics.jsonl", "loss.png"
_SCORES = ("bits_per_byte", "nats_per_token")


def train(run: Run, corpus: Corpus, console: Console) -> dict[str, Score]:
    """Train to the end, or until asked to stop; returns the last scores of held-out text.

    Raises:
        TrainerError: training has diverged, or a checkpoint could not be written.
        ShardError: a shard is missing or is not as it was written.
    """
    recipe, options, ranks, progress = run.recipe, run.options, run.ranks, run.progress
    last = min(recipe.steps, options.stop_after or recipe.steps)
    every = max(1, min(1_000, recipe.steps // 10))
    tokens = recipe.batch * recipe.length
    texts, scores = held_out(corpus), dict[str, Score]()
    if progress.step == recipe.steps:
        console.say(f"{options.output} is trained to its end already")
        if ranks.first:
            loss_curve(options.output / METRICS, options.output / CURVE)
        return run.score(texts) if texts else {}
    report(0.0, "", pue=options.pue, kg_per_kwh=options.kg_per_kwh)  # what it refuses, now and not at the end
    meter = EnergyMeter(ranks.device, watts=options.watts, local_rank=ranks.rank % ranks.here)
    peak = peak_flops(ranks.device, PRECISIONS[recipe.precision])
    with _asked_to_stop() as stop, _log(run) as log, _loader(run, corpus) as loader:

        def evaluate() -> None:
            for text in run.continue_prompts():
                log("sample", text=text)
                console.say(text)
            if not texts:
                return
            scores.update(run.score(texts))
            columns = {key: {n: getattr(s, key) for n, s in scores.items()} for key in _SCORES}
            log("evaluation", **columns)
            console.evaluated(progress.step, scores)

        log("run", peak=peak.origin, energy=meter.origin, **_about(run))
        console.begin(progress.step, recipe.steps)
        if not progress.step:
            evaluate()
        meter.start()
        while progress.step < last:
            began, waited = time.perf_counter(), loader.waited
            batches = next(loader)
            taken = run.take(batches, len(loader.sources), meter.lap(), stop.is_set)
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
            if progress.step % (options.evaluate_every or every) == 0 or progress.step == recipe.steps:
                evaluate()
            done = taken.stop or progress.step == last
            if not done and progress.step % (options.checkpoint_every or every):
                continue
            progress.joules += ranks.total(meter.lap())
            if progress.step == recipe.steps:
                carbon = report(progress.joules, meter.origin, pue=options.pue, kg_per_kwh=options.kg_per_kwh)
                hours = progress.device_seconds / 3600
                skipped = progress.guard.skipped
                log("end", joules=progress.joules, skipped=skipped, device_hours=hours, **carbon._asdict())
                console.end(carbon, hours)
            run.save()  # last: what its step has to tell is in the log before it
            if done:
                break
        run.wait()
    if progress.step < recipe.steps:
        console.stopped(progress.step, recipe.steps)
    if ranks.first:
        loss_curve(options.output / METRICS, options.output / CURVE)
    return scores


def _loader(run: Run, corpus: Corpus) -> Loader:
    recipe, ranks = run.recipe, run.ranks
    return Loader(
        Reader([corpus], recipe.length, recipe.seed),
        size=recipe.batch,
        micro=run.options.micro_batch,
        rank=ranks.rank,
        world=ranks.world,
        start=run.progress.step * recipe.batch,
        device=ranks.device,
        documents=recipe.within_documents,
    )


def _by_source(names: list[str], sums: list[float], counts: list[float]) -> dict[str, float]:
    """Nats a token of the sources that the batch has."""
    return {name: total / count for name, total, count in zip(names, sums, counts, strict=True) if count}


def _about(run: Run) -> dict[str, Any]:
    """What a reader of the log may want to know of a start."""
    ranks, device = run.ranks, run.ranks.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "cpu"
    return {
        "recipe": asdict(run.recipe),
        "parameters": run.recipe.shape.parameters,
        "options": {k: str(v) if isinstance(v, Path) else v for k, v in asdict(run.options).items()},
        "ranks": ranks.world,
        "device": name,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


@contextmanager
def _log(run: Run) -> Iterator[Callable[..., None]]:
    """What appends a record of the step that is done to the run's metrics; on rank 0 alone."""
    if not run.ranks.first:
        yield lambda kind, **values: None
        return
    # Without a checkpoint all is done again, the evaluation before the first step too.
    log = MetricsLog(run.options.output / METRICS, run.progress.step or -1)
    try:
        yield lambda kind, **values: log.write({"kind": kind, "step": run.progress.step, **values})
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
