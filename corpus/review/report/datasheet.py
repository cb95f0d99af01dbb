"""The data card of a report: a Markdown file after *Datasheets for Datasets* (Gebru et al. 2021).

In: a `Report`. Out: the text. What follows from the runs is filled in; what only a person knows is asked for.
"""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from corpus import storage
from corpus.review.report import words
from corpus.review.report.gather import Report, RunReport
from corpus.review.report.page import environment
from corpus.review.visible import visible
from corpus.tables import read_table

_LICENCES = 15


def write(report: Report) -> str:
    """The card."""
    decided = [_source(r) for r in report.runs if r.rules]
    stages = [
        (r.run.name, stage, sha256, r.run.settings(stage))
        for r in report.runs
        for stage, sha256 in sorted(r.run.manifest["stages"].items())
    ]
    libraries: dict[str, set[str]] = {}
    for _, _, _, settings in stages:
        for name, version in settings.get("libraries", {}).items():
            libraries.setdefault(name, set()).add(version)
    return (
        environment()
        .get_template("datasheet.md.j2")
        .render(
            report=report,
            sources=decided,
            runs=[(r.run.name, r.run.kind, _manifest(r)) for r in report.runs],
            stages=[(run, stage, settings.get("version"), sha256) for run, stage, sha256, settings in stages],
            libraries={name: ", ".join(sorted(found)) for name, found in sorted(libraries.items())},
            tokenizers=[
                r.run.manifest["tokenizer"] for r in report.runs if r.run.kind in ("tokens", "shards")
            ][-1:],
            mixtures=[r.run.manifest["mixture"] for r in report.runs if r.run.kind == "shards"][-1:],
            fates=[(r.run.source, r.run.counters) for r in report.runs if r.rules],
        )
    )


def _source(report: RunReport) -> dict[str, Any]:
    """What the card says of one source."""
    run, counted = report.run, report.documents
    held_to = report.rules.settings if report.rules else {}
    recipe = run.json("recipe.json") or {}
    assets, models = recipe.get("assets", {}), run.manifest.get("models", {})
    block = recipe.get(run.source) or {}
    return {
        "name": words.source(run.source),
        "run": run.name,
        "recipe": recipe.get("name", ""),
        "demonstration": bool(run.manifest.get("demonstration")),
        "counters": run.counters,
        "bytes": counted.kept_bytes if counted else None,
        "inputs": run.manifest.get("inputs", {}),
        "origin": read_table("corpus.review.report", "sources.toml").get(run.source, {}),
        "languages": [(cell(n), k) for n, k in counted.kept_languages.most(30)] if counted else [],
        "licences": [(cell(n), k) for n, k in counted.licences.most(_LICENCES)] if counted else [],
        "unlicensed": counted.kept - sum(counted.licences.counts.values()) if counted else None,
        "steps": report.steps,
        "settings": _flat(block) + _flat({"cutoffs": held_to.get("cutoffs", {})}),
        "build": _flat(recipe.get("build", {})) if run.kind == "build" else [],
        "models": [
            (n, assets.get(n, {}).get("licence", ""), assets.get(n, {}).get("url", ""), models[n])
            for n in sorted(models)
        ],
        "held_out": run.counters.get("held_out", 0),
    }


def cell(text: str) -> str:
    """Text that stays in its cell of a Markdown table, and is no HTML or link there."""
    shown = visible(text, lines=False)
    for sign in "\\`*_[]<>|":
        shown = shown.replace(sign, f"\\{sign}")
    return shown


def _manifest(report: RunReport) -> str:
    """SHA-256 of a run's manifest, which has those of all its stages."""
    path = storage.join(report.run.root, "manifest.json")
    return hashlib.sha256(storage.read_bytes(path)).hexdigest()


def _flat(block: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """A block of a recipe key by key; values as JSON."""
    found: list[tuple[str, str]] = []
    for key, value in sorted(block.items()):
        if isinstance(value, dict):
            found += _flat(value, f"{prefix}{key}.")
        else:
            found.append((prefix + key, visible(orjson.dumps(value).decode(), lines=False)))
    return found
