"""Every engine writes the bytes that one local worker writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engines.jobs import JOBS, Chain, digest
from tests.pipelines.conftest import digests
from tests.shared import DATA, needs

ENGINES = (
    pytest.param("local, 2 workers", marks=pytest.mark.slow),
    pytest.param("spark", marks=pytest.mark.spark),
    pytest.param("flink", marks=pytest.mark.flink),
    pytest.param("prism", marks=pytest.mark.prism),
)
DATA_SETS = (
    "sample",
    pytest.param("real", marks=[pytest.mark.slow, needs(DATA / "commoncrawl", DATA / "wikipedia")]),
)


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("data", DATA_SETS)
def test_an_engine_writes_what_one_local_worker_writes(
    data: str,
    engine: str,
    job: str,
    flags_of: Callable[[str], list[str]],
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
    tmp_path: Path,
) -> None:
    chain: Chain = request.getfixturevalue(f"{data}_chain")
    chain.run(job, tmp_path / job, flags_of(engine))
    for name, run in (("local, 1 worker", chain.root / job), (engine, tmp_path / job)):
        record_property("digest", (data, job, name, digest(run)))
    assert digests(tmp_path / job) == digests(chain.root / job)
