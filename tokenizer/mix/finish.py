"""Begin and end of a mixture: what is to be drawn, before any work; what was; the manifest last."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson
import sentencepiece

from corpus import mixture, storage
from corpus.accounts import check_equal, collect_complete, write_json
from corpus.errors import UserError
from corpus.manifests import sum_counters
from corpus.recipe import digest, to_dict
from corpus.settings.mixture import Mixture
from tokenizer import shards
from tokenizer.mix.job import TRAIN, MixJob
from tokenizer.tokenized import KIND as TOKENS_KIND
from tokenizer.tokenized import MODEL

KIND = "shards"


def prepare(root: str, tokens: str, settings: Mixture) -> MixJob:
    """Check a run of `tokenize` and a mixture of it, and make the job.

    Raises:
        UserError: it is no finished run, or the mixture cannot be drawn from it.
    """
    path = storage.join(tokens, "manifest.json")
    try:
        data = storage.read_bytes(path)
        manifest = orjson.loads(data)
    except FileNotFoundError as error:
        raise UserError(
            f"{tokens} has no manifest.json: it is no run of `llama-corpus tokenize`, or one that was cut off"
        ) from error
    except orjson.JSONDecodeError as error:
        raise UserError(f"{path} is not valid JSON: {error}") from error
    if manifest.get("kind") != TOKENS_KIND:
        raise UserError(f"{tokens} is a run of kind {manifest.get('kind')!r}; give one of `tokenize`")
    stats = orjson.loads(storage.read_bytes(storage.join(tokens, "stats.json")))
    if digest(stats) != manifest["stats_sha256"]:
        raise UserError(f"{tokens}/stats.json is not that of its manifest: run `llama-corpus tokenize` again")
    sources = stats["sources"]
    marks = int(settings.begin) + int(settings.end)
    held_out = {n: _with_marks(c, "held_out_tokens", c.get("held_out", 0), marks) for n, c in sources.items()}
    unique = {n: _with_marks(c, "tokens", c.get("out", 0), marks) - held_out[n] for n, c in sources.items()}
    model_file = storage.join(tokens, MODEL)
    model_proto = storage.read_bytes(model_file)
    if hashlib.sha256(model_proto).hexdigest() != manifest["tokenizer"]["sha256"]:
        raise UserError(f"{model_file} is not the tokenizer that the tokens of {path} were made with")
    model = sentencepiece.SentencePieceProcessor(model_proto=model_proto)
    if (settings.begin and model.bos_id() < 0) or (settings.end and model.eos_id() < 0):
        raise UserError(f"the tokenizer of {tokens} lacks a mark of [mixture]: set begin or end to false")
    return MixJob(
        root,
        tokens,
        hashlib.sha256(data).hexdigest(),
        tuple(sources),
        settings,
        mixture.shares(settings, unique),
        held_out,
        (model.bos_id(), model.eos_id()),
        model.get_piece_size(),
    )


def finish(job: MixJob) -> dict[str, dict[str, float]]:
    """Check what was drawn, and write the files of the corpus; returns the table of its sources.

    Raises:
        AccountingError: tokens were lost, or a source is not right to one document.
    """
    done, timing, manifests = found = collect_complete(job.root, [stage.name for stage in job.stages()])
    totals = found.totals
    check_equal("tokens drawn", totals["draw"]["tokens"], "tokens in shards", totals["shards"]["tokens"])
    check_equal("copies drawn", totals["draw"]["drawn"], "documents in shards", totals["shards"]["documents"])
    sets: dict[str, Any] = {}
    for shard_set in job.sets:
        names = {shard_set.part_name(number) for number in range(shard_set.size)}
        counters = sum_counters(part for part in done["shards"] if part.name in names)
        path = f"{shard_set.name}/shards.npy"
        (table,) = (f for part in done["tables"] for f in part.files if f.path == path)
        sets[shard_set.name] = {
            "shards": shard_set.size,
            "table_sha256": table.sha256,
            "counters": counters,
        }
    sources = report(job, sets[TRAIN]["counters"])
    stats = {"counters": totals["shards"], "stages": totals, "sources": sources}
    write_json(job.root, "timing.json", timing)
    write_json(job.root, "stats.json", stats)
    tokens = orjson.loads(storage.read_bytes(storage.join(job.tokens, "manifest.json")))
    write_json(job.root, "inputs.json", {"tokens": job.tokens})
    storage.write_bytes(storage.join(job.root, MODEL), storage.read_bytes(storage.join(job.tokens, MODEL)))
    manifest = {
        "kind": KIND,
        "complete": True,
        "tokenizer": tokens["tokenizer"] | {"pieces": job.pieces},
        "files": {MODEL: tokens["tokenizer"]["sha256"]},
        "marks": {
            "begin": job.marks[0] if job.settings.begin else None,
            "end": job.marks[1] if job.settings.end else None,
        },
        "dtype": shards.TOKEN.str,
        "sources": list(job.sources),
        "tokens": job.sha256,
        "mixture": to_dict(job.settings),
        "sets": sets,
        "stages": manifests,
        "stats_sha256": digest(stats),
    }
    write_json(job.root, "manifest.json", manifest)
    return sources


def report(job: MixJob, counters: Mapping[str, int]) -> dict[str, dict[str, float]]:
    """Of each source: its weight and the share realised; tokens wanted, drawn, unique; epochs; bytes."""
    total = max(counters.get("tokens", 0), 1)
    rows: dict[str, dict[str, float]] = {}
    for name, share in job.shares.items():
        tokens = counters.get(f"tokens/{name}", 0)
        rows[name] = {
            "weight": job.settings.weights[name],
            "share": tokens / total,
            "wanted": share.wanted,
            "drawn": tokens,
            "unique": share.unique,
            "epochs": tokens / share.unique,
            "documents": counters.get(f"documents/{name}", 0),
            "bytes_per_token": counters.get(f"bytes/{name}", 0) / max(tokens, 1),
        }
    return rows


def _with_marks(counters: Mapping[str, int], name: str, documents: int, marks: int) -> int:
    return counters.get(name, 0) + marks * documents
