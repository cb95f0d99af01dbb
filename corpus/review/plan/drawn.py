"""What the sources give to the mixture: tokens they have, tokens drawn of them, epochs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from corpus import mixture
from corpus.errors import UserError
from corpus.review.plan.measured import MeasuredRun
from corpus.settings.mixture import Mixture


@dataclass(frozen=True)
class Drawn:
    """Tokens of a source, marks counted: unique ones, drawn ones, how often each is drawn."""

    source: str
    unique: float
    drawn: float
    epochs: float


def drawn(
    tokens: MeasuredRun, kept_bytes: Mapping[str, float], settings: Mixture
) -> tuple[tuple[Drawn, ...], str]:
    """What a mixture draws of sources that are planned, and why it cannot, where it cannot.

    Args:
        tokens: a measured run of `tokens`, by which a source has so many tokens a byte.
        kept_bytes: of text, by source.
        settings: the recipe's mixture; of it the share of these sources is drawn.
    """
    marks = int(settings.begin) + int(settings.end)
    unique = {}
    for source, counters in tokens.run.stats["sources"].items():
        if source in kept_bytes and counters.get("bytes"):
            held_out = counters.get("held_out_tokens", 0) + marks * counters.get("held_out", 0)
            found = counters.get("tokens", 0) + marks * counters.get("out", 0) - held_out
            unique[source] = round(found / counters["bytes"] * kept_bytes[source])
    weights = {source: w for source, w in settings.weights.items() if source in unique and w > 0}
    whole = sum(weights.values())
    if not weights:
        return (), "the measured run of tokens has none of the sources that are planned"
    share = whole / sum(settings.weights.values())
    part = replace(
        settings,
        weights={source: w / whole for source, w in weights.items()},
        tokens=max(round(settings.tokens * share), 1),
    )
    try:
        shares = mixture.shares(replace(part, max_epochs=float("inf")), unique)
    except UserError as error:
        return (), str(error)
    found_ = tuple(Drawn(s, x.unique, x.wanted, x.epochs) for s, x in shares.items())
    many = [f"{d.source} {d.epochs:.1f}" for d in found_ if d.epochs > settings.max_epochs]
    why = (
        f"mix would refuse: more than max_epochs = {settings.max_epochs:g} epochs of {', '.join(many)}"
        if many
        else ""
    )
    return found_, why
