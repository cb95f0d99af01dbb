"""CommonCrawl: WET, WARC and ARC files -> pages (`read_pages`); WARC and ARC records on the way."""

from corpus.sources.commoncrawl.pages import SOURCE, read_pages

__all__ = ["SOURCE", "read_pages"]
