"""Files from the web and from Python packages, as bytes on the local disk; nothing is verified here.

`corpus.assets` and `corpus.training.kenlm_tools` say what to fetch and check what came. A download
goes to the path that the caller names and goes on where an earlier attempt stopped.
"""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from types import TracebackType

import requests
import urllib3
from tqdm import tqdm

from corpus import web

_LOG_EVERY_SECONDS = 10.0

_log = logging.getLogger(__name__)


class DownloadError(Exception):
    """What was asked for could not be fetched; the message says what was tried."""


def from_web(url: str, partial: Path) -> None:
    """Fetch an HTTP(S) address into `partial`, going on from the bytes already there.

    Raises:
        DownloadError: the server refuses, or stays unreachable after retries with growing pauses.
    """
    client = web.client()
    patience = client.patience(url)
    version = ""
    try:
        while (broken := _fetch_rest(client, url, partial, patience, version)) is not None:
            version, what = broken
            patience.failed(what)
    except web.WebError as error:
        raise DownloadError(str(error)) from error


def from_wheel(url: str, partial: Path) -> None:
    """Take one file out of a wheel: `pypi:project==version/path/in/the/wheel`.

    The wheel is downloaded without its dependencies and not installed.

    Raises:
        DownloadError: the address is not of that form, there is no such wheel or no such file in it.
    """
    match = re.fullmatch(r"pypi:([^/=]+==[^/=]+)/(.+)", url)
    if not match:
        raise DownloadError("the form is pypi:project==version/path/in/the/wheel")
    requirement, member = match.groups()
    with tempfile.TemporaryDirectory() as folder:
        wheel = package_file(requirement, Path(folder), "--only-binary=:all:")
        with zipfile.ZipFile(wheel) as archive:
            if member not in archive.namelist():
                raise DownloadError(f"{wheel.name} holds no {member}")
            with archive.open(member) as source, open(partial, "wb") as f:
                shutil.copyfileobj(source, f)


def package_file(requirement: str, folder: Path, kind: str) -> Path:
    """Download one distribution file with pip, no dependencies.

    Args:
        requirement: `project==version`.
        folder: an empty folder that receives it.
        kind: pip's option that asks for wheels or for source distributions.

    Raises:
        DownloadError: pip failed; the message ends with what pip said.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-input", "--no-deps", kind, "--dest", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise DownloadError(f"tried pip download {kind} {requirement}: {' '.join(said[-3:])}")
    return next(folder.iterdir())


def _fetch_rest(
    client: web.Client, url: str, partial: Path, patience: web.Patience, version: str
) -> tuple[str, str] | None:
    """One answer with the bytes that `partial` lacks; where it broke off, the file's version and why."""
    start = before = _size(partial)
    headers = {"Range": f"bytes={start}-"} if start else {}
    if start and version and not version.startswith("W/"):
        headers["If-Range"] = version  # of another version all is sent
    with client.request("GET", url, headers, patience) as answer:
        if answer.status_code == requests.codes.requested_range_not_satisfiable:
            if answer.headers.get("Content-Range") == f"bytes */{start}":
                return None  # whole already
            partial.unlink()
            return "", "the file changed on the server"
        web.check(answer, url)
        resumed = answer.headers.get("Content-Range", "").startswith(f"bytes {start}-")
        start = start if resumed else 0
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length else None
        with open(partial, "ab" if resumed else "wb") as f, Progress(url, start, total) as progress:
            try:
                for chunk in web.chunks(answer):
                    f.write(chunk)
                    progress.advance(len(chunk))
                    if f.tell() > before:  # no progress where it starts over
                        patience.progressed()
            except urllib3.exceptions.HTTPError as error:
                return web.version_of(answer), str(error)
    return None


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


class Progress:
    """A bar of bytes on a terminal; in a log, a plain line every few seconds."""

    def __init__(self, url: str, done: int, total: int | None) -> None:
        self._name = url.rsplit("/", 1)[-1]
        self._done, self._total = done, total
        self._last = time.monotonic()
        self._bar: tqdm | None = None
        if sys.stderr.isatty():
            self._bar = tqdm(desc=self._name, initial=done, total=total, unit="B", unit_scale=True)

    def __enter__(self) -> Progress:
        return self

    def advance(self, n: int) -> None:
        """Count `n` more bytes."""
        self._done += n
        if self._bar is not None:
            self._bar.update(n)
        elif time.monotonic() - self._last >= _LOG_EVERY_SECONDS:
            self._last = time.monotonic()
            of_total = f" of {self._total / 1e6:.0f}" if self._total else ""
            _log.info("downloading %s: %.0f%s MB", self._name, self._done / 1e6, of_total)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
