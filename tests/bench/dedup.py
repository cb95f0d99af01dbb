"""`python -m tests.bench.dedup`: 20M paragraphs deduplicated with 4 GB of memory for all processes together.

The paragraphs are 53 letters long, 100 a page; 30 % of them are copies of any earlier one. All WET files are
one scope, of which the first of each paragraph stays; which ones stayed is compared, paragraph by paragraph,
with a plain sort of the numbers that they were made from. The limit holds for the driver, Java, the executors
and the workers together, and for the files that the kernel keeps at hand for them. MB are 10^6 bytes.
"""

from __future__ import annotations

import argparse
import tempfile
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import pyarrow.parquet as pq
from isal import igzip

from tests.bench.engines import FLAGS, exchanged_bytes, mb, print_table, run_on
from tests.bench.generator import record, wet_file
from tests.engines.jobs import digest

_COPIES = 0.3
_LINES_PER_PAGE = 100
_LINE = 54  # bytes: three words of 16 letters and two more, and the newline
_WORDS = 3

Numbers = npt.NDArray[np.uint64]


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--paragraphs", type=int, default=20_000_000, help="default 20,000,000")
    parser.add_argument("--files", type=int, default=16, help="WET files (default 16)")
    parser.add_argument("--gigabytes", type=float, default=4.0, help="limit of memory, of 10^9 (default 4)")
    parser.add_argument(
        "--engines", nargs="+", choices=FLAGS, default=["local, 1 worker", "spark"], metavar="ENGINE"
    )
    args = parser.parse_args()
    per_file = args.paragraphs // args.files // _LINES_PER_PAGE * _LINES_PER_PAGE
    numbers = draw(per_file * args.files)
    first = first_places(numbers)
    with tempfile.TemporaryDirectory(prefix="llama-corpus-dedup-") as temporary:
        folder = Path(temporary)
        crawl, recipe = folder / "crawl", write_recipe(folder / "recipe.toml")
        for number in range(args.files):
            write_file(crawl, number, numbers[number * per_file :][:per_file])
        raw = sum(f.stat().st_size for f in crawl.iterdir())
        print(
            f"{len(numbers):,} paragraphs, {len(first):,} distinct, {args.files} WET files, "
            f"{mb(len(numbers) * _LINE)} of text, {mb(raw)} compressed; {args.gigabytes:g} GB of memory\n",
            flush=True,
        )
        command = ["crawl-filter", "--input", str(crawl), "--recipe", str(recipe), "--until", "annotate"]
        command += ["--without", "perplexity", "--without", "reference"]
        taken = {}
        for engine in args.engines:
            output = folder / engine.replace(", ", "-").replace(" ", "-")
            taken[engine] = t = run_on(engine, command, output, int(args.gigabytes * 10**9))
            right = np.array_equal(kept_places(output), first)
            print(
                f"{engine}: {len(numbers) / t.wall:,.0f} paragraphs/s by the clock, "
                f"{len(numbers) / t.cpu:,.0f} a CPU second; exchanged {exchanged_bytes(output):,} bytes; "
                f"{t.killed} processes killed for memory; SHA-256 {digest(output)[:16]}; "
                f"{'exactly the first of each stayed' if right else 'WRONG ones stayed'}",
                flush=True,
            )
            if not right:
                raise SystemExit(1)
        print()
        print_table(taken)


def draw(count: int) -> Numbers:
    """The numbers that paragraphs are made from, in their order: the next, or any that was before."""
    rng = np.random.default_rng(0)
    copies = rng.random(count) < _COPIES
    copies[0] = False
    numbers = np.cumsum(~copies) - 1
    numbers[copies] = (rng.random(int(copies.sum())) * (numbers[copies] + 1)).astype(np.int64)
    return numbers.astype(np.uint64)


def first_places(numbers: Numbers) -> npt.NDArray[np.int64]:
    """Where each number stands first, ascending."""
    return np.sort(np.unique(numbers, return_index=True)[1])


def kept_places(run: Path) -> npt.NDArray[np.int64]:
    """Where the paragraphs stand that a run has kept, ascending."""
    found, pages = [], 0
    for path in sorted((run / "annotated").glob("*.parquet")):
        kept = pq.read_table(path, columns=["paragraphs_v1"])["paragraphs_v1"].combine_chunks()
        page = pc.list_parent_indices(kept).to_numpy() + pages
        found.append(page * _LINES_PER_PAGE + pc.list_flatten(kept).to_numpy())
        pages += len(kept)
    return np.concatenate(found)


def write_file(folder: Path, number: int, numbers: Numbers) -> None:
    """Write a WET file of pages of the paragraphs of these numbers."""
    size = _LINES_PER_PAGE * _LINE
    with wet_file(folder, number) as out:
        for start in range(0, len(numbers), 1000 * _LINES_PER_PAGE):
            text = lines(numbers[start : start + 1000 * _LINES_PER_PAGE])
            for place in range(0, len(text), size):
                address = f"https://bench.example/{number}/{start * _LINE + place}"
                page = record(address, b"A page\n" + text[place : place + size])
                out.write(igzip.compress(page, 1))


def lines(numbers: Numbers) -> bytes:
    """A line of letters for each number, different for different ones."""
    letters = np.full((len(numbers), _LINE), ord(" "), np.uint8)
    value = numbers
    for word in range(_WORDS):
        value = _mixed(value)
        halves = np.frombuffer(value.tobytes(), np.uint8).reshape(-1, 8)
        place = word * 17
        letters[:, place : place + 16 : 2] = ord("a") + (halves >> 4)
        letters[:, place + 1 : place + 17 : 2] = ord("a") + (halves & 15)
    letters[:, -3] = letters[:, -2] = ord("z")
    letters[:, -1] = ord("\n")
    return letters.tobytes()


def write_recipe(path: Path) -> Path:
    """Write the sample's recipe with one scope for all, of which the first of each paragraph stays."""
    text = (resources.files("corpus") / "recipes" / "sample.toml").read_text()
    text = text.replace('scope = "block"', 'scope = "global"').replace('"drop-all"', '"keep-first"')
    path.write_text(text)
    return path


def _mixed(values: Numbers) -> Numbers:
    """Values spread over all 64 bits, no two alike: the finaliser of splitmix64."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


if __name__ == "__main__":
    main()
