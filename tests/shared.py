"""Real data for tests and benchmarks: shared/data beside the checkout, or below $LLAMA_CORPUS_SHARED."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("LLAMA_CORPUS_SHARED") or Path(__file__).parents[2] / "shared") / "data"


def needs(*paths: Path) -> pytest.MarkDecorator:
    """Skip a test where one of these is not here."""
    there = all(path.exists() for path in paths)
    return pytest.mark.skipif(not there, reason="the shared data is not here")
