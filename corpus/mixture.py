"""The mixture: weights and a budget of tokens → tokens and epochs of each source. Pure arithmetic.

Copy c of a document of a source with e epochs has the position p = (c + u) / e, where u in [0, 1) is a hash
of seed, document and c, and is drawn if p < 1. So every copy below ⌊e⌋ is, and of the last those with
u < e − ⌊e⌋; each epoch has an interval of its own, and the density is even. Positions order the corpus.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import xxhash

from corpus.errors import UserError
from corpus.kernels.arrays import Positions
from corpus.settings.mixture import Mixture

Uniforms = np.ndarray[tuple[int], np.dtype[np.float64]]


@dataclass(frozen=True)
class Share:
    """What is drawn of a source: tokens wanted, tokens it has, and whole epochs of them."""

    wanted: int
    unique: int

    @property
    def whole_epochs(self) -> int:
        """Copies that every document has."""
        return self.wanted // self.unique

    @property
    def rest(self) -> int:
        """Tokens wanted of the last, partial epoch."""
        return self.wanted % self.unique

    @property
    def epochs(self) -> float:
        """Epochs, as in the paper's table 1."""
        return self.wanted / self.unique


def shares(mixture: Mixture, unique_tokens: Mapping[str, int]) -> dict[str, Share]:
    """What to draw of each source.

    Args:
        mixture: weights, budget, cap.
        unique_tokens: of each source that was tokenized.

    Raises:
        UserError: weights that do not sum to 1, a weight for a source that is not there or is empty, or more
            epochs than the cap.
    """
    total = sum(mixture.weights.values())
    if not abs(total - 1) <= 1e-6:  # nor is one that is not a number
        raise UserError(f"the weights of [mixture] sum to {total:g}, not to 1")
    problems = [f"weight {w:g} of {name} is negative" for name, w in mixture.weights.items() if w < 0]
    wanted = _apportioned({n: w for n, w in mixture.weights.items() if w > 0}, mixture.tokens)
    found = {}
    for name, tokens in wanted.items():
        unique = unique_tokens.get(name)
        if unique is None:
            known = ", ".join(sorted(unique_tokens))
            problems.append(f"there is a weight for {name}, and no tokens of it (of {known})")
        elif unique == 0:
            problems.append(f"there is a weight for {name}, which has no tokens")
        else:
            found[name] = Share(tokens, unique)
            if found[name].epochs > mixture.max_epochs:
                problems.append(
                    f"{tokens:,} tokens of {name}, which has {unique:,}, are {found[name].epochs:.2f} "
                    f"epochs, beyond max_epochs = {mixture.max_epochs:g}: draw fewer tokens, or allow more"
                )
    if problems:
        raise UserError("[mixture]: " + "; ".join(problems))
    return found


def _apportioned(weights: Mapping[str, float], tokens: int) -> dict[str, int]:
    """Tokens by weight, summing to all of them: largest remainders first, of equal ones the first by name."""
    total = sum(map(Fraction, weights.values()))
    exact = {name: Fraction(w) * tokens / total for name, w in weights.items()}
    counts = {name: int(share) for name, share in exact.items()}
    left = tokens - sum(counts.values())
    for name in sorted(exact, key=lambda n: (counts[n] - exact[n], n))[:left]:
        counts[name] += 1
    return counts


def uniforms(ids: list[str], copy: int, seed: int) -> Uniforms:
    """u of one copy of each document, float64[n] in [0, 1): 53 bits of XXH3-64 of its id and the copy."""
    hashes = [xxhash.xxh3_64_intdigest(f"{i}\0{copy}".encode(), seed=seed) >> 11 for i in ids]
    return np.array(hashes, np.uint64).astype(np.float64) / 2.0**53


def limit_of(u: Uniforms, tokens: Positions, rest: int, below: int = 0) -> float:
    """The limit on u under which documents together come nearest to `rest` tokens.

    Args:
        u: float64[n], of the last copy of each document, or of those among which the limit lies.
        tokens: int64[n].
        rest: tokens wanted; not more than there are.
        below: tokens of the documents with a smaller u than these.

    Returns:
        A number such that adding the next document below or leaving out the last comes no nearer; 0 where
        none are wanted. At least one document is drawn.
    """
    if rest <= 0:
        return 0.0
    order = np.argsort(u, kind="stable")
    total = below + np.cumsum(tokens[order])
    last = int(np.searchsorted(total, rest))
    before = int(total[last - 1]) if last else below
    if before and rest - before <= total[last] - rest:
        return float(u[order[last]])
    return float(np.nextafter(u[order[last]], 2.0))
