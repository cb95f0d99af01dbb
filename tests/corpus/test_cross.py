"""Hosts of other sources, texts that are the same, and which of them stays."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import recipe
from corpus.decide import COLUMNS, Removals, decide
from corpus.errors import UserError
from corpus.overlap.cross import find_copies
from corpus.overlap.exact import normalize, text_keys
from corpus.overlap.hosts import Hosts, entries_of, hosts_of
from corpus.settings.cross import HostSource

GOLDEN = Path(__file__).parents[1] / "golden" / "overlap"
SOURCES = get_args(HostSource)


def _cases(name: str) -> list[dict[str, Any]]:
    return tomllib.loads((GOLDEN / name).read_text())["case"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("case", _cases("hosts.toml"), ids=lambda case: case["url"] or "no address")
def test_golden_hosts(case: dict[str, Any]) -> None:
    owners = [source for source in SOURCES if hosts_of((source,)).has(case["url"])]
    assert owners == ([case["source"]] if "source" in case else [])


def test_entries_are_domains_in_lower_case_and_every_source_has_some() -> None:
    for source in SOURCES:
        entries = entries_of(source)
        assert entries
        for entry in entries:
            assert entry == entry.lower().rstrip("/")
            assert "." in entry.split("/")[0]
            assert Hosts([entry]).has(f"https://www.{entry}/x")
    assert not hosts_of(()).has("https://en.wikipedia.org/")


def test_no_page_is_of_a_host_where_the_recipe_names_no_source() -> None:
    rows = [
        {"id": f"{i:032x}", "key": key, "language": "en", "lid_v1_score": 0.9, "paragraphs_v1_reason": reason}
        for i, (key, reason) in enumerate(
            [
                ("https://en.wikipedia.org/wiki/A", None),
                ("https://arxiv.org/abs/1", "short"),
                ("https://a.example/", None),
                (None, None),
            ]
        )
    ]
    numbers = {"lid_v1_score", "perplexity_v1", "reference_v1"}
    schema = pa.schema([(name, pa.float64() if name in numbers else pa.string()) for name in COLUMNS])
    batch = pa.RecordBatch.from_pylist(rows, schema)
    settings = recipe.load("sample").commoncrawl
    plain = replace(
        settings, perplexity=None, reference=None, decide=replace(settings.decide, buckets=["all"])
    )

    def reasons(*sources: HostSource) -> list[str | None]:
        chosen = replace(plain, decide=replace(plain.decide, drop_hosts_of=list(sources)))
        return decide(batch, chosen, {}, Removals()).column("reason").to_pylist()  # type: ignore[no-any-return]

    assert reasons() == [None, "short", None, None]
    assert reasons("wikipedia") == ["other_source", "short", None, None]
    assert reasons("wikipedia", "arxiv") == ["other_source", "other_source", None, None]


def test_a_source_without_hosts_is_an_error_that_names_the_key() -> None:
    raw = recipe.to_dict(recipe.load("sample"))
    raw["commoncrawl"]["decide"]["drop_hosts_of"] = ["wikipedia", "c4"]
    with pytest.raises(UserError, match="drop_hosts_of"):
        recipe.from_dict(raw, "test")


@pytest.mark.parametrize("case", _cases("exact.toml"), ids=lambda case: case["why"])
def test_golden_exact(case: dict[str, Any]) -> None:
    assert (normalize(case["a"]) == normalize(case["b"])) is case["same"]
    keys, present = text_keys(pa.array([case["a"], case["b"]]))
    assert present.all()
    assert (keys[0] == keys[1]).all() is np.bool_(case["same"])


def test_a_text_of_nothing_has_no_key() -> None:
    _, present = text_keys(pa.array(["", " \n\u00a0", None, "."]))
    assert present.tolist() == [False, False, False, True]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([(1, 1), (1, 2), (2, 1), (2**64 - 1, 0)]),
            st.integers(0, 3),
            st.binary(min_size=16, max_size=16),
        ),
        max_size=12,
        unique_by=lambda row: row[2],
    ),
    st.randoms(use_true_random=False),
)
def test_of_one_text_the_first_run_keeps_it_and_the_order_of_rows_does_not_matter(
    rows: list[tuple[tuple[int, int], int, bytes]], rng: Any
) -> None:
    def found(given_rows: list[tuple[tuple[int, int], int, bytes]]) -> list[dict[str, Any]]:
        columns = [
            pa.array([key[0] for key, _, _ in given_rows], pa.uint64()),
            pa.array([key[1] for key, _, _ in given_rows], pa.uint64()),
            pa.array([id_ for _, _, id_ in given_rows], pa.binary(16)),
        ]
        runs = np.array([run for _, run, _ in given_rows], np.int16)
        return find_copies(pa.table(columns, ["high", "low", "id"]), runs).to_pylist()  # type: ignore[no-any-return]

    best = {key: min((run, id_) for k, run, id_ in rows if k == key) for key, _, _ in rows}
    expected = [
        {"run": run, "id": id_, "kept_run": best[key][0], "kept_id": best[key][1]}
        for run, id_, key in sorted((run, id_, key) for key, run, id_ in rows)
        if run != best[key][0]
    ]
    assert found(rows) == expected
    shuffled = list(rows)
    rng.shuffle(shuffled)
    assert found(shuffled) == expected
