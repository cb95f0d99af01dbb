"""Files from a web server that misbehaves: the same bytes as on disk, or an error that names the address."""

from __future__ import annotations

import os
import pickle
import random
import struct
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path

import pytest

from corpus import storage, web
from corpus.cache import CACHE_VARIABLE, exclusive
from corpus.recipe import Network
from corpus.web import clients
from corpus.web.pace import wait_for_turn
from tests.corpus.sources.commoncrawl_files import members, read_file, record
from tests.corpus.web_server import Fault, Site, serve

DATA = random.Random(1).randbytes(5 << 20)
BLOCKS = ["bytes=0-1048575", "bytes=1048576-3145727", "bytes=3145728-7340031"]
TRIES = 4


@pytest.fixture
def site() -> Iterator[Site]:
    with serve({"file": DATA, "empty": b""}) as site:
        yield site


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What was slept, none of it truly."""
    slept: list[float] = []
    network = Network(requests_per_second=1e6, tries=TRIES, timeout_seconds=0.3)
    monkeypatch.setattr(
        clients, "_client", web.Client(network, lambda s: slept.append(s) if s > 1e-3 else None)
    )
    return slept


def read(site: Site, name: str = "file") -> bytes:
    with storage.open_read(f"{site.address}/{name}") as f:
        return f.read()


class TestReading:
    def test_blocks_grow_as_reading_goes_on(self, site: Site) -> None:
        assert read(site) == DATA
        assert site.ranges_asked == BLOCKS
        assert [h.get("if-match") for _, _, h in site.requests] == [None, '"one"', '"one"']

    def test_seeking(self, site: Site) -> None:
        with storage.open_read(f"{site.address}/file") as f:
            assert f.seek(-10, 2) == len(DATA) - 10
            assert f.read() == DATA[-10:]
            assert f.seek(100) == 100
            assert f.read(5) == DATA[100:105]
            f.seek(1 << 20)
            f.seek(-1, 1)
            assert f.read(2) == DATA[(1 << 20) - 1 : (1 << 20) + 1]
            f.seek(len(DATA) + 5)
            assert f.read(1) == b""

    def test_an_empty_file(self, site: Site) -> None:
        assert read(site, "empty") == b""

    @pytest.mark.parametrize("version", ['"one"', 'W/"one"', ""])
    def test_versions_of_any_kind(self, site: Site, version: str) -> None:
        site.etag = version
        assert read(site) == DATA

    def test_without_ranges_it_is_read_in_one_pass(self, site: Site) -> None:
        site.ranges = False
        with storage.open_read(f"{site.address}/file") as f:
            assert f.read(10) == DATA[:10]
            f.seek(-3, 2)
            assert f.read() == DATA[-3:]
        assert len(site.requests) == 1

    def test_a_file_is_the_same_as_on_disk(self, site: Site, tmp_path) -> None:  # type: ignore[no-untyped-def]
        data = members(*[record("T\n" + f"line {n}\n" * (n % 50), n) for n in range(2000)])
        site.files["a.warc.wet.gz"] = data
        (tmp_path / "a").write_bytes(data)
        for ranges in (True, False):
            site.ranges = ranges
            site.faults = [Fault(status=503), Fault(cut_at=1000)] if ranges else []
            over_the_web = read_file(f"{site.address}/a.warc.wet.gz")
            assert over_the_web.pages == read_file(tmp_path / "a").pages
            assert len(over_the_web.pages) == 2000


class TestTrouble:
    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
    def test_a_busy_server_is_asked_again_after_longer_and_longer_pauses(
        self, site: Site, pauses: list[float], caplog: pytest.LogCaptureFixture, status: int
    ) -> None:
        site.faults = [Fault(status=status)] * 3
        assert read(site) == DATA
        assert pauses == [1, 2, 4]
        assert f"{site.address}/file: HTTP {status}" in caplog.messages[2]
        assert caplog.messages[2].endswith("asking again in 4 s")

    def test_retry_after_is_honoured_in_seconds_and_as_a_date(self, site: Site, pauses: list[float]) -> None:
        later = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
        site.faults = [
            Fault(503, retry_after="7"),
            Fault(503, retry_after=later),
            Fault(503, retry_after="?"),
        ]
        assert read(site) == DATA
        assert pauses[0] == 7
        assert 90 < pauses[1] <= 100
        assert pauses[2] == 4

    def test_a_retry_after_of_days_does_not_hold_a_task_for_days(
        self, site: Site, pauses: list[float]
    ) -> None:
        site.faults = [Fault(503, retry_after="1000000")]
        read(site)
        assert pauses == [600]

    def test_a_cut_body_is_resumed_where_it_stopped(self, site: Site) -> None:
        site.faults = [Fault(cut_at=300_000), Fault(cut_at=200_000)]
        assert read(site) == DATA
        assert site.ranges_asked == [
            "bytes=0-1048575",
            "bytes=300000-1048575",
            "bytes=500000-1048575",
            *BLOCKS[1:],
        ]

    def test_progress_makes_tries_anew(self, site: Site) -> None:
        site.faults = [Fault(cut_at=1000)] * 3 * TRIES
        assert read(site) == DATA

    @pytest.mark.parametrize("declared", [-1000, 1000])
    def test_a_wrong_content_length(self, site: Site, declared: int) -> None:
        site.faults = [Fault(declared=declared)]
        assert read(site) == DATA

    def test_a_slow_answer_is_left(self, site: Site, pauses: list[float]) -> None:
        site.faults = [Fault(stall=True, cut_at=100_000)]  # 1,696 bytes of a chunk are lost
        assert read(site) == DATA
        assert site.ranges_asked[1] == "bytes=98304-1048575"
        assert pauses == [1]

    def test_a_cut_body_without_ranges_starts_over(self, site: Site, pauses: list[float]) -> None:
        site.ranges = False
        site.faults = [Fault(cut_at=300_000), Fault(status=503), Fault()]
        assert read(site) == DATA
        assert pauses == [1, 2]

    def test_a_server_that_stays_away_is_an_error_that_names_the_address(self, site: Site) -> None:
        site.faults = [Fault(status=503)] * 9
        with pytest.raises(web.Unreachable, match=rf"{site.address}/file .*tried {TRIES} times: HTTP 503"):
            read(site)
        site.faults = [Fault(), *[Fault(cut_at=0)] * 9]
        with storage.open_read(f"{site.address}/file") as f, pytest.raises(web.Unreachable):
            f.read()
        site.ranges = False
        site.faults = [Fault(cut_at=1000)] * 9
        with pytest.raises(web.Unreachable):
            read(site)
        with pytest.raises(web.Unreachable, match=r"127\.0\.0\.1:9/file"):
            storage.open_read("http://127.0.0.1:9/file")

    def test_an_unreachable_file_is_not_a_bad_record(self, site: Site) -> None:
        site.files["a.warc"] = record("T\n" + "x" * (2 << 20), 1) + record(number=2)
        site.faults = [Fault(), *[Fault(status=503)] * 9]
        with pytest.raises(web.Unreachable):
            read_file(f"{site.address}/a.warc")

    def test_a_file_that_changes_is_an_error(self, site: Site) -> None:
        for _ in range(2):  # found by the server, then by us, of whom it ignores the condition
            site.faults = [Fault(), Fault(version='"two"')]
            with storage.open_read(f"{site.address}/file") as f, pytest.raises(web.Changed, match="changed"):
                f.read()
            site.etag = 'W/"one"'
        with storage.open_read(f"{site.address}/file") as f:
            site.files["file"] = DATA[:1000]
            with pytest.raises(web.Changed, match="changed"):
                f.read()

    def test_ranges_that_stop_are_no_mixture(self, site: Site) -> None:
        site.faults = [Fault(), Fault(ranges=False), Fault()]
        assert read(site) == DATA
        site.faults = [Fault(), *[Fault(ranges=False)] * 9]
        with storage.open_read(f"{site.address}/file") as f, pytest.raises(web.Unreachable):
            f.read()

    def test_refusals_are_not_repeated(self, site: Site) -> None:
        for status, error in [(404, FileNotFoundError), (410, FileNotFoundError), (403, PermissionError)]:
            site.requests.clear()
            site.faults = [Fault(status=status)]
            with pytest.raises(error, match=f"{site.address}/file .*HTTP {status}"):
                read(site)
            assert len(site.requests) == 1
        site.faults = [Fault(status=400)]
        with pytest.raises(web.WebError, match="HTTP 400"):
            read(site)
        with pytest.raises(web.WebError, match="cannot be read"):
            storage.open_read("http://")

    def test_errors_travel_between_processes(self) -> None:
        for kind in (web.Unreachable, web.Changed, web.NotFound, web.Refused):
            again = pickle.loads(pickle.dumps(kind("http://x went wrong")))
            assert (type(again), str(again)) == (kind, "http://x went wrong")


class TestInfo:
    def test_size_and_identity(self, site: Site) -> None:
        url = f"{site.address}/file"
        assert storage.info(url) == storage.FileInfo(url, len(DATA), "one")
        assert site.requests[0][0] == "HEAD"
        assert storage.exists(url)
        assert not storage.exists(f"{site.address}/nothing")
        assert [f.path for f in storage.find(url)] == [url]
        assert storage.find(f"{site.address}/nothing") == []
        with pytest.raises(ValueError, match="cannot be searched"):
            storage.find(f"{site.address}/*.gz")

    def test_a_server_that_knows_no_head(self, site: Site) -> None:
        site.faults = [Fault(status=405)]
        assert storage.info(f"{site.address}/file").size == len(DATA)
        site.ranges = False
        site.faults = [Fault(status=501)]
        assert storage.info(f"{site.address}/file").size == len(DATA)

    def test_a_busy_server_is_asked_again(self, site: Site, pauses: list[float]) -> None:
        site.faults = [Fault(status=503)]
        assert storage.info(f"{site.address}/file").size == len(DATA)
        assert pauses == [1]


ASKED, PER_SECOND = 8, 20
_ASK = f"""
import sys
from corpus import web
from corpus.recipe import Network
web.configure(Network(requests_per_second={PER_SECOND}))
print("ready", flush=True)
sys.stdin.read()
for _ in range({ASKED}):
    client = web.client()
    client.request("HEAD", sys.argv[1], {{}}, client.patience("x")).close()
