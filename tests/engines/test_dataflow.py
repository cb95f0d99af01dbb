"""The graphs of the real commands as Dataflow is given them, built offline, and what crosses their shuffles.

Nothing is sent to Google: Beam's dry run of its Dataflow runner ends where the job would be submitted.
"""

from __future__ import annotations

import json
import random
import re
import tomllib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders.coder_impl import create_InputStream
from apache_beam.runners.portability.fn_api_runner.execution import GroupingBuffer

import pipelines.engines
from corpus import recipe, storage
from corpus.build.job import BuildJob
from tests.builds import as_toml
from tests.conftest import new_bucket
from tests.pipelines.across import call, prose, sample_recipe
from tests.pipelines.conftest import ROOT
from tests.pipelines.finished import write_run
from tests.pipelines.generated import write_crawl
from tests.tokenizer.conftest import train

FLAGS = (
    "--runner=dataflow",
    "--dry_run=True",
    "--no_auth",
    "--project=my-project",
    "--region=europe-west4",
    "--temp_location=gs://my-bucket/tmp",
    "--staging_location=gs://my-bucket/staging",
    "--sdk_location=container",
    "--sdk_container_image=europe-west4-docker.pkg.dev/my-project/corpus/worker:0.1",
)
# What keys may be coded by: the same bytes for the same key, in every process.
KEYS = {"varint", "kv<varint,varint>"}
# Beside keys and what is made of them: names of files and digests, and references that Python codes.
VALUES = {"varint", "bytes", "string_utf8", "FastPrimitivesCoder", "MapCoder", "PaneInfoCoder"}
_MADE_OF = {"kv", "tuple", "iterable", "nullable"}

CRAWL = {
    *("Splits", "Spread", "OnWorker", "Index"),
    *("DedupBuckets", "DedupByBucket", "Dedup", "DedupByScope", "DedupSplits"),
    *("BySplit", "Annotate", "Decide", "ByExportFile", "GroupForExport", "Export"),
}
DUPLICATES = {
    *("NewestBuckets", "NewestByBucket", "Newest", "NewestByScope", "NewestSplits", "NewestBySplit"),
    *("CompareBuckets", "CompareByBucket", "Compare", "CompareByScope", "CompareSplits", "IndexNewest"),
    *("FoundBySplit", "Mark", "WithDuplicates", "Pair"),
}
OF_STAGE = ("Tasks", "Spread", "OnWorker", "", "Parts", "Keyed", "Wait", "Close")


class _Built(BaseException):
    """A dry run has ended."""


Graph = Any  # beam_runner_api_pb2.Pipeline


@pytest.fixture
def graph(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Graph]:
    """The graph that a command would send; its output is in an object store, as Dataflow's must be."""
    bucket = new_bucket("gs", request)
    run = beam.Pipeline.run

    def built(pipeline: beam.Pipeline, *args: object) -> None:
        raise _Built(run(pipeline, *args).job.proto_pipeline)

    def of(*command: object) -> Graph:
        with monkeypatch.context() as patch:
            patch.setattr(beam.Pipeline, "run", built)
            with pytest.raises(_Built) as caught:
                call(*command, "--output", f"{bucket}/run", *FLAGS)
        return caught.value.args[0]

    return of


def steps(graph: Graph) -> set[str]:
    """Names of the steps as a person sees them in Dataflow's console, without what they are made of."""
    (root,) = graph.root_transform_ids
    return {
        graph.components.transforms[i].unique_name for i in graph.components.transforms[root].subtransforms
    }


def coder(graph: Graph, id_: str) -> str:
    """A coder with those it is made of; of Python's own the class."""
    found = graph.components.coders[id_]
    name = found.spec.urn.split(":")[2]
    if name == "pickled_python":
        name = re.search(rb"([A-Z]\w+)\$", found.spec.payload)[1].decode()  # type: ignore[index]
    parts = ",".join(coder(graph, i) for i in found.component_coder_ids)
    return f"{name}<{parts}>" if parts else name


