"""A report on a million documents: a small page, made in memory that does not grow with the run."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.review.crawls import many_pages, write_crawl


@pytest.mark.slow
def test_a_million_documents_make_a_small_page_in_little_memory(tmp_path: Path) -> None:
    write_crawl(tmp_path / "run", many_pages(1_000_000, 50_000))
    subprocess.run([sys.executable, "-m", "pipelines", "report", tmp_path / "run"], check=True)
    page = tmp_path / "run-report" / "index.html"
    assert page.stat().st_size < 3_000_000
    assert "of 1,000,000 records" in page.read_text()
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 1_000_000  # kB
