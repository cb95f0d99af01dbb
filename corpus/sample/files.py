"""What the sample's builders share: files and archives, written the same every time; the command line."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import py7zr

_MODE = 0o644  # of the members of an archive


def write(path: Path, content: str | bytes) -> None:
    """Write a file, and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def write_7z(path: Path, members: dict[str, str], time: int) -> None:
    """Write a 7z archive of texts by name, all with the same mode and time (seconds since 1970)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, py7zr.SevenZipFile(path, "w") as archive:
        for name, content in members.items():
            member = Path(temporary) / name
            member.write_bytes(content.encode())
            member.chmod(_MODE)
            os.utime(member, (time, time))
            archive.write(member, name)


def json_line(row: dict[str, Any]) -> bytes:
    """A row without its line end, as allenai/c4 and BigQuery write it: no space between, not ASCII alone."""
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()


def build_by_command(build: Callable[[Path], None], folder: Path, description: str) -> None:
    """Build below the folder that the command line names, else the committed one; say what was written."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, default=folder)
    chosen: Path = parser.parse_args().folder
    build(chosen)
    files = [path for path in chosen.rglob("*") if path.is_file()]
    print(f"{len(files)} files, {sum(path.stat().st_size for path in files):,} bytes in {chosen}")
