"""Runs made once for the tests of this folder; not to be changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus.tally import BadRecord
from pipelines.__main__ import main
from tests.builds import build_here, sample_of
from tests.review.crawls import page, write_crawl, write_shards

SCRIPT = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
HOSTILE = (
    f"{SCRIPT}\n\x1b[31mred \x00\x07 \u202egnp.exe\u202c </pre></article><style>*{{display:none}}</style>"
)
RIGHT_TO_LEFT = "שלום עולם, זה טקסט מימין לשמאל. مرحبا بالعالم."
_SHARE = {"weight": 0.5, "share": 0.51, "unique": 900, "drawn": 1800, "epochs": 2.0, "bytes_per_token": 3.5}


@pytest.fixture(scope="session")
def runs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A crawl with hostile pages, the built-in sample of C4, and the account of a mixture."""
    folder = tmp_path_factory.mktemp("runs")
    pages = [
        page(0, text=HOSTILE),
        page(1, text=RIGHT_TO_LEFT, language="fr", perplexity_v1=999.0, reference_v1=None),
        page(2, text=HOSTILE, key=f'https://evil.example/">{SCRIPT}', perplexity_v1=900.0),
        page(3, text=None, reference_v1=0.1, file=f"{SCRIPT}.wet.gz"),
        page(4, text="a" * 3_000_000, lid_v1_score=0.2),
        page(5, key="javascript:window.hacked=1", language="it"),
        page(6, paragraphs_v1=None, paragraphs_v1_reason="short", lid_v1_score=None, language=None),
        *(page(n) for n in range(7, 40)),
    ]
    bad = [BadRecord("commoncrawl", f"{SCRIPT}.warc", 7, "read", "garbage", HOSTILE, HOSTILE.encode()[:64])]
    write_crawl(folder / "commoncrawl", [pages[:20], pages[20:]], bad)
    build_here(folder / "c4", "c4", [sample_of("c4")])
    write_shards(folder / "shards", commoncrawl=_SHARE, c4=_SHARE)
    return folder


@pytest.fixture(scope="session")
def report_folder(runs_folder: Path) -> Path:
    """What `llama-corpus report` writes of them."""
    assert main(["report", str(runs_folder)]) == 0
    return runs_folder / "report"
