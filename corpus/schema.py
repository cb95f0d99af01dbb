"""Arrow schemas of documents, decisions and bad records, and stable document ids.

Every stage reads and writes these; a source or an annotator adds columns, never another layout.
"""

from __future__ import annotations

import pyarrow as pa
import xxhash

# One row a document, the same columns for all seven sources.
DOCUMENT = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),  # 32 hex digits, see document_id
        pa.field("source", pa.string(), nullable=False),  # commoncrawl, c4, github, …
        pa.field("text", pa.string()),  # UTF-8, paragraphs separated by "\n"
        pa.field("key", pa.string()),  # natural key: URL, path, title, arXiv id
        pa.field("language", pa.string()),  # ISO 639 code
        pa.field("timestamp", pa.string()),  # ISO 8601, as the source gives it
        pa.field("license", pa.string()),  # SPDX expression where the source has one
        pa.field("metadata", pa.string()),  # JSON object of what else the source knows
        pa.field("bytes", pa.int64(), nullable=False),  # UTF-8 length of text
        pa.field("file", pa.string(), nullable=False),  # raw file, relative to the input root
        pa.field("offset", pa.int64(), nullable=False),  # byte or record offset in that file
    ]
)

# What a crawl reader yields, one row a page: the page before any paragraph is removed.
PAGE = pa.schema(
    [
        pa.field("record_id", pa.string()),  # WARC-Record-ID without its <>; null if absent
        pa.field("url", pa.string()),  # WARC-Target-URI without <>
        pa.field("timestamp", pa.string()),  # WARC-Date
        pa.field("digest", pa.string()),  # WARC-Block-Digest (WET), payload digest (WARC)
        pa.field("title", pa.string()),  # first line (WET), <title> (WARC)
        pa.field("text", pa.string(), nullable=False),  # the raw lines that follow the title
        pa.field("file", pa.string(), nullable=False),  # relative to the input root
        pa.field("offset", pa.int64(), nullable=False),  # of the record in the raw (compressed) file
    ]
)

# What became of an annotated row; aligned with the annotated part row by row.
DECISION = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("kept", pa.bool_(), nullable=False),
        pa.field("reason", pa.string()),  # first rule against; null when kept
        pa.field("language", pa.string()),
        pa.field("bucket", pa.string()),  # head, middle, tail, all; null where not scored
        pa.field("held_out", pa.bool_(), nullable=False),
    ]
)

# What could not be read.
BAD_RECORD = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),  # −1: the file as a whole
        pa.field("stage", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),  # a short fixed name, as in stats.json
        pa.field("message", pa.string(), nullable=False),
        pa.field("first_bytes", pa.binary(), nullable=False),  # at most 64
    ]
)


def document_id(source: str, *key: str | int) -> str:
    """128-bit id of a document: xxh3-128 of its source and natural key, as 32 hex digits."""
    return xxhash.xxh3_128_hexdigest("\0".join((source, *map(str, key))).encode("utf-8", "surrogatepass"))
