"""The built-in sample: a small crawl of our own pages, with every kind of trouble in it."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parent
TEXTS = ROOT / "texts"  # what the rest is built from
CRAWL = ROOT / "commoncrawl"  # built by corpus.sample.build_crawl, laid out as Common Crawl's data
