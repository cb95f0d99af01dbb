"""What every worker checks before its first task: that it is set up as the command that sent the work.

The command writes ``.driver.json`` into the run's folder: its versions. A worker that cannot see it cannot
see the output; one with other versions would write other bytes. It answers with ``.worker.json``, by which
the command knows that the engine has begun. Both are gone when the run ends.
"""

from __future__ import annotations

import platform
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

import apache_beam as beam
import orjson

from corpus import storage
from corpus.errors import UserError

_DRIVER, _WORKER = ".driver.json", ".worker.json"
_PROJECT = "llama-corpus"
# Of what the project requires, what shapes no byte of a corpus.
_FOR_PEOPLE = frozenset({"altair", "jinja2", "requests", "rich", "tqdm", "urllib3", "vl-convert-python"})


@dataclass(frozen=True)
class Driver:
    """The command that sends the work, as its workers know it.

    Attributes:
        root: folder or address of the run.
        versions: of Python, of this project and of what it depends on, by name.
    """

    root: str
    versions: dict[str, str]

    @classmethod
    def of(cls, root: str) -> Driver:
        """This process as the driver of a run."""
        return cls(root, _versions())

    def announce(self) -> None:
        """Write what workers look for."""
        self.leave()
        storage.write_bytes(storage.join(self.root, _DRIVER), orjson.dumps(self.versions))

    def leave(self) -> None:
        """Take away what was written for the run's time."""
        for name in (_DRIVER, _WORKER):
            storage.remove(storage.join(self.root, name))

    def answered(self) -> bool:
        """Whether a worker has begun."""
        return storage.exists(storage.join(self.root, _WORKER))


class OnWorker(beam.DoFn):  # type: ignore[misc]
    """Hands elements on, once this worker has been found fit for the run."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._fit = False

    def process(self, element: Any) -> Iterator[Any]:
        """The element, unchanged, of a worker that is fit.

        Raises:
            UserError: it does not see the output, or has other versions than the driver. Not in `setup`:
                an engine may then start the worker again and again, and say nothing.
        """
        if not self._fit:
            self._check()
            self._fit = True
        yield element

    def _check(self) -> None:
        driver, host = self._driver, socket.gethostname()
        if not storage.exists(storage.join(driver.root, _DRIVER)):
            raise UserError(
                f"the worker on {host} does not see the output {driver.root}: give a folder that all "
                "machines share, or an address such as s3://BUCKET/DIR"
            )
        here = _versions()
        other = [
            f"{name} {here.get(name, 'missing')} (the command: {wanted})"
            for name, wanted in driver.versions.items()
            if here.get(name) != wanted
        ]
        if other:
            raise UserError(
                f"the worker on {host} is not set up as this command: {', '.join(other)}; install the same "
                "versions there"
            )
        storage.write_bytes(storage.join(driver.root, _WORKER), orjson.dumps({"host": host}))


def _versions() -> dict[str, str]:
    """Versions that shape bytes: Python's minor, this project's, those of what it requires."""
    found = {"python": ".".join(platform.python_version_tuple()[:2]), _PROJECT: version(_PROJECT)}
    for requirement in requires(_PROJECT) or ():
        if "extra ==" in requirement:
            continue
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        if name in _FOR_PEOPLE:
            continue
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    return found
