"""Part files: written whole, committed by a record, verified on demand; `corpus.manifests` lists them.

A stage turns inputs into parts. A part is one or more files below the run's root, and its record
(``STAGE/NAME.part.json``) is written after them: a part without a record does not exist. The record's
``part`` section is the same on every machine and run; what differs (times, hosts, the inputs'
modification times) lies in its ``local`` section, outside every digest.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import IO, Any

import orjson
import pyarrow as pa

from corpus import storage
from corpus.errors import CorruptPartError
from corpus.parquet_sink import ParquetSink
from corpus.recipe import digest
from corpus.schema import BAD_RECORD
from corpus.tally import Tally

RECORD_SUFFIX = ".part.json"
_RECORDS_AT_ONCE = 16
# Engines run several tasks of a process in threads. Kernels keep tables that threads must not share, and
# memory is planned for one part a process: what works in parallel is processes.
_ONE_AT_A_TIME = threading.RLock()


@dataclass(frozen=True)
class PartFile:
    """A file of a part: path below the run's root, rows (0 where it has none), bytes, sha256."""

    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Part:
    """A committed part. `key` is the digest of all that shapes it: settings and inputs."""

    stage: str
    name: str
    key: str
    files: tuple[PartFile, ...]
    counters: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Part:
        """A part from the plain data of its record."""
        files = tuple(PartFile(**f) for f in raw["files"])
        return cls(raw["stage"], raw["name"], raw["key"], files, raw["counters"])

    @property
    def digest(self) -> str:
        """SHA-256 over the whole record: equal digests mean equal bytes."""
        return digest(asdict(self))

    def file(self, ending: str) -> PartFile | None:
        """The part's file whose path ends so, or None."""
        return next((f for f in self.files if f.path.endswith(ending)), None)


@dataclass(frozen=True)
class PartSpec:
    """What a part is to be made of, known before the work.

    Attributes:
        stage, name: where it lies.
        settings: plain data that shapes the output: recipe block, model hashes, versions of the stage's
            code and of libraries.
        inputs: digests or (path, size) of the inputs; the same wherever they lie.
        local_inputs: etags and modification times; a change redoes the part but is in no digest.
    """

    stage: str
    name: str
    settings: Any
    inputs: tuple[Any, ...]
    local_inputs: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Digest of all that shapes the part's bytes."""
        return digest([self.stage, self.name, self.settings, self.inputs])


class _HashingFile:
    """A binary file object that hashes and counts what passes through it."""

    def __init__(self, inner: IO[bytes]) -> None:
        self._inner = inner
        self.sha256 = hashlib.sha256()
        self.bytes = 0
        self.closed = False

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self.sha256.update(view)
        self.bytes += view.nbytes
        self._inner.write(view)
        return view.nbytes

    def tell(self) -> int:
        return self.bytes

    def flush(self) -> None:
        self._inner.flush()

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        """The file below is closed by the storage layer that opened it."""


class PartWriter:
    """Writes the files of one part and counts; made by `commit_part` and handed to the stage's work."""

    def __init__(self, root: str, spec: PartSpec) -> None:
        self._root = root
        self._spec = spec
        self._files: list[PartFile] = []
        self._stack = contextlib.ExitStack()
        self._bad: ParquetSink | None = None
        self.tally = Tally(self._write_bad)

    @contextlib.contextmanager
    def file(self, path: str, rows: Callable[[], int] = lambda: 0) -> Iterator[IO[bytes]]:
        """Open a file of the part, by its path below the root; it appears when the block ends."""
        with storage.write(storage.join(self._root, path)) as inner:
            hashing = _HashingFile(inner)
            yield hashing  # type: ignore[misc]
        self._files.append(PartFile(path, rows(), hashing.bytes, hashing.sha256.hexdigest()))

    @contextlib.contextmanager
    def parquet(self, path: str, schema: pa.Schema) -> Iterator[ParquetSink]:
        """Open a Parquet file of the part."""
        sinks: list[ParquetSink] = []
        with self.file(path, rows=lambda: sinks[0].rows) as f:
            sinks.append(ParquetSink(f, schema))
            try:
                yield sinks[0]
                sinks[0].close()
            except BaseException:
                sinks[0].abandon()
                raise

    def _write_bad(self, batch: pa.RecordBatch) -> None:
        if self._bad is None:
            path = f"bad/{self._spec.stage}-{self._spec.name}.parquet"
            self._bad = self._stack.enter_context(self.parquet(path, BAD_RECORD))
        self._bad.write(batch)

    def __enter__(self) -> PartWriter:
        self._stack.__enter__()
        return self

    def __exit__(self, *exc: Any) -> None:
        if exc[0] is None:
            self.tally.flush()
        self._stack.__exit__(*exc)

    def part(self) -> Part:
        """The part as written, once every file is closed."""
        counters = {k: v for k, v in sorted(self.tally.counters.items()) if v}
        files = tuple(sorted(self._files, key=lambda f: f.path))
        return Part(self._spec.stage, self._spec.name, self._spec.key, files, counters)


