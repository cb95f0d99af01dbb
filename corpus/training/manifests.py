"""Manifests of trained models: JSON with hashes, sizes and settings; no path, host or time.

Written beside the model; read again where a recipe names a model that has its manifest beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from corpus import assets, storage
from corpus.errors import UserError
from corpus.recipe import LanguageModel

_SUFFIX = ".manifest.json"
_MODEL_SUFFIXES = (".sp.model", ".binary")  # what `train-lm` writes


def file_entry(path: str) -> dict[str, Any]:
    """Base name, identity and bytes of a file: SHA-256 of a local one, etag of a remote one."""
    if storage.is_local(path):
        size = Path(path).stat().st_size
        return {"name": Path(path).name, "sha256": assets.file_sha256(path), "bytes": size}
    info = storage.info(path)
    return {"name": path.rsplit("/", 1)[-1], "tag": info.tag, "bytes": info.size}


def write_manifest(path: Path, manifest: Mapping[str, Any]) -> None:
    """Write a manifest, for people to read."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    storage.write_bytes(str(path), orjson.dumps(dict(manifest), option=options))


def check_language_model(language: str, model: LanguageModel, paths: Mapping[str, str]) -> None:
    """Hold what a recipe says of a language model against the manifest beside its files.

    A manifest counts if it has the name that `train-lm` gave it and lists the file by its content. Models
    from elsewhere have none, and are taken as the recipe says.

    Args:
        language: the model's key in the recipe.
        model: the recipe's block.
        paths: local paths of the assets that the block names.

    Raises:
        UserError: the model was trained with another encoding, or a manifest is not readable.
    """
    for asset in (model.sentencepiece, model.kenlm):
        path = Path(paths[asset])
        found = _manifest_beside(path)
        if found is None:
            continue
        manifest_path, manifest = found
        trained = manifest["settings"]["encoding"]
        if trained != model.encoding:
            raise UserError(
                f"[commoncrawl.perplexity.models.{language}] says encoding = {model.encoding!r}, but "
                f"{path} was trained with {trained!r}, as {manifest_path} says: its perplexities would mean "
                f"nothing. Write encoding = {trained!r}, or train it with --encoding {model.encoding}"
            )


def _manifest_beside(model: Path) -> tuple[Path, dict[str, Any]] | None:
    """The manifest of a language model's file, if there is one of this very content."""
    name = next((model.name.removesuffix(s) for s in _MODEL_SUFFIXES if model.name.endswith(s)), None)
    if name is None:
        return None
    path = model.with_name(name + _SUFFIX)
    try:
        manifest = orjson.loads(path.read_bytes())
        outputs = {entry["sha256"] for entry in manifest["outputs"]}
        _ = manifest["settings"]["encoding"]
    except FileNotFoundError:
        return None
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} beside {model.name} is no manifest of `llama-corpus train-lm` ({error!r}): move it"
        ) from error
    return (path, manifest) if assets.file_sha256(model) in outputs else None
