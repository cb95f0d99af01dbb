"""A finished run of any source, as `build` leaves it, of given texts: what commands across runs read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from corpus import parts
from corpus.accounts import write_json
from corpus.manifests import write_manifest
from corpus.parts import PartSpec, PartWriter
from corpus.schema import DOCUMENT, document_id

_SCHEMA = DOCUMENT.append(pa.field("any_v1_number", pa.int64())).append(
    pa.field("held_out", pa.bool_(), nullable=False)
)


def write_run(root: Path, source: str, texts: Sequence[str], per_file: int = 3) -> Path:
    """Write documents, every fourth held out; `ids_of` says their ids."""
    done = []
    for number, start in enumerate(range(0, len(texts), per_file)):
        rows = [
            {
                "id": document_id(source, i),
                "source": source,
                "text": texts[i],
                "key": f"{source}/{i}",
                "metadata": f'{{"n":{i}}}' if i % 2 else None,
                "bytes": len(texts[i].encode()),
                "file": "raw",
                "offset": i,
                "held_out": i % 4 == 3,
            }
            for i in range(start, min(start + per_file, len(texts)))
        ]
        name = f"part-{number:05d}"

        def work(writer: PartWriter, name: str = name, rows: Sequence[dict[str, object]] = rows) -> None:
            with writer.parquet(f"documents/en/{name}.parquet", _SCHEMA) as sink:
                sink.write(pa.RecordBatch.from_pylist(rows, _SCHEMA))

        done.append(parts.commit_part(str(root), PartSpec("export", name, {}, (name,)), work))
    sha256 = write_manifest(str(root), "export", done, {})
    kind = {"kind": "crawl-filter"} if source == "commoncrawl" else {"kind": "build", "source": source}
    write_json(str(root), "manifest.json", {**kind, "complete": True, "stages": {"export": sha256}})
    return root


def ids_of(source: str, *numbers: int) -> list[str]:
    """Ids of documents of a run, in order."""
    return sorted(document_id(source, number) for number in numbers)
