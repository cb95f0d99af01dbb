"""`make bench`: the crawl filter beside the libraries it cannot do without, and beside a loop in Python.

Everything is measured in one run on one machine. MB are 10^6 bytes of page text (UTF-8) that enter the
filter, seconds are CPU seconds, memory is the peak resident size of the largest process.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus.assets import fetch
from corpus.kernels.language_model_text import normalize_for_language_model
from corpus.recipe import Recipe
from tests.bench import copies
from tests.bench.generator import make_copied_dump, make_wet_files
from tests.bench.measure import Cost, line, process
from tests.bench.models import write_recipe
from tests.bench.steps import print_html, print_steps


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(
        prog="make bench ARGS=", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=100, help="text of the small set (default 100)")
    parser.add_argument("--files", type=int, default=4, help="WET files of the small set (default 4)")
    parser.add_argument("--large", type=int, default=10, help="size of the large set: times the small one")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="llama-corpus-bench-") as temporary:
        folder = Path(temporary)
        small = make_wet_files(folder / "small", args.megabytes * 10**6, args.files)
        size = make_wet_files(folder / "large", args.large * args.megabytes * 10**6, args.large * args.files)
        recipes = {name: write_recipe(folder / f"{name}.toml", name) for name in ("words", "text")}
        print(f"Python {platform.python_version()}, {platform.machine()}")
        few = _filter(folder, "small", small, "words")
        ours = _filter(folder, "large", size, "words")
        published = _filter(folder, "large", size, "text")
        limit = _limit(folder, size, recipes["words"])
        two = _filter(folder, "large", size, "words", workers=2)
        loop = _loop(folder, small, recipes["words"])
        per_text = loop.cpu / small / (ours.cpu / size)
        print("\nratios, CPU seconds of the same work:")
        print(f"  library calls alone / ours, language model word by word {limit / ours.cpu:6.2f}")
        print(f"  library calls alone / ours, on the whole text           {limit / published.cpu:6.2f}")
        print(f"  a loop over documents in Python / ours, a byte of text  {per_text:6.2f}")
        print(f"two workers: {ours.wall / two.wall:.2f} times as fast by the clock as one")
        print(f"peak memory: {_mb(few.memory)}, at {args.large} times the text {_mb(ours.memory)}")
        _exchanged(folder / "run-large-words-1")
        print_steps(folder / "small", folder, small, recipes["words"])
        print_html(recipes["words"])
        _copies(folder, args.megabytes * 10**6)


def _copies(folder: Path, size: int) -> None:
    """Duplicates of whole pages against the truth, in a set of two thirds of the small set's size."""
    make_copied_dump(folder / "copies", size // 3)
    near = copies.write_recipe(folder / "copies.toml")
    copies.run_filter(folder / "copies", folder / "copies.toml", folder / "run-copies")
    copies.print_found(copies.measure(folder / "copies", folder / "run-copies", near), near)


def _filter(folder: Path, name: str, size: int, encoding: str, workers: int = 1) -> Cost:
    """One run of the whole command."""
    output = folder / f"run-{name}-{encoding}-{workers}"
    command = [sys.executable, "-m", "pipelines", "crawl-filter", "--workers", str(workers)]
    inputs = ["--input", str(folder / name), "--recipe", str(folder / f"{encoding}.toml")]
    cost = process([*command, *inputs, "--output", str(output)])
    kind = "each word" if encoding == "words" else "the whole text"
    print(f"\nthe whole filter, {_mb(size)} of text, {workers} worker(s), language model on {kind}:")
    print(f"  {size / 1e6 / cost.cpu:.1f} MB/s of CPU time, {size / 1e6 / cost.wall:.1f} MB/s by the clock")
    print(f"  CPU {cost.cpu:.1f} s, wall {cost.wall:.1f} s, peak memory {_mb(cost.memory)}")
    timing: dict[str, Any] = json.loads((output / "timing.json").read_text())
    for stage, t in timing.items():
        line(stage, size, t["cpu_seconds"])
    rest = cost.cpu - sum(t["cpu_seconds"] for t in timing.values())
    print(f"  {'start, imports, engine':<42} {rest:8.2f} s")
    return cost


def _limit(folder: Path, size: int, recipe: Recipe) -> float:
    """CPU seconds of the library calls alone, on the bytes that the run passed them."""
    pages = pq.read_table(folder / "run-large-words-1" / "annotated")
    documents = pages.filter(pc.is_null(pages["paragraphs_v1_reason"]))["text"]
    scored = pages.filter(pc.is_valid(pages["perplexity_v1"]))["text"]
    columns = {
        "documents": pc.replace_substring(documents, "\n", "").chunks,
        "scored": [normalize_for_language_model(chunk) for chunk in scored.chunks],
    }
    paths = []
    for name, chunks in columns.items():
        paths.append(str(folder / f"{name}.arrow"))
        table = pa.table({"text": pa.chunked_array(chunks, pa.string())})
        with pa.OSFile(paths[-1], "wb") as f, pa.ipc.new_file(f, table.schema) as writer:
            writer.write_table(table)
    model_names = ("lid.176.ftz", "bench.sp.model", "bench.binary")
    models = [fetch(name, recipe.assets[name]) for name in model_names]
    cost = process([sys.executable, "-m", "tests.bench.limit", str(folder / "large"), *paths, *models])
    seconds: dict[str, float] = json.loads(cost.output)
    print("\nthe limit: library calls alone, on the same bytes:")
    for name, cpu in seconds.items():
        line(name, size, cpu)
    line("all", size, sum(seconds.values()))
    return sum(seconds.values())


def _loop(folder: Path, size: int, recipe: Recipe) -> Cost:
    """The same work as a loop over documents in Python, without files written or a classifier."""
    names = ("lid.176.ftz", "bench.sp.model", "bench.binary")
    models = [fetch(name, recipe.assets[name]) for name in names]
    cost = process([sys.executable, "-m", "tests.bench.per_document", str(folder / "small"), *models])
    print(
        f"\na loop over documents in Python (CCNet's shape): {size / 1e6 / cost.cpu:.1f} MB/s, CPU "
        f"{cost.cpu:.1f} s, peak memory {_mb(cost.memory)} (kenlm {version('kenlm')})"
    )
    return cost


def _exchanged(run: Path) -> None:
    """Bytes of runs and answers, through which splits meet, for each paragraph."""
    files = [f for stage in ("index", "dedup") for f in (run / stage).iterdir()]
    exchanged = sum(f.stat().st_size for f in files if f.suffix in (".run", ".answer"))
    lines = json.loads((run / "stats.json").read_text())["stages"]["annotate"]["lines"]
    print(f"exchanged between splits: {exchanged / lines:.1f} bytes a paragraph")


def _mb(size: int) -> str:
    return f"{size / 1e6:.0f} MB"


if __name__ == "__main__":
    main()
