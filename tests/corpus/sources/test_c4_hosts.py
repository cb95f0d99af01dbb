"""Pages of C4 on the hosts of other sources, by switch."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from corpus import recipe
from tests.builds import build_here, rows, with_build, with_settings

URLS = (
    "https://en.wikipedia.org/wiki/Tide",
    "https://www.tide-tables.example/2019",
    "https://stackoverflow.com/questions/1",
)


def test_hosts_of_other_sources_are_left_out_by_switch(tmp_path: Path) -> None:
    path = tmp_path / "c4-train.00000-of-00001.json.gz"
    page = {"text": "The tide turns twice a day.", "timestamp": "2019-04-25T12:57:54Z"}
    path.write_bytes(gzip.compress("".join(json.dumps(page | {"url": u}) + "\n" for u in URLS).encode()))
    chosen = with_build(recipe.load("sample"), held_out=0.0)

    _, counters = build_here(tmp_path / "all", "c4", [path], chosen)
    assert counters["kept"] == 3
    chosen = with_settings(chosen, "c4", drop_hosts_of=["wikipedia", "stackexchange"])
    _, counters = build_here(tmp_path / "some", "c4", [path], chosen)
    assert counters["rejected/other_source"] == 2
    assert [row["key"] for row in rows(tmp_path / "some", "documents")] == [URLS[1]]
