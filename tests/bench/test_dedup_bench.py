"""The benchmark of deduplication knows which paragraphs must stay, and sees it when others did."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np

from pipelines.__main__ import main as llama_corpus
from tests.bench import dedup
from tests.bench.control_group import ControlGroup
from tests.bench.engines import grouped_bytes


def test_what_must_stay_is_the_first_of_each() -> None:
    numbers = dedup.draw(5_000)
    seen: set[int] = set()
    first = [i for i, n in enumerate(numbers.tolist()) if not (n in seen or seen.add(n))]
    assert dedup.first_places(numbers).tolist() == first
    assert 0.68 < len(first) / len(numbers) < 0.72
    assert sorted(seen) == list(range(len(first)))


def test_paragraphs_are_alike_where_their_numbers_are() -> None:
    numbers = dedup.draw(5_000)
    made = dedup.lines(numbers).split(b"\n")[:-1]
    assert {len(line) for line in made} == {53}
    assert all(line.replace(b" ", b"").isalpha() for line in made)
    assert len(set(zip(made, numbers.tolist(), strict=True))) == len(set(made)) == len(set(numbers.tolist()))


def test_a_run_is_compared_paragraph_by_paragraph(tmp_path: Path) -> None:
    numbers = dedup.draw(2_000)
    for number in range(2):
        dedup.write_file(tmp_path / "crawl", number, numbers[number * 1_000 :][:1_000])
    recipe = dedup.write_recipe(tmp_path / "recipe.toml")
    command = ["crawl-filter", "--input", str(tmp_path / "crawl"), "--output", str(tmp_path / "run")]
    command += ["--without", "perplexity", "--without", "reference", "--until", "annotate"]
    grouped = grouped_bytes([*command, "--recipe", str(recipe)])
    assert np.array_equal(dedup.kept_places(tmp_path / "run"), dedup.first_places(numbers))
    assert 1_000 < grouped < 100_000

    # By the sample's own recipe a paragraph that is there twice goes, so others stay.
    command[command.index(str(tmp_path / "run"))] = str(tmp_path / "other")
    with redirect_stdout(io.StringIO()):
        assert llama_corpus(command) == 0
    assert not np.array_equal(dedup.kept_places(tmp_path / "other"), dedup.first_places(numbers))


def test_a_control_group_of_either_version_is_read(tmp_path: Path) -> None:
    memory, processor = tmp_path / "memory", tmp_path / "cpuacct"
    for folder in (memory, processor):
        folder.mkdir()
    (processor / "cpuacct.usage").write_text("2500000000\n")
    (memory / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")
    first = ControlGroup(memory, processor)
    assert (first.cpu(), first.killed()) == (2.5, 3)
    (memory / "cpu.stat").write_text("usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\n")
    (memory / "memory.events").write_text("low 0\nhigh 0\nmax 7\noom 1\noom_kill 3\n")
    second = ControlGroup(memory, memory)
    assert (second.cpu(), second.killed()) == (2.5, 3)
