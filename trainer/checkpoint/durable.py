"""Files that are whole on disk or not there: forced to disk first, named last, known by SHA-256."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any


def sync(path: Path) -> None:
    """Force a file, or a folder's list of names, to disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, as `write_bytes` does."""
    write_bytes(path, json.dumps(value, indent=1).encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file; its name appears when its bytes are on disk."""
    partial = path.with_name(f"{path.name}.part")
    partial.write_bytes(data)
    sync(partial)
    partial.rename(path)
    sync(path.parent)


def delete(folder: Path) -> None:
    """Delete a folder; it becomes ``.deleted-…`` first, so that half of it never bears its name."""
    gone = folder.with_name(f".deleted-{folder.name}")
    folder.rename(gone)
    shutil.rmtree(gone)


def fingerprint(path: Path) -> dict[str, Any]:
    """``{"bytes": …, "sha256": …}`` of a file; other threads run meanwhile."""
    with path.open("rb") as f:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(f, "sha256").hexdigest()}


def digest(value: Any) -> str:
    """SHA-256 of what JSON can hold, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