def check_coders(graph: Graph) -> None:
    """Every group's key is coded by one of `KEYS`, everything else by what is known."""
    groups = 0
    for transform in graph.components.transforms.values():
        if transform.spec.urn == "beam:transform:group_by_key:v1":
            (output,) = transform.outputs.values()
            of = graph.components.coders[graph.components.pcollections[output].coder_id]
            assert coder(graph, of.component_coder_ids[0]) in KEYS, transform.unique_name
            groups += 1
    assert groups
    for collection in graph.components.pcollections.values():
        used = coder(graph, collection.coder_id)
        assert set(re.findall(r"\w+", used)) <= VALUES | _MADE_OF, f"{collection.unique_name}: {used}"


@pytest.mark.parametrize("duplicates", [False, True])
def test_the_graph_of_the_crawl_filter(graph: Callable[..., Graph], tmp_path: Path, duplicates: bool) -> None:
    path = tmp_path / "r.toml"
    path.write_text(sample_recipe() + "\n[commoncrawl.duplicates]\nexact = true\nurl = true\n" * duplicates)
    found = graph("crawl-filter", "--recipe", path)
    assert steps(found) == CRAWL | (DUPLICATES if duplicates else {"Alone"})
    check_coders(found)


@pytest.mark.parametrize("source", ["books", "wikipedia"])
def test_the_graph_of_a_build(graph: Callable[..., Graph], source: str) -> None:
    found = graph("build", source)
    stages = BuildJob("", recipe.load("sample"), source, {}).stages()
    labels = [stage.name.capitalize() for stage in stages]
    assert steps(found) == {"Start", *(label + step for label in labels for step in OF_STAGE)}
    check_coders(found)


def test_the_graph_of_tokens_and_shards(graph: Callable[..., Graph], small: Path) -> None:
    found = graph("tokenize", small / "c4", "--tokenizer", small / "llama.model")
    assert steps(found) == {"Start", *("Tokens" + step for step in OF_STAGE)}
    check_coders(found)
    found = graph("mix", small / "tokens", "--recipe", small / "recipe.toml")
    assert {step + "Wait" for step in ("Histogram", "Edges", "Draw", "Shards")} <= steps(found)
    check_coders(found)


def test_the_container_is_of_the_version_that_sends_the_work() -> None:
    lines = (Path(pipelines.engines.__path__[0]) / "Dockerfile").read_text().splitlines()
    assert f"ARG BEAM={version('apache-beam')}" in lines
    python = next(line.removeprefix("ARG PYTHON=") for line in lines if line.startswith("ARG PYTHON="))
    about = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"Programming Language :: Python :: {python}" in about["classifiers"]


def test_a_graph_is_the_same_whenever_it_is_built(graph: Callable[..., Graph]) -> None:
    """Dataflow tells jobs, and people tell what they see of one, by the names of steps."""
    first, again = (graph("build", "arxiv") for _ in range(2))
    names = [sorted(t.unique_name for t in g.components.transforms.values()) for g in (first, again)]
    assert names[0] == names[1]
    assert not any("lambda" in step for step in steps(first))


TEXT = "No step hands this sentence on to another."
# Documents in a file of the small input; the large one has ten times as many.
DOCUMENTS = 5
# Beyond which an element would be no reference: the largest is a part's record with all its counters, 1.2 kB.
ELEMENT_BYTES_MAX = 2_048
# Of an element with ten times the documents: counters have more digits. A hash of each would be 360 bytes.
GROWTH_BYTES_MAX = 128
COMMANDS = ("crawl-filter", "build", "tokenize", "mix")


