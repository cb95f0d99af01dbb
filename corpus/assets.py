"""Model files: from the address in the recipe to a verified file in the local cache.

In: the recipe's `Asset` entries (address, SHA-256, licence). Out: local paths, and the SHA-256 that
manifests record as the file's identity. A file in the cache has its hash in its folder's name, so two
recipes, or two processes at once, never disagree about what a path holds.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from pathlib import Path

from corpus import downloads, storage
from corpus.cache import cache_directory, exclusive
from corpus.errors import UserError
from corpus.recipe import Asset

# (address, path to write)
Download = Callable[[str, Path], None]

# (path, size, modification time in ns) -> SHA-256: a model is read through once a process, not once a use.
_hashes: dict[tuple[str, int, int], str] = {}


def fetch(name: str, asset: Asset) -> str:
    """Local path of an asset, downloaded if it is not yet there, with the SHA-256 that the recipe names.

    Addresses: `https://…`, `http://…`; `pypi:project==version/path/in/the/wheel`;
    `sample:path` below `corpus/sample/`; anything else is a local path, taken as it stands.

    Args:
        name: the asset's key in the recipe's `assets` table, for messages.
        asset: its entry.

    Raises:
        UserError: no address is given, the file cannot be had, or it is not the one expected.
    """
    if not asset.url:
        raise UserError(
            f"asset {name!r} has no address: set {_key(name)}.url in the recipe. Models of your own "
            "come from `llama-corpus train-classifier` (the Wikipedia-reference classifier, of which none is "
            "published), `train-lm` (language models) and `calibrate` (cut-offs)"
        )
    if asset.url.startswith("sample:"):
        local = resources.files("corpus") / "sample" / asset.url.removeprefix("sample:")
        return _verified_in_place(name, asset, Path(str(local)))
    download = _downloader(asset.url)
    if download is None:
        return _verified_in_place(name, asset, Path(asset.url))
    if not asset.sha256:
        raise UserError(_take_checksum(name, asset, download))
    return _cached(name, asset, download)


def identity(name: str, asset: Asset) -> str:
    """SHA-256 of an asset's content, for manifests: the recipe's, or that of the user's own local file.

    Raises:
        UserError: as `fetch`, where the recipe names no checksum and the file must be read.
    """
    return asset.sha256 or file_sha256(fetch(name, asset))


def preflight(assets: Mapping[str, Asset], names: Iterable[str]) -> dict[str, str]:
    """Fetch all assets that a run needs, before any work starts.

    Args:
        assets: the recipe's `assets` table.
        names: the keys that the run uses.

    Returns:
        Local path by name.

    Raises:
        UserError: one message that names every asset that cannot be had, and why.
    """
    paths: dict[str, str] = {}
    problems: list[str] = []
    for name in dict.fromkeys(names):
        if name not in assets:
            problems.append(f"asset {name!r} is named by the recipe but has no entry: add [{_key(name)}]")
            continue
        try:
            paths[name] = fetch(name, assets[name])
        except UserError as error:
            problems.append(str(error))
    if problems:
        raise UserError("\n".join(problems))
    return paths


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a local file as 64 hex digits; computed once a process while the file stays the same."""
    stat = os.stat(path)
    key = (os.path.abspath(path), stat.st_size, stat.st_mtime_ns)
    if key not in _hashes:
        with open(path, "rb") as f:
            _hashes[key] = hashlib.file_digest(f, "sha256").hexdigest()
    return _hashes[key]


def _cached(name: str, asset: Asset, download: Download) -> str:
    """The asset's place in the cache, filled if it is empty."""
    place = _place(name, asset, asset.sha256)
    with exclusive(place.with_name(place.name + ".lock")):
        if not place.is_file():
            _fill(name, asset, place, download)
    found = file_sha256(place)
    if found != asset.sha256:
        # It was whole when we gave it its name, so it is damaged, or was put there by hand.
        raise UserError(f"{_wrong_checksum(name, asset, str(place), found)}; delete it to fetch it again")
    return str(place)


def _fill(name: str, asset: Asset, place: Path, download: Download) -> None:
    """Download to a neighbouring name, check, rename."""
    partial = place.with_name(place.name + ".partial")
    for resumed in (partial.is_file(), False):
        _try(name, asset, place, download, partial)
        found = file_sha256(partial)
        if found == asset.sha256:
            os.replace(partial, place)
            return
        partial.unlink()
        if not resumed:  # else the rest of another version may have been joined on: once more, from zero
            raise UserError(_wrong_checksum(name, asset, asset.url, found))


def _take_checksum(name: str, asset: Asset, download: Download) -> str:
    """Fetch a file of which no checksum is known; what to tell the user, who alone can trust it.

    The file goes to the cache under its hash, and its hash to where the address alone leads: it is not
    fetched again, whether the recipe has its hash by then or not.
    """
    told = _place(name, asset, hashlib.sha256(asset.url.encode()).hexdigest())
    with exclusive(told.with_name(told.name + ".lock")):
        found = told.read_text() if told.is_file() else ""
        if not found or not _place(name, asset, found).is_file():
            partial = told.with_name(told.name + ".partial")
            # Nothing would show that the rest of another version was joined to what an earlier process left.
            partial.unlink(missing_ok=True)
            _try(name, asset, _place(name, asset, "SHA256", make=False), download, partial)
            found = file_sha256(partial)
            os.replace(partial, _place(name, asset, found))
            storage.write_bytes(str(told), found.encode())
    return (
        f"asset {name!r}: the recipe has no checksum for {asset.url}. The file that came has sha256 {found}; "
        f"if that is the one you mean, set {_key(name)}.sha256 to it"
    )


def _try(name: str, asset: Asset, place: Path, download: Download, partial: Path) -> None:
    try:
        download(asset.url, partial)
    except downloads.DownloadError as error:
        raise UserError(
            f"asset {name!r}: cannot fetch {asset.url}: {error}. Without a connection, put the file by "
            f"hand at {place} (with its SHA256 as {_key(name)}.sha256 in the recipe), or set "
            f"{_key(name)}.url to a local path"
        ) from error


def _key(name: str) -> str:
    """An asset's table, as TOML spells it."""
    return f"assets.{name}" if re.fullmatch("[A-Za-z0-9_-]+", name) else f'assets."{name}"'


def _place(name: str, asset: Asset, folder: str, make: bool = True) -> Path:
    """Where in the cache a file belongs; its folder is made, unless it is only to be told."""
    basename = asset.url.rsplit("/", 1)[-1].split("?", 1)[0] or name
    place = cache_directory() / "assets" / folder / basename
    if make:
        place.parent.mkdir(parents=True, exist_ok=True)
    return place


def _downloader(url: str) -> Download | None:
    if url.startswith(("https://", "http://")):
        return downloads.from_web
    if url.startswith("pypi:"):
        return downloads.from_wheel
    if not storage.is_local(url):
        raise UserError(f"address {url!r}: use https://, http://, pypi:, sample: or a local path")
    return None


def _verified_in_place(name: str, asset: Asset, path: Path) -> str:
    """A file that is used where it lies."""
    if not path.is_file():
        raise UserError(f"asset {name!r}: there is no file {path} ({_key(name)}.url = {asset.url!r})")
    if asset.sha256:
        found = file_sha256(path)
        if found != asset.sha256:
            raise UserError(_wrong_checksum(name, asset, str(path), found))
    return str(path)


def _wrong_checksum(name: str, asset: Asset, file: str, found: str) -> str:
    return f"asset {name!r}: {file} is not the expected file: sha256 expected {asset.sha256}, got {found}"