def commit_part(root: str, spec: PartSpec, work: Callable[[PartWriter], None]) -> Part:
    """Make a part, or return it as it lies if its record matches the spec.

    Args:
        root: the run's folder or address.
        spec: what the part is made of.
        work: writes the part's files through the writer it is given.
    """
    done = read_record(root, spec.stage, spec.name)
    if done is not None and _matches(root, done, spec):
        return done[0]
    if done is not None:
        remove_part(root, done[0])
    with _ONE_AT_A_TIME:
        started, wall, cpu = time.time(), time.monotonic(), time.process_time()
        with PartWriter(root, spec) as writer:
            work(writer)
        part = writer.part()
    local = {
        "inputs": list(spec.local_inputs),
        "wall_seconds": round(time.monotonic() - wall, 3),
        "cpu_seconds": round(time.process_time() - cpu, 3),
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        # Which process made it, when, and what that had taken before: `llama-corpus plan` tells by them what
        # a process costs to start from what its parts cost.
        "process": os.getpid(),
        "process_cpu_seconds": round(cpu, 3),
        "started": round(started, 3),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "root": os.path.abspath(root) if storage.is_local(root) else root,
    }
    data = orjson.dumps({"part": asdict(part), "local": local}, option=orjson.OPT_INDENT_2)
    storage.write_bytes(_record_path(root, spec.stage, spec.name), data)
    return part


def read_record(root: str, stage: str, name: str) -> tuple[Part, dict[str, Any]] | None:
    """A part's record and its local section, or None where there is no valid one."""
    path = _record_path(root, stage, name)
    try:
        raw = orjson.loads(storage.read_bytes(path))
    except FileNotFoundError:
        return None
    except orjson.JSONDecodeError as error:
        raise CorruptPartError(f"{path} is not valid JSON ({error}): delete it and run again") from error
    return Part.of(raw["part"]), raw["local"]


def records(root: str, stage: str) -> list[tuple[Part, dict[str, Any]]]:
    """All committed parts of a stage, by name."""
    folder = storage.join(root, stage)
    names = [
        os.path.basename(f.path).removesuffix(RECORD_SUFFIX)
        for f in storage.find(storage.join(folder, "*" + RECORD_SUFFIX))
    ]
    return read_all(root, stage, sorted(names))


def read_all(root: str, stage: str, names: Sequence[str]) -> list[tuple[Part, dict[str, Any]]]:
    """The records of all parts of a stage, in the order of `names`.

    Raises:
        CorruptPartError: a part is not there.
    """
    # A store answers in tens of milliseconds, whatever else it is asked meanwhile.
    with ThreadPoolExecutor(_RECORDS_AT_ONCE) as pool:
        found = list(pool.map(lambda name: read_record(root, stage, name), names))
    for name, record in zip(names, found, strict=True):
        if record is None:
            raise CorruptPartError(f"part {name} of stage {stage} is not in {root}: run the command again")
    return [record for record in found if record is not None]


def remove_part(root: str, part: Part) -> None:
    """Delete a part: its record first, so that it is never seen half there."""
    storage.remove(_record_path(root, part.stage, part.name))
    for file in part.files:
        storage.remove(storage.join(root, file.path))


def check_file(root: str, file: PartFile) -> str | None:
    """What is wrong with a file (missing, size unless −1, sha256), or None."""
    path = storage.join(root, file.path)
    try:
        size = storage.info(path).size
    except FileNotFoundError:
        return f"{path} is missing"
    if file.bytes >= 0 and size != file.bytes:
        return f"{path} has {size:,} bytes where its record says {file.bytes:,}"
    sha = hashlib.sha256()
    with storage.open_read(path) as f:
        while block := f.read(1 << 20):
            sha.update(block)
    if sha.hexdigest() != file.sha256:
        return f"{path} does not have the sha256 of its record: its content was altered"
    return None


@contextlib.contextmanager
def open_part_file(root: str, file: PartFile) -> Iterator[IO[bytes]]:
    """Open a part's file for reading after its size and sha256 have been checked.

    Raises:
        CorruptPartError: it is not what its record says.
    """
    problem = check_file(root, file)
    if problem:
        raise CorruptPartError(f"{problem}; delete it and run again")
    with storage.open_read(storage.join(root, file.path)) as f:
        yield f


def _matches(root: str, done: tuple[Part, dict[str, Any]], spec: PartSpec) -> bool:
    part, local = done
    if part.key != spec.key or tuple(local["inputs"]) != spec.local_inputs:
        return False
    return all(_has_size(storage.join(root, f.path), f.bytes) for f in part.files)


def _has_size(path: str, size: int) -> bool:
    try:
        return storage.info(path).size == size
    except FileNotFoundError:
        return False


def _record_path(root: str, stage: str, name: str) -> str:
    return storage.join(root, stage, name + RECORD_SUFFIX)
