"""A run of a few steps on shards with a tokenizer, which tests of the command look at or copy."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trainer.corpora import write_corpus
from tests.trainer.models import write_tokenizer
from tests.trainer.runs import FEW, VOCAB

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tokenizer(tmp_path_factory.mktemp("tokenizer"), vocab=VOCAB)


@pytest.fixture(scope="session")
def kept(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards with a tokenizer beside them; tests that change any take a copy."""
    sha256 = hashlib.sha256(tokenizer.read_bytes()).hexdigest()
    root = tmp_path_factory.mktemp("corpus") / "shards"
    write_corpus(root, (17, 17, 17), vocab=VOCAB, tokenizer=sha256)
    shutil.copy(tokenizer, root / "tokenizer.model")
    return root


@pytest.fixture
def shards(kept: Path, tmp_path: Path) -> Path:
    return shutil.copytree(kept, tmp_path / "shards")


@pytest.fixture(scope="session")
def done(kept: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of `FEW`, started as users do."""
    output = tmp_path_factory.mktemp("done") / "run"
    command = [sys.executable, "-m", "trainer", *map(str, FEW), "--data", str(kept), "--output", str(output)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    output.with_name("err").write_text(ended.stderr)
    output.with_name("out").write_text(ended.stdout)
    return output