"""


def start_asking(site: Site, caches: list[Path]) -> list[subprocess.Popen[bytes]]:
    """Processes that ask for /0, /1 … when their input ends, each with its cache directory."""
    started = []
    for number, cache in enumerate(caches):
        site.files[str(number)] = b""
        command = [sys.executable, "-c", _ASK, f"{site.address}/{number}"]
        environment = {**os.environ, CACHE_VARIABLE: str(cache)}
        started.append(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        )
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    return started


def finish(processes: list[subprocess.Popen[bytes]]) -> None:
    """Let them all go at once, then wait."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    for process in processes:
        assert process.wait() == 0


class TestPace:
    def test_requests_keep_their_distance(self, site: Site) -> None:
        now = [100.0]

        def sleep(seconds: float) -> None:
            now[0] += seconds

        client = web.Client(Network(requests_per_second=4), sleep, lambda: now[0])
        times = []
        for _ in range(4):
            with client.request("HEAD", f"{site.address}/file", {}, client.patience("x")):
                times.append(now[0])
        now[0] += 10
        with client.request("HEAD", f"{site.address}/file", {}, client.patience("x")):
            times.append(now[0])
        assert times == [100, 100.25, 100.5, 100.75, 110.75]

    def test_two_processes_share_one_pace(self, site: Site, cache: Path) -> None:
        processes = start_asking(site, [cache, cache])
        finish(processes)
        assert len(site.times) == 2 * ASKED
        # A request may come late, so the next is nearer to it; it never starts early.
        assert site.times[-1] - site.times[0] >= (2 * ASKED - 1) / PER_SECOND - 0.1
        asked = [path for _, path, _ in site.requests]
        assert sum(a != b for a, b in pairwise(asked)) > 2, "they did not run at the same time"

    def test_two_machines_ask_twice_as_often(self, site: Site, tmp_path: Path) -> None:
        """What shares no cache directory shares no pace: each has its turns to itself."""
        processes = start_asking(site, [tmp_path / "a", tmp_path / "b"])
        finish(processes)
        for own in ("/0", "/1"):
            times = [t for t, (_, path, _) in zip(site.times, site.requests, strict=True) if path == own]
            assert times[-1] - times[0] >= (ASKED - 1) / PER_SECOND - 0.1
        assert list((tmp_path / "a").iterdir()) == [tmp_path / "a" / "last-web-request"]

    def test_who_asks_waits_for_the_turn_of_another_process(self, site: Site, cache: Path) -> None:
        cache.mkdir()
        (process,) = start_asking(site, [cache])
        with exclusive(cache / "last-web-request"):
            assert process.stdin is not None
            process.stdin.close()
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.5)
            assert site.requests == []
        assert process.wait() == 0
        assert len(site.requests) == ASKED

    @pytest.mark.parametrize("left", [b"", b"half", struct.pack("<d", 1e12), struct.pack("<d", float("nan"))])
    def test_a_file_of_another_time_costs_one_interval_at_most(self, cache: Path, left: bytes) -> None:
        cache.mkdir()
        (cache / "file").write_bytes(left)
        slept: list[float] = []
        for _ in range(2):
            wait_for_turn(cache / "file", 0.25, slept.append, lambda: 100.0)
        assert slept in ([0.25], [0.25, 0.25])

    def test_a_cache_that_cannot_be_written_is_an_error_that_says_so(
        self, site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_bytes(b"")
        monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
        with pytest.raises(web.WebError, match=f"set {CACHE_VARIABLE} to a folder"):
            read(site)

    def test_the_same_settings_keep_the_pace(self) -> None:
        web.configure(Network(tries=3))
        first = web.client()
        web.configure(Network(tries=3))
        assert web.client() is first
        web.configure(Network(tries=5))
        assert web.client().network.tries == 5


def test_without_a_connection_the_error_comes_after_seconds() -> None:
    pauses: list[float] = []
    client = web.Client(Network(), sleep=pauses.append)
    url = "http://no-such-host.invalid/file"  # RFC 2606: never resolves
    with pytest.raises(web.Unreachable, match="tried 3 times"):
        client.request("GET", url, {}, client.patience(url))
    assert [p for p in pauses if p >= 1] == [1, 2]
