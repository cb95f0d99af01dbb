"""Manifests of trained models: JSON with hashes, sizes and settings; no path, host or time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from corpus import assets, storage


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