def write_inputs(root: Path, documents: int) -> Path:
    """Raw files, a finished run, its tokens, a tokenizer, recipes; as many files at any size."""
    (root / "crawl").mkdir(parents=True)
    endings = [f" {TEXT}", f" {TEXT} {prose(0, 60)}".replace("\n", " ")]
    write_crawl(root / "crawl", random.Random(1), ["CC-MAIN-2019-09"], 3, documents, endings=endings)
    texts = [f"{prose(i, 120)}\n{TEXT}" for i in range(3 * documents)]
    for number in range(3):
        lines = [
            json.dumps(
                {"text": text, "timestamp": "2019-04-25T12:57:54Z", "url": f"http://a.example/{number}/{i}"}
            )
            for i, text in enumerate(texts[number::3])
        ]
        path = root / "raw" / "en" / f"c4-train.{number:05d}-of-00003.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
    write_run(root / "c4", "c4", texts, per_file=documents)
    raw = recipe.to_dict(recipe.load("sample"))
    raw["mixture"] |= {"weights": {"c4": 1.0}, "tokens": 1_000 * documents, "shard_tokens": 500 * documents}
    raw["build"]["split_bytes"] = 1 << 26
    (root / "recipe.toml").write_text(as_toml(raw))
    (root / "duplicates.toml").write_text(
        sample_recipe() + "\n[commoncrawl.duplicates]\nexact = true\nurl = true\n"
    )
    train(root, "llama", texts, vocab_size=400)
    call(*command_of("tokenize", root), "--output", root / "tokens")
    return root


def command_of(name: str, root: Path) -> list[object]:
    """A command over what `write_inputs` wrote."""
    return {
        "crawl-filter": ["crawl-filter", "--input", root / "crawl", "--recipe", root / "duplicates.toml"],
        "build": ["build", "c4", "--input", root / "raw", "--recipe", root / "recipe.toml"],
        "tokenize": ["tokenize", root / "c4", "--tokenizer", root / "llama.model", "--part-bytes", "1000"],
        "mix": ["mix", root / "tokens", "--recipe", root / "recipe.toml"],
    }[name]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inputs(tmp_path_factory.mktemp("dataflow") / "small", DOCUMENTS)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inputs(tmp_path_factory.mktemp("dataflow") / "large", 10 * DOCUMENTS)


@pytest.fixture
def shuffled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[bytes]]:
    """The encoded elements that a command hands to any shuffle, on the local runner with the same graph."""
    crossed: list[bytes] = []
    append = GroupingBuffer.append

    def recorded(buffer: GroupingBuffer, data: bytes) -> None:
        stream, element = create_InputStream(data), buffer._pre_grouped_coder.get_impl()
        while stream.size() > 0:
            left = stream.size()
            element.decode_from_stream(stream, True)
            crossed.append(data[len(data) - left : len(data) - stream.size()])
        append(buffer, data)

    monkeypatch.setattr(GroupingBuffer, "append", recorded)

    def of(name: str, root: Path) -> list[bytes]:
        crossed.clear()
        call(*command_of(name, root), "--output", tmp_path / root.name)
        return list(crossed)

    return of


@pytest.mark.parametrize("name", COMMANDS)
def test_only_references_cross_a_shuffle(
    shuffled: Callable[..., list[bytes]], small: Path, large: Path, name: str
) -> None:
    """Ten times the documents in as many files: as many elements cross, and they are hardly larger."""
    few, many = shuffled(name, small), shuffled(name, large)
    assert len(few) == len(many) > 0
    small_sizes, large_sizes = sorted(map(len, few)), sorted(map(len, many))
    assert large_sizes[-1] < ELEMENT_BYTES_MAX
    assert max(b - a for a, b in zip(small_sizes, large_sizes, strict=True)) < GROWTH_BYTES_MAX
    assert not any(TEXT.encode() in element for element in few + many)


def test_a_dry_run_says_that_nothing_was_run(request: pytest.FixtureRequest, small: Path) -> None:
    bucket = new_bucket("gs", request)
    for name in ("crawl-filter", "mix"):
        done = call(*command_of(name, small), "--output", f"{bucket}/run", *FLAGS)
        assert "nothing was run" in done.stdout
        assert storage.find(f"{bucket}/run/**") == []
    refused = call("crawl-filter", "--output", small / "none", "--dry_run=True", status=2)
    assert "--dry_run is an option of Dataflow's" in refused.stderr
