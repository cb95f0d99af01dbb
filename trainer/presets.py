"""The sizes of LLaMA, from `presets.toml`: the shape of a model, and how it is trained."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from trainer.errors import TrainerError

_FILE = Path(__file__).with_name("presets.toml")
_HIDDEN_MULTIPLE = 256  # llama_v1, llama/model.py: ModelArgs.multiple_of


@dataclass(frozen=True)
class Shape:
    """What a LLaMA's tensors look like.

    Attributes:
        dim: of the residual stream, D.
        heads: of attention, H.
        layers: transformer blocks.
        vocab: pieces of the tokenizer, V.
        norm_eps: added to the mean square in RMSNorm.
        rope_theta: base of the rotary wavelengths.
    """

    dim: int
    heads: int
    layers: int
    vocab: int
    norm_eps: float = 1e-5
    rope_theta: float = 10_000.0

    def __post_init__(self) -> None:
        if min(self.dim, self.heads, self.layers, self.vocab) < 1 or self.dim % (2 * self.heads):
            raise TrainerError(f"no model has this shape: {self}; dim must be a multiple of 2 × heads")

    @property
    def hidden(self) -> int:
        """Width of the feed-forward layer, F: 2/3 of 4 × dim, up to a multiple of 256, as llama_v1's."""
        return -(-int(2 * 4 * self.dim / 3) // _HIDDEN_MULTIPLE) * _HIDDEN_MULTIPLE

    @property
    def head_dim(self) -> int:
        """Width of a head, K."""
        return self.dim // self.heads

    @property
    def parameters(self) -> int:
        """How many parameters there are: embedding and output apart, one norm at the end."""
        block = 4 * self.dim**2 + 3 * self.dim * self.hidden + 2 * self.dim
        return 2 * self.vocab * self.dim + self.layers * block + self.dim


@dataclass(frozen=True)
class Preset:
    """A size, and how it is trained.

    Attributes:
        name: in `presets.toml`.
        dim, heads, layers, norm_eps: see `Shape`.
        length: tokens of a sequence.
        learning_rate: its peak.
        warmup_steps: over which it grows.
        batch_tokens: tokens of a global batch.
        micro_batch: sequences a device takes at a time.
        precision: ``fp32`` or ``bf16``, of what is computed; parameters and their moments are fp32.
        tokens: to train on; None for all that the shards hold.
    """

    name: str
    dim: int
    heads: int
    layers: int
    length: int
    norm_eps: float
    learning_rate: float
    warmup_steps: int
    batch_tokens: int
    micro_batch: int
    precision: str = "bf16"
    tokens: int | None = None

    def shape(self, vocab: int = 32_000) -> Shape:
        """The shape with a tokenizer of so many pieces."""
        return Shape(self.dim, self.heads, self.layers, vocab, self.norm_eps)


def names() -> list[str]:
    """The names of all presets, small ones first."""
    return list(tomllib.loads(_FILE.read_text()))


def load(name: str) -> Preset:
    """A preset by its name.

    Raises:
        TrainerError: there is none of that name.
    """
    table = tomllib.loads(_FILE.read_text())
    if name not in table:
        raise TrainerError(f"no preset {name!r}; there are {', '.join(table)}")
    return Preset(name, **table[name])
