"""What differs between two runs besides their documents: recipe, models, stages, inputs.

In: two opened runs of a kind. Out: `Difference`s, each a key with both values.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from corpus.review.runs import DECIDED, OpenedRun
from corpus.review.thresholds import CHECKS, limit_of

# The blocks of a recipe that shape a crawl-filter run; the manifest of a build has no others.
_CRAWL_BLOCKS = ("name", "demonstration", "limits", "commoncrawl")
_NO_VALUE = object()


class Difference(NamedTuple):
    """A key whose values differ; None where a run does not have it.

    `where` is one of recipe, models, stages (versions of code and libraries, and what was measured before
    deciding, as cut-offs), inputs.
    """

    where: str
    key: str
    a: Any
    b: Any


def differences(a: OpenedRun, b: OpenedRun) -> list[Difference]:
    """All keys that differ. What stages repeat of the recipe or the models is said once, there."""
    recipe = _differing("recipe", _recipe(a), _recipe(b))
    models = _differing("models", _models(a), _models(b))
    said = {(_leaf(d.key), repr(d.a), repr(d.b)) for d in recipe}
    said |= {(d.key, repr(d.a), repr(d.b)) for d in models}
    stages: list[Difference] = []
    for stage in reversed(list(dict.fromkeys([*a.stages, *b.stages]))):
        for d in _differing("stages", _stage(a, stage), _stage(b, stage)):
            inner = d.key.partition(".")[2]
            names = {(n, repr(d.a), repr(d.b)) for n in (_leaf(d.key), inner, inner.removeprefix("models."))}
            if not names & said:
                stages.append(d)
            if _leaf(d.key) != "version":  # of its code a stage has its own
                said.add((inner, repr(d.a), repr(d.b)))
    stages.sort(key=lambda d: [*a.stages, *b.stages].index(d.key.partition(".")[0]))
    return [*recipe, *models, *stages, *_differing("inputs", _inputs(a), _inputs(b))]


def _leaf(key: str) -> str:
    return key.rpartition(".")[2]


def _recipe(run: OpenedRun) -> dict[str, Any]:
    if run.kind not in DECIDED:
        return {"mixture": _block(run, "mixture")}
    block = _block(run, "recipe")
    if run.kind == "crawl-filter":
        block = {name: block[name] for name in _CRAWL_BLOCKS if name in block}
    return {key: value for key, value in block.items() if key != "sha256"}


def _models(run: OpenedRun) -> dict[str, Any]:
    if run.kind not in DECIDED:
        return {"tokenizer": _block(run, "tokenizer")}
    return _block(run, "models")


def _inputs(run: OpenedRun) -> dict[str, Any]:
    """What a run was made of; of tokens the runs, of shards the tokens, by their digests."""
    if run.kind == "tokens":
        return {source: sha256 for source, _, sha256 in run.manifest["runs"]}
    if run.kind == "shards":
        return {"tokens": run.manifest["tokens"]}
    return _block(run, "inputs")


def _block(run: OpenedRun, name: str) -> dict[str, Any]:
    block = run.manifest.get(name)
    return block if isinstance(block, dict) else {}


def _stage(run: OpenedRun, stage: str) -> dict[str, Any]:
    if stage not in run.stages:
        return {}
    settings = run.settings(stage)
    if run.kind not in DECIDED:  # the rest is what the composition shows
        settings = {name: settings[name] for name in ("version", "libraries") if name in settings}
    return {stage: settings}


def _differing(where: str, a: dict[str, Any], b: dict[str, Any]) -> list[Difference]:
    left, right = dict(_flat(a)), dict(_flat(b))
    return [
        Difference(where, key, left.get(key), right.get(key))
        for key in dict.fromkeys([*left, *right])
        if left.get(key, _NO_VALUE) != right.get(key, _NO_VALUE)
    ]


def _flat(value: Any, key: str = "") -> Iterable[tuple[str, Any]]:
    """Leaves of plain data with their paths; each threshold of a stage by its reason."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _flat(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list) and _leaf(key) in CHECKS:
        yield from ((f"{key}.{check['reason']}", f"{check['column']} {limit_of(check)}") for check in value)
    else:
        yield key, value
