"""Which documents another one stands for: found in one stage, looked up in `decide`, split by split.

In: tables of schema `VERDICT`. Out: Parquet sorted by place, so that a split's rows are a few row groups.
"""

from __future__ import annotations

from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus import exchange
from corpus.build.job import BuildJob
from corpus.parts import PartFile

VERDICT = pa.schema(
    [
        pa.field("split", pa.int64(), nullable=False),  # NNNNN of the annotated part, part-NNNNN
        pa.field("row", pa.int64(), nullable=False),  # of that part
        pa.field("reason", pa.string(), nullable=False),
        pa.field("winner", pa.string(), nullable=False),  # id of the document that stays
    ]
)
ENDING = ".verdicts"
_ROW_GROUP = 65_536


def write(f: IO[bytes], table: pa.Table) -> None:
    """Write verdicts, to a file of the part whose name ends in `ENDING`."""
    table = table.cast(VERDICT).sort_by(
        [("split", "ascending"), ("row", "ascending"), ("reason", "ascending")]
    )
    pq.write_table(table, f, compression="zstd", row_group_size=_ROW_GROUP, write_page_checksum=True)


def read(job: BuildJob, stage: str, part_name: str) -> pa.Table:
    """The verdicts of a stage over one annotated part, ``part-NNNNN``, sorted by row and reason."""
    split = int(part_name.removeprefix("part-"))
    files = [f for part in job.parts(stage) for f in part.files if f.path.endswith(ENDING)]
    tables = [_of_split(job.root, file, split) for file in files]
    found = pa.concat_tables([VERDICT.empty_table(), *tables])
    return found.sort_by([("row", "ascending"), ("reason", "ascending")])


def _of_split(root: str, file: PartFile, split: int) -> pa.Table:
    with exchange.open_parquet(root, file) as parquet:
        groups = [i for i in range(parquet.num_row_groups) if _may_hold(parquet.metadata.row_group(i), split)]
        table = parquet.read_row_groups(groups)
    return table.filter(pc.equal(table.column("split"), split)).cast(VERDICT)


def _may_hold(group: Any, split: int) -> bool:
    """Whether a row group can have rows of a split, by the statistics of its first column."""
    statistics = group.column(0).statistics
    return bool(group.num_rows and statistics.min <= split <= statistics.max)
