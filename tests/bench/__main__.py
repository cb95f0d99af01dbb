"""`make bench`: the crawl filter's speed by stage and by step, its memory, and a loop in Python beside it.

Everything is measured in one run on one core: MB are 10^6 bytes of UTF-8 text before deduplication,
seconds are CPU seconds, memory is the peak resident size of the whole process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpus import recipe, registry
from corpus.crawl.job import annotator_assets, prepare
from corpus.dedup.paragraphs import ParagraphFilter, ParagraphIndex
from corpus.kernels.lines import assemble, scan
from corpus.sources.commoncrawl import read_pages
from corpus.tally import Tally
from tests.bench.generator import make_wet_files


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=60, help="text of the set (default 60)")
    parser.add_argument("--files", type=int, default=4, help="WET files of the set (default 4)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="llama-corpus-bench-") as temporary:
        folder = Path(temporary)
        size = make_wet_files(folder / "x1", args.megabytes * 10**6, args.files)
        large = make_wet_files(folder / "x10", 10 * args.megabytes * 10**6, 10 * args.files)
        print(f"set: {size / 1e6:.0f} MB of text in {args.files} WET files; ten times: {large / 1e6:.0f} MB")
        _filter(folder, "x1", size, warm=True)
        whole = _filter(folder, "x1", size)
        _steps(folder / "x1", size)
        _beside(folder / "x1", size, whole)
        _filter(folder, "x10", large)


def _filter(folder: Path, name: str, size: int, warm: bool = False) -> float:
    """One run of the command; returns its CPU seconds."""
    output = folder / f"run-{name}-{'warm' if warm else 'measured'}"
    command = [sys.executable, "-m", "pipelines", "crawl-filter"]
    cpu, wall, memory, _ = _measured([*command, "--input", str(folder / name), "--output", str(output)])
    if warm:
        return cpu
    print(f"\nwhole command, {name}: {size / 1e6 / cpu:.1f} MB/s per core")
    print(f"  CPU {cpu:.1f} s, wall {wall:.1f} s, peak memory {memory / 1e6:.0f} MB")
    timing: dict[str, Any] = json.loads((output / "timing.json").read_text())
    for stage, t in timing.items():
        cpu_stage = t["cpu_seconds"]
        print(f"  {stage:<9} {cpu_stage:7.2f} s   {size / 1e6 / max(cpu_stage, 1e-9):8.1f} MB/s")
    rest = cpu - sum(t["cpu_seconds"] for t in timing.values())
    print(f"  {'the rest':<9} {rest:7.2f} s   (start, imports, engine)")
    return cpu


def _steps(folder: Path, size: int) -> None:
    """The steps of both passes, each alone over the same batches."""
    settings = recipe.load("sample").commoncrawl
    limits = recipe.load("sample").limits
    paths = sorted(folder.glob("*.gz"))
    print("\nsteps alone:")

    def read() -> Iterator[pa.RecordBatch]:
        for path in paths:
            yield from read_pages(
                str(path), path.name, limits, settings.batch_bytes, Tally(lambda batch: None)
            )

    pages = _step("read, inflate, frame, decode", size, lambda: list(read()))
    texts = [batch.column("text") for batch in pages]
    lines = _step("split, normalise, hash lines", size, lambda: [scan(t, 300) for t in texts])
    with ParagraphIndex(tempfile.gettempdir(), settings.dedup.bucket_bytes) as index:
        _step("sort keys, write the run", size, lambda: _index(index, lines, folder / "run"))
    documents = _step("look up, assemble", size, lambda: _assembled(folder / "run", texts, lines))
    kept = sum(batch.column("text").nbytes for batch in documents)
    print(f"  after deduplication {kept / 1e6:.0f} MB are left; MB/s below are of these")
    job = prepare(str(folder), recipe.load("sample"))
    model_paths = {name: job.path_of(name) for name in annotator_assets(settings)}
    for name, factory in registry.ANNOTATORS.items():
        annotator = factory(settings, model_paths)
        columns = _step(name, kept, partial(_annotated, annotator, documents))
        documents = [_appended(d, annotator.fields, c) for d, c in zip(documents, columns, strict=True)]


def _index(index: ParagraphIndex, lines: list[Any], path: Path) -> None:
    for batch in lines:
        index.add(batch)
    with path.open("wb") as f:
        index.write(f)


def _assembled(run: Path, texts: list[pa.Array], lines: list[Any]) -> list[pa.RecordBatch]:
    from corpus.runs import Run

    read = Run.open(str(run)).read()
    filter_ = ParagraphFilter(read.keys, read.flags, "drop-all")
    return [
        pa.RecordBatch.from_pydict({"text": assemble(t, batch, filter_.mask(batch))[0]})
        for t, batch in zip(texts, lines, strict=True)
    ]


def _annotated(annotator: Any, documents: list[pa.RecordBatch]) -> list[list[pa.Array]]:
    return [annotator.annotate(batch) for batch in documents]


def _appended(batch: pa.RecordBatch, fields: tuple[pa.Field, ...], columns: list[pa.Array]) -> pa.RecordBatch:
    for field, column in zip(fields, columns, strict=True):
        batch = batch.append_column(field, column)
    return batch


def _step(name: str, size: int, work: Callable[[], Any]) -> Any:
    start = time.process_time()
    result = work()
    seconds = time.process_time() - start
    print(f"  {name:<30} {seconds:7.2f} s   {size / 1e6 / max(seconds, 1e-9):8.1f} MB/s")
    return result


def _beside(folder: Path, size: int, ours: float) -> None:
    """The same work as a loop over documents in Python, in a process of its own."""
    job = prepare(str(folder), recipe.load("sample"))
    models = [job.path_of(name) for name in ("lid.176.ftz", "en.sp.model", "en.binary")]
    cpu, wall, memory, _ = _measured([sys.executable, "-m", "tests.bench.per_document", str(folder), *models])
    print(
        f"\nthe same by a loop over documents in Python (no files written, no classifier): "
        f"{size / 1e6 / cpu:.1f} MB/s (CPU {cpu:.1f} s, wall {wall:.1f} s), peak memory {memory / 1e6:.0f} MB"
    )
    print(f"ours / loop: {cpu / ours:.2f} times as fast (kenlm {version('kenlm')}, pyarrow {pa.__version__})")


def _measured(command: list[str]) -> tuple[float, float, int, str]:
    """CPU seconds, wall seconds, peak resident bytes and output of a process."""
    code = (
        "import resource,subprocess,sys,json;"
        "p=subprocess.run(sys.argv[1:],capture_output=True,text=True);"
        "u=resource.getrusage(resource.RUSAGE_CHILDREN);"
        "print(json.dumps([p.returncode,u.ru_utime+u.ru_stime,u.ru_maxrss*1024,p.stdout,p.stderr]))"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=True)
    wall = time.perf_counter() - start
    status, cpu, memory, output, errors = json.loads(done.stdout)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with {status}:\n{errors}")
    return cpu, wall, memory, output


if __name__ == "__main__":
    main()
