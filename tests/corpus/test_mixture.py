"""The paper's table 1, and draws that are right to one document."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import UserError
from corpus.mixture import Share, limit_of, shares, uniforms
from corpus.settings.mixture import Mixture

# Touvron et al. 2023, table 1; unique tokens in 10^9 from weight, epochs and 1.4·10^12 tokens drawn.
TABLE = {
    "commoncrawl": (0.67, 1.10, 852.7),
    "c4": (0.15, 1.06, 198.1),
    "github": (0.045, 0.64, 98.4),
    "wikipedia": (0.045, 2.45, 25.7),
    "books": (0.045, 2.23, 28.3),
    "arxiv": (0.025, 1.06, 33.0),
    "stackexchange": (0.02, 1.03, 27.2),
}
WEIGHTS = {name: weight for name, (weight, _, _) in TABLE.items()}
UNIQUE = {name: round(unique * 1e9) for name, (_, _, unique) in TABLE.items()}


def test_the_papers_epochs() -> None:
    found = shares(Mixture(weights=WEIGHTS, tokens=1_400_000_000_000), UNIQUE)
    assert {n: round(s.epochs, 2) for n, s in found.items()} == {n: e for n, (_, e, _) in TABLE.items()}
    assert sum(s.wanted for s in found.values()) == 1_400_000_000_000
    assert sum(UNIQUE.values()) == pytest.approx(1.263e12, rel=1e-3)
    shorter = shares(Mixture(weights=WEIGHTS, tokens=10**12), UNIQUE)  # 7B and 13B
    assert {n: round(shorter[n].epochs, 2) for n in ("wikipedia", "books", "commoncrawl")} == {
        "wikipedia": 1.75,
        "books": 1.59,
        "commoncrawl": 0.79,
    }


@pytest.mark.parametrize(
    ("changes", "unique", "message"),
    [
        ({"weights": {"c4": 0.5, "books": 0.4}}, {}, "sum to 0.9"),
        ({"weights": {"c4": 1.5, "books": -0.5}}, {"c4": 9, "books": 9}, "of books is negative"),
        ({"weights": {"c4": 1.0}}, {"books": 5}, "no tokens of it \\(of books\\)"),
        ({"weights": {"c4": 1.0}}, {"c4": 0}, "c4, which has no tokens"),
        ({"weights": {"c4": 1.0}, "tokens": 41}, {"c4": 10}, "4.10 epochs, beyond max_epochs = 4"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    changes: dict[str, object], unique: dict[str, int], message: str
) -> None:
    settings: dict[str, object] = {"weights": {"c4": 1.0}, "tokens": 10} | changes
    with pytest.raises(UserError, match=message):
        shares(Mixture(**settings), unique)  # type: ignore[arg-type]


@given(weights=st.lists(st.integers(0, 50), min_size=1, max_size=7), tokens=st.integers(1, 10**15))
def test_no_token_is_lost_in_rounding(weights: list[int], tokens: int) -> None:
    total = sum(weights) or 1
    named = {f"s{i}": w / total for i, w in enumerate(weights)}
    if not sum(weights):
        named["s0"] = 1.0
    mixture = Mixture(weights=named, tokens=tokens, max_epochs=1.0)
    found = shares(mixture, dict.fromkeys(named, 10**15))
    assert sum(s.wanted for s in found.values()) == tokens
    for name, share in found.items():
        assert abs(share.wanted - named[name] * tokens) <= 1 + 1e-9 * tokens


@given(
    tokens=st.lists(st.integers(1, 1_000), min_size=1, max_size=50),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**64 - 1),
)
def test_the_last_epoch_comes_as_near_as_whole_documents_can(
    tokens: list[int], share: float, seed: int
) -> None:
    sizes = np.array(tokens, np.int64)
    u = uniforms([f"{i:032x}" for i in range(len(tokens))], 2, seed)
    rest = int(share * sizes.sum())
    drawn = int(sizes[u < limit_of(u, sizes, rest)].sum())
    reachable = np.cumsum(sizes[np.argsort(u)]).tolist()
    assert drawn == 0 if rest == 0 else abs(drawn - rest) == min(abs(n - rest) for n in reachable)

    # The same where only the documents of one bin are looked at.
    low, high = 0.4, 0.6
    below = int(sizes[u < low].sum())
    inside = (low <= u) & (u < high)
    if below < rest <= below + sizes[inside].sum():
        limit = limit_of(u[inside], sizes[inside], rest, below)
        assert below + int(sizes[inside & (u < limit)].sum()) == drawn


def test_whole_epochs_and_the_rest() -> None:
    share = Share(wanted=245, unique=100)
    assert (share.whole_epochs, share.rest, share.epochs) == (2, 45, 2.45)


def test_copies_of_a_document_are_spread_apart() -> None:
    u = np.stack([uniforms([f"{i:032x}" for i in range(20_000)], copy, seed=7) for copy in (0, 1)])
    assert ((u >= 0) & (u < 1)).all()
    assert abs(np.corrcoef(u)[0, 1]) < 0.03
    assert np.histogram(u, 10)[0] == pytest.approx(4_000, rel=0.08)
