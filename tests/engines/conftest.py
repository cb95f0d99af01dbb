"""A Spark cluster and flags of each engine, for all tests here; the digest table that they leave."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

import pytest

from tests.engines.jobs import Chain
from tests.engines.spark_cluster import SHORT_RUNS, SparkCluster
from tests.pipelines.conftest import ROOT

_FLAGS = {
    "local, 2 workers": ["--workers", "2"],
    "flink": ["--runner", "flink", "--flink_master", "[local]", "--workers", "2"],
    "prism": ["--runner", "prism"],
}
# Spark starts Python workers for every task anew unless told to keep them, which takes twice the time.
_KEPT_WORKERS = "--environment_cache_millis=60000"
_TABLE = ROOT / "build" / "digests.txt"


@pytest.fixture(scope="session")
def session_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkCluster]:
    """A master and two workers, for all tests."""
    with (
        pytest.MonkeyPatch.context() as patch,
        SparkCluster.start(tmp_path_factory.mktemp("spark"), options=SHORT_RUNS) as started,
    ):
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")  # of the driver, which the executors call
        yield started


@pytest.fixture
def cluster(session_cluster: SparkCluster) -> Iterator[SparkCluster]:
    """The cluster; what a test kills is started again after it."""
    yield session_cluster
    session_cluster.repair()


@pytest.fixture(scope="session")
def sample_chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """Every job on the built-in samples by the local runner; not to be changed."""
    return _made(Chain(tmp_path_factory.mktemp("sample-chain"), real=False))


@pytest.fixture(scope="session")
def real_chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """The same on the real data."""
    return _made(Chain(tmp_path_factory.mktemp("real-chain"), real=True))


@pytest.fixture
def flags_of(request: pytest.FixtureRequest) -> Callable[[str], list[str]]:
    """The flags of an engine; Spark's cluster is started for the first test that asks for it."""

    def flags(engine: str) -> list[str]:
        if not engine.startswith("spark"):
            return _FLAGS[engine]
        started: SparkCluster = request.getfixturevalue("cluster")
        return [*started.flags, _KEPT_WORKERS]

    return flags


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the digests that tests have recorded as (data, job, engine, digest), and keep them in a file."""
    reports = [r for status in ("passed", "failed") for r in terminalreporter.stats.get(status, [])]
    recorded = [value for r in reports for name, value in r.user_properties if name == "digest"]
    if not recorded:
        return
    rows: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for data, job, engine, digest in recorded:
        rows[data, job][engine] = digest
    lines = ["SHA-256 of all files of a run (names and digests), first 16 digits:"]
    for (data, job), digests in rows.items():
        lines.append(f"{data} {job}")
        lines += [f"  {engine:<18}{digest[:16]}" for engine, digest in digests.items()]
    terminalreporter.section("the same bytes on every engine")
    terminalreporter.write_line("\n".join(lines))
    _TABLE.parent.mkdir(exist_ok=True)
    _TABLE.write_text("\n".join(lines) + "\n", "utf-8")


def _made(chain: Chain) -> Chain:
    chain.make()
    return chain
