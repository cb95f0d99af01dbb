"""A crawl filtered, a source built, tokenized and mixed, all small and in this process or one command."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corpus import finished, recipe
from corpus.sample import TEXTS
from corpus.settings.mixture import Mixture
from pipelines.__main__ import main
from tests.builds import build_here, sample_of
from tests.tokenizer.conftest import train
from tests.tokenizer.runs import mix_here, tokens_here

Inspect = Callable[..., str]


@pytest.fixture(scope="session")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample crawl, its raw files beside it as ``raw``; not to be changed."""
    folder = tmp_path_factory.mktemp("crawl")
    shutil.copytree(sample_of("commoncrawl"), folder / "raw")
    assert main(["crawl-filter", "--input", str(folder / "raw"), "--output", str(folder / "run")]) == 0
    return folder


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs ``c4``, ``tokens`` and ``shards``, each made from the one before; not to be changed."""
    folder = tmp_path_factory.mktemp("chain")
    build_here(folder / "c4", "c4", [sample_of("c4")])
    pages = [path.read_text("utf-8") for path in sorted((TEXTS / "pages").rglob("*.txt"))]
    model = train(folder, "model", pages, vocab_size=600)
    runs = finished.read_runs([str(folder / "c4")], ["c4"])
    tokens_here(folder / "tokens", runs, model)
    drawn = Mixture(weights={"c4": 1.0}, tokens=9_000, shard_tokens=2_000, max_epochs=50.0)
    mix_here(folder / "shards", folder / "tokens", drawn)
    for name in ("model.model", "model.vocab", "model.txt"):
        (folder / name).unlink()
    return folder


@pytest.fixture
def inspect(capsys: pytest.CaptureFixture[str]) -> Inspect:
    """Run the command, which must end with `status`; gives its output, or its errors if it fails."""

    def run(*args: Any, status: int = 0) -> str:
        capsys.readouterr()
        found = main(["inspect", *map(str, args)])
        said = capsys.readouterr()
        assert found == status, f"status {found}\n{said.out}\n{said.err}"
        return said.err if status else said.out

    return run


@pytest.fixture
def objects(inspect: Inspect) -> Callable[..., list[dict[str, Any]]]:
    """The JSON objects that the command prints."""
    return lambda *args: [json.loads(line) for line in inspect(*args, "--json").splitlines()]


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build of documents that move the cursor, run scripts, turn lines round; and one long line."""
    folder = tmp_path_factory.mktemp("hostile")
    texts = [
        "\x1b[2J\x1b]0;title\x07 cleared \x08\x08\x9b31m\x00",
        "run \u202egnp.exe\u202c now \u2066isolated\u2069 \u200f",
        "<script>alert(1)</script>[red]markup[/red] :smile:",
        "שלום עולם (123)",
        "long " * 200_000,
    ]
    lines = [
        json.dumps({"text": text, "url": f"https://e.example/{i}/{text[:20]}"})
        for i, text in enumerate(texts)
    ]
    (folder / "raw").mkdir()
    (folder / "raw" / "c4-train.00000.json").write_text("\n".join(lines) + "\n")
    build_here(folder / "run", "c4", [folder / "raw"], recipe.load("sample"))
    return folder
