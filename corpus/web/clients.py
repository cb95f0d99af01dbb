"""Requests that are tried again: pace, pauses, and one pool of connections a process.

In: an address and headers. Out: an answer that is no failure of the moment. What goes wrong for the moment
(a busy server, a broken connection, a slow answer) is tried again after pauses that double.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping

import requests
from urllib3.exceptions import InvalidHeader, NameResolutionError
from urllib3.util import Retry

from corpus.recipe import Network
from corpus.web.answers import BROKEN, TRANSIENT, Unreachable, WebError, status_line
from corpus.web.pace import pace_file, wait_for_turn

_TRIES_OF_A_NAME = 3
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
_LONGEST_RETRY_AFTER_SECONDS = 600.0

_log = logging.getLogger(__name__)


class Patience:
    """The failures in a row at one address, and the pauses after them."""

    def __init__(self, url: str, tries: int, sleep: Callable[[float], None]) -> None:
        self._url = url
        self._tries = tries
        self._sleep = sleep
        self._failures = 0

    def progressed(self) -> None:
        """Bytes came: the count begins anew."""
        self._failures = 0

    def failed(self, what: str, retry_after: str | None = None, tries: int | None = None) -> None:
        """Count a failure and wait: 1, 2, 4 … 60 seconds, or longer where the server asks for it.

        Args:
            tries: fewer than usual, for a failure that seldom passes.

        Raises:
            Unreachable: it was the last try.
        """
        self._failures += 1
        if self._failures >= min(self._tries, tries or self._tries):
            message = f"{self._url} cannot be reached for now, tried {self._failures} times: {what}"
            raise Unreachable(message)
        pause = min(_FIRST_PAUSE_SECONDS * 2.0 ** (self._failures - 1), _LONGEST_PAUSE_SECONDS)
        pause = max(pause, _seconds(retry_after))
        _log.warning("%s: %s; asking again in %.0f s", self._url, what, pause)
        self._sleep(pause)


class Client:
    """One process's requests: a connection pool, the pace of its machine, and the number of tries."""

    def __init__(
        self,
        network: Network,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.network = network
        self._sleep = sleep
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: dict[int, requests.Session] = {}  # by process: a fork must not share connections

    def patience(self, url: str) -> Patience:
        """A new count of failures for one undertaking."""
        return Patience(url, self.network.tries, self._sleep)

    def request(
        self, method: str, url: str, headers: Mapping[str, str], patience: Patience
    ) -> requests.Response:
        """An answer that is no failure of the moment; its body is not read yet.

        Raises:
            Unreachable: all tries failed.
            WebError: the address is none, or the pace cannot be kept.
        """
        # Ranges count the bytes as stored: no compression on the way.
        headers = {"Accept-Encoding": "identity", "User-Agent": "llama-corpus", **headers}
        while True:
            wait_for_turn(pace_file(), 1 / self.network.requests_per_second, self._sleep, self._clock)
            try:
                answer = self._session().request(
                    method, url, headers=headers, stream=True, timeout=self.network.timeout_seconds
                )
            except BROKEN as error:
                # Without a connection nobody should wait for minutes to be told so.
                patience.failed(str(error), tries=_TRIES_OF_A_NAME if _no_such_name(error) else None)
                continue
            except requests.RequestException as error:
                raise WebError(f"{url} cannot be read: {error}") from error
            if answer.status_code not in TRANSIENT:
                return answer
            answer.close()
            patience.failed(status_line(answer), answer.headers.get("Retry-After"))

    def _session(self) -> requests.Session:
        with self._lock:
            return self._sessions.setdefault(os.getpid(), requests.Session())


_client = Client(Network())


def configure(network: Network) -> None:
    """Set pace and patience of this process's requests; the same settings again change nothing."""
    global _client
    if _client.network != network:
        _client = Client(network)


def client() -> Client:
    """The process's client."""
    return _client


def _no_such_name(error: Exception) -> bool:
    """Whether a host's name could not be looked up."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(reason, NameResolutionError)


def _seconds(retry_after: str | None) -> float:
    """What a Retry-After, of seconds or a date, asks for; nothing where it says neither."""
    with contextlib.suppress(InvalidHeader):
        if retry_after:
            return min(Retry().parse_retry_after(retry_after), _LONGEST_RETRY_AFTER_SECONDS)
    return 0.0
