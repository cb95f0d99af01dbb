"""A run between two steps: its model, its optimiser, and how far it is; and what it does, a step at a time.

A step takes one global batch: forward and backward by micro-batches, gradients summed over micro-batches and
ranks, one update. What goes on from a step to the next is what a checkpoint holds: parameters, moments, and
the numbers of `Progress`. Samples follow from the step, and nothing is random after the first weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import NamedTuple

import torch
from sentencepiece import SentencePieceProcessor
from torch import Tensor

from tokenizer.reader import Corpus
from trainer import memory, optim, parallel
from trainer.checkpoint.folder import Checkpoints, find, load, read_state
from trainer.data import Batch
from trainer.errors import TrainerError
from trainer.evaluate.scores import Score, bits_per_byte
from trainer.export.hugging_face import load_hf
from trainer.export.models import TOKENIZER, check_tokenizer
from trainer.generate import continue_texts
from trainer.model import Llama, initialise
from trainer.parallel import Ranks
from trainer.recipe import PRECISIONS, Options, Recipe

_SAMPLE_TOKENS = 48
CHECKPOINTS = "checkpoints"


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


class Run:
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
        # Once: after an evaluation FSDP leaves the outermost parameters gathered, which are others.
        self._tensors = optim.named_tensors(self.model, self._optimizer)
        self.progress = Progress(optim.Guard(recipe.explosion))
        if last is None:
            initialise(self.model, recipe.seed, self._given())
        else:
            state = load(last, self._tensors)["progress"]
            self.progress = Progress(**state | {"guard": optim.Guard(**state["guard"])})
            optim.start(self._optimizer, self.progress.guard.taken)

    def _given(self) -> dict[str, Tensor] | None:
        if self.options.start is None:
            return None
        if (tokenizer := self.options.start / TOKENIZER).exists():
            check_tokenizer(tokenizer, self.recipe.tokenizer)
        shape, tensors = load_hf(self.options.start)
        if shape != self.recipe.shape:
            raise TrainerError(
                f"{self.options.start} is of {shape}, the preset and shards of {self.recipe.shape}"
            )
        return tensors

    def take(self, batches: list[Batch], sources: int, joules: float, stop: Callable[[], bool]) -> Taken:
        """Take the next step with this rank's micro-batches, or not, if all ranks find it must not be taken.

        Args:
            batches: of a global batch.
            sources: how many there are.
            joules: that this device has used since the step before.
            stop: tells whether this rank was asked to stop; asked as late as all ranks can still agree on it.
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
        totals[-2:] = torch.tensor([joules, float(stop())])
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

    def continue_prompts(self) -> list[str]:
        """What the model makes of the prompts, by the likeliest tokens."""
        if not self.options.prompts:
            return []
        return continue_texts(
            self.model,
            SentencePieceProcessor(model_file=str(self.options.output / TOKENIZER)),
            self.options.prompts,
            length=self.recipe.length,
            tokens=_SAMPLE_TOKENS,
        )

    def save(self) -> None:
        """Begin to write a checkpoint; see `Checkpoints.save`."""
        recipe = asdict(self.recipe)
        state = {
            "step": self.progress.step,
            "progress": asdict(self.progress),
            "recipe": recipe,
            "shape": recipe["shape"],
            "length": self.recipe.length,
            "tokenizer_sha256": self.recipe.tokenizer,
        }
        self._checkpoints.save(self.progress.step, self._tensors, state)

    def wait(self) -> None:
        """Wait for the last checkpoint."""
        self._checkpoints.wait()
