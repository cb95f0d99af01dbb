"""The pace of requests, one for all processes of a machine: starts kept apart through a locked file.

The file lies in the cache directory and holds when the last request started. Who asks next locks it, waits
until its interval has passed since, writes the time and lets go: a token bucket that holds one token.

Processes with different cache directories know nothing of each other. So on a cluster whose machines have
each their own, the site is asked up to machines × `requests_per_second`: divide the recipe's value by them.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

from corpus.cache import CACHE_VARIABLE, cache_directory, exclusive
from corpus.web.answers import WebError

_FILE = "last-web-request"
_TIME = struct.Struct("<d")


def pace_file() -> Path:
    """Where processes of this machine meet.

    Raises:
        WebError: the cache directory cannot be written.
    """
    folder = cache_directory()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(error) from error
    return folder / _FILE


def wait_for_turn(
    file: Path, interval: float, sleep: Callable[[float], None], clock: Callable[[], float]
) -> None:
    """Return when a request may start: at least `interval` seconds after the last, whoever made it.

    Args:
        clock: the same for all processes, in seconds; the wall clock will do. Where it was set back, or the
            file is of another time, one interval is waited, never more.

    Raises:
        WebError: the file cannot be written.
    """
    try:
        with exclusive(file) as f:
            written = os.pread(f, _TIME.size, 0)
            last = _TIME.unpack(written)[0] if len(written) == _TIME.size else 0.0
            pause = min(last + interval - clock(), interval)
            if pause > 0:
                sleep(pause)  # who comes meanwhile waits for the lock: turns are taken one by one
            os.pwrite(f, _TIME.pack(clock()), 0)
    except OSError as error:
        raise _unwritable(error) from error


def _unwritable(error: OSError) -> WebError:
    return WebError(
        f"the pace of requests is kept in the cache directory, which cannot be written ({error}): "
        f"set {CACHE_VARIABLE} to a folder that can"
    )
