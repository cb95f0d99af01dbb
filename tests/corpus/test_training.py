"""Training: models and cut-offs repeat to the byte, and learn what they should."""

from __future__ import annotations

import argparse
import gzip
import hashlib
import random
from dataclasses import replace
from importlib import resources
from pathlib import Path

import kenlm
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from corpus.annotate import fasttext_model, reference
from corpus.errors import UserError
from corpus.kernels.ccnet_text import normalize_for_language_model
from corpus.training import kenlm_tools
from corpus.training.annotated import SmallestHashes
from corpus.training.cited_urls import CitedUrls, read_cited
from corpus.training.classifier import (
    ClassifierSettings,
    area_under_curve,
    held_out_auc,
    train_classifier,
)
from corpus.training.cutoffs import load_cutoffs, measure_cutoffs, write_cutoffs
from corpus.training.language_model import LanguageModelSettings, train_language_model
from corpus.training.selection import SelectionRule, candidates, select
from corpus.urls import host_of, is_wikipedia, normalize_url
from pipelines import train

ESSAYS = str(resources.files("corpus") / "sample" / "texts" / "encyclopaedia" / "fr.txt")


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


# Language models


@pytest.fixture(scope="module")
def tools() -> kenlm_tools.KenlmTools:
    try:
        return kenlm_tools.kenlm_tools()
    except UserError as error:
        pytest.skip(f"lmplz cannot be built here: {error}")


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize("binary", ["trie", "probing"])
def test_a_language_model_repeats_to_the_byte(tmp_path: Path, binary: str) -> None:
    settings = LanguageModelSettings(vocab_size=400, order=3, binary=binary)
    moved = tmp_path / "elsewhere" / "fr.txt"
    moved.parent.mkdir()
    moved.write_bytes(Path(ESSAYS).read_bytes())
    manifest = train_language_model([ESSAYS], "fr", str(tmp_path / "a"), settings, memory="200M")
    assert train_language_model([str(moved)], "fr", str(tmp_path / "b"), settings, memory="100M") == manifest
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert list(digests(tmp_path / "a")) == ["fr.binary", "fr.manifest.json", "fr.sp.model"]
    assert orjson.loads((tmp_path / "a" / "fr.manifest.json").read_bytes()) == manifest
    lines = Path(ESSAYS).read_text(encoding="utf-8").splitlines()
    assert manifest["documents"] == len(lines)
    assert kenlm.Model(str(tmp_path / "a" / "fr.binary")).order == 3
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "a" / "fr.sp.model"))
    assert pieces.get_piece_size() == 400


@pytest.mark.usefixtures("tools")
def test_a_language_model_reads_normalised_text_of_all_its_inputs(tmp_path: Path) -> None:
    lines = Path(ESSAYS).read_text(encoding="utf-8").splitlines()
    (tmp_path / "one.txt").write_text("\n".join(lines[:20]), encoding="utf-8")
    with gzip.open(tmp_path / "two.txt.gz", "wt", encoding="utf-8") as f:
        f.write("\n".join(["", *lines[20:], "</s> <s> <unk>"]).upper())
    inputs = [str(tmp_path / "one.txt"), str(tmp_path / "two.txt.gz")]
    settings = LanguageModelSettings(vocab_size=300, order=2, binary="trie")
    manifest = train_language_model(inputs, "fr", str(tmp_path / "out"), settings, memory="100M")
    assert manifest["documents"] == len(lines) + 1
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "out" / "fr.sp.model"))
    spelled = {c for i in range(3, 300) for c in pieces.id_to_piece(i)}
    assert not any(c.isupper() or c in "éèàç" or c in "123456789" for c in spelled)


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize("encoding", ["words", "text"])
def test_a_language_model_reads_pieces_of_words_or_of_whole_text(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "text.txt").write_text(Path(ESSAYS).read_text(encoding="utf-8") + "\u200b\n渡\u3000し 船\n")
    settings = LanguageModelSettings(vocab_size=300, order=2, encoding=encoding)
    output = tmp_path / "out"
    manifest = train_language_model([str(tmp_path / "text.txt")], "fr", str(output), settings, "100M")
    processor = sentencepiece.SentencePieceProcessor(model_file=str(output / "fr.sp.model"))
    lines = (tmp_path / "text.txt").read_text(encoding="utf-8").split("\n")[:-1]
    pieces: list[str] = []
    for line in map(normalize_for_language_model, lines):
        for text in line.split(" ") if encoding == "words" else [line]:
            pieces += processor.encode(text, out_type=str)
    assert manifest["settings"]["encoding"] == encoding
    assert manifest["pieces"] == len(pieces)
    model = kenlm.Model(str(output / "fr.binary"))
    assert all(piece in model for piece in pieces)


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize(
    ("text", "message"),
    [("", "is empty"), ("une petite phrase\n", r"--vocab-size 65536 does not fit the text.*at most \d+")],
)
def test_text_that_trains_nothing_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "short.txt").write_text(text)
    with pytest.raises(UserError, match=message):
        train_language_model(
            [str(tmp_path / "short.txt")], "fr", str(tmp_path / "out"), LanguageModelSettings()
        )
    assert not (tmp_path / "out").exists()


def test_missing_build_tools_name_the_debian_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_CORPUS_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"cmake.*libboost-program-options-dev.*libboost-thread-dev"):
        kenlm_tools.kenlm_tools()


# Cut-offs


def annotated(folder: Path, rows: list[dict[str, object]], files: int = 3) -> str:
    """A run whose annotated pages lie in several files."""
    schema = pa.schema(
        {
            "id": pa.string(),
            "key": pa.string(),
            "text": pa.string(),
            "language": pa.string(),
            "perplexity_v1": pa.float64(),
        }.items()
    )
    (folder / "annotated").mkdir(parents=True)
    for i in range(files):
        table = pa.Table.from_pylist(rows[i::files], schema=schema)
        pq.write_table(table, folder / "annotated" / f"part-{i:05d}.parquet")
    return str(folder)


def scored(n: int) -> list[dict[str, object]]:
    rows = [{"id": f"{i:032x}", "language": "en", "perplexity_v1": float(i)} for i in range(n)]
    rows += [{"id": f"{n + i:032x}", "language": "fr", "perplexity_v1": 7.5} for i in range(n)]
    return [*rows, {"id": "f" * 32, "language": "de", "perplexity_v1": None}]


def test_cutoffs_are_percentiles_by_language(tmp_path: Path) -> None:
    cutoffs = measure_cutoffs(annotated(tmp_path, scored(1000)))
    assert list(cutoffs) == ["en", "fr"]
    assert cutoffs["en"][[0, 1, 30, 60, 99]].tolist() == [0.0, 9.0, 299.0, 599.0, 989.0]
    assert set(cutoffs["fr"]) == {7.5}


def test_cutoffs_come_from_the_same_sample_however_the_run_is_split(tmp_path: Path) -> None:
    rows = scored(5000)
    one = measure_cutoffs(annotated(tmp_path / "one", rows, files=1), sample=500, min_documents=1)
    two = measure_cutoffs(annotated(tmp_path / "two", rows[::-1], files=7), sample=500, min_documents=1)
    assert np.array_equal(one["en"], two["en"])
    assert 2000 < one["en"][50] < 3000


def test_too_few_documents_for_percentiles_are_an_error(tmp_path: Path) -> None:
    run = annotated(tmp_path / "few", scored(99))
    with pytest.raises(UserError, match=r"en \(99\), fr \(99\).*100.*--min-documents"):
        measure_cutoffs(run, min_documents=100)
    run = annotated(tmp_path / "none", [{"id": "0" * 32, "language": "en", "perplexity_v1": None}])
    with pytest.raises(UserError, match=r"no document of .* has a perplexity"):
        measure_cutoffs(run)


def test_a_run_without_annotations_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run crawl-filter with --output"):
        measure_cutoffs(str(tmp_path))
    (tmp_path / "annotated").mkdir()
    pq.write_table(pa.table({"id": ["0" * 32]}), tmp_path / "annotated" / "part-00000.parquet")
    with pytest.raises(UserError, match="has no column language, perplexity_v1"):
        measure_cutoffs(str(tmp_path))


VALUES = st_numpy.arrays(np.float64, 100, elements=st.integers(0, 10**7).map(lambda i: i / 10))


@given(st.dictionaries(st.sampled_from(["en", "fr", "de", "zh"]), VALUES, min_size=1))
def test_cutoffs_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, cutoffs: dict[str, np.ndarray]
) -> None:
    path = str(tmp_path_factory.mktemp("cutoffs") / "cutoffs.csv")
    write_cutoffs(path, cutoffs)
    again = load_cutoffs(path)
    assert sorted(again) == sorted(cutoffs)
    assert all(np.array_equal(again[k], cutoffs[k]) for k in cutoffs)


def test_ccnets_layout_is_read(tmp_path: Path) -> None:
    rows = "".join(f"{p},{p * 10},{p * 20}.0\n" for p in range(100))
    (tmp_path / "cutoff.csv").write_text(",af,en\n" + rows)
    assert load_cutoffs(str(tmp_path / "cutoff.csv"))["en"][[30, 60]].tolist() == [600.0, 1200.0]
    (tmp_path / "short.csv").write_text("percentile,en\n0,1\n1,2\n")
    with pytest.raises(UserError, match="each percentile 0–99"):
        load_cutoffs(str(tmp_path / "short.csv"))
    (tmp_path / "words.csv").write_text("percentile,en\n0,high\n")
    with pytest.raises(UserError, match=r"words.csv.*high"):
        load_cutoffs(str(tmp_path / "words.csv"))


# Samples by hash


@given(st.lists(st.integers(0, 50), max_size=200), st.integers(1, 20), st.integers(1, 7))
def test_smallest_hashes_do_not_depend_on_order_or_batches(hashes: list[int], limit: int, size: int) -> None:
    def sample(order: list[int]) -> list[list[float]]:
        pool = SmallestHashes(limit, np.float64)
        for start in range(0, len(order), size):
            part = np.array(order[start : start + size], np.uint64)
            pool.add(part, part.astype(np.float64) * 2)
        return [column.tolist() for column in pool.result()]

    smallest = sorted(hashes)[:limit]
    assert sample(hashes) == [smallest, [2.0 * h for h in smallest]]
    assert sample(hashes) == sample(hashes[::-1])


# Cited URLs


@pytest.mark.parametrize(
    ("url", "normalized"),
    [
        ("https://www.Example.org/a/b/", "example.org/a/b"),
        ("http://example.org", "example.org"),
        ("example.org/", "example.org"),
        ("https://example.org:443/a#part", "example.org/a"),
        ("https://example.org:8080/a", "example.org:8080/a"),
        ("https://example.org/A?utm_source=x&id=7&fbclid=y", "example.org/A?id=7"),
        ("https://example.org/?q=a&q=b", "example.org?q=a&q=b"),
        ("https://example.org/?UTM_Campaign=x", "example.org"),
        (" https://example.org/a \n", "example.org/a"),
        ("https://[::1/a", None),
        ("https://example.org:port/", None),
        ("", None),
    ],
)
def test_urls_have_one_form(url: str, normalized: str | None) -> None:
    assert normalize_url(url) == normalized


@given(
    st.text(max_size=40)
    | st.from_regex(r"https?://(www\.)?[a-z.]{1,9}(:\d{1,4})?(/[a-z/?&=#_]*)?", fullmatch=True)
)
def test_any_url_is_normalised_or_refused(url: str) -> None:
    normalized = normalize_url(url)
    assert normalized is None or host_of(normalized) == host_of(normalized.lower())


def test_wikipedia_does_not_cite_itself(tmp_path: Path) -> None:
    assert [is_wikipedia(u) for u in ("en.wikipedia.org/wiki/A", "wikipedia.org", "notwikipedia.org")] == [
        True, True, False
    ]  # fmt: skip
    with gzip.open(tmp_path / "cited.txt.gz", "wt") as f:
        f.write("https://en.wikipedia.org/wiki/A\n\nhttp://www.example.org/a/\nhttps://[bad\n")
    cited = read_cited(str(tmp_path / "cited.txt.gz"), "url")
    assert len(cited) == 1
    assert cited.contains(["example.org/a", "example.org/b"]).tolist() == [True, False]
    by_host = CitedUrls(iter(["http://www.example.org/a/"]), "host")
    assert by_host.contains(["example.org/b", "example.com/a"]).tolist() == [True, False]
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(UserError, match="holds no URL"):
        read_cited(str(tmp_path / "empty.txt"), "url")


# The classifier

SCHOLARLY = ["the", "committee", "report", "survey", "found", "measured", "region", "evidence", "in", "was"]
SHOP = ["buy", "cheap", "shoes", "now", "best", "price", "free", "delivery", "order", "discount", "basket"]
RULE = SelectionRule(min_chars=200, max_pages=1000)
SMALL = ClassifierSettings(pages=RULE, dim=8, epochs=10, learning_rate=0.5, min_count=1, held_out=0.2)


def web(n: int) -> tuple[list[dict[str, object]], list[str]]:
    """`n` cited pages, 3n others (one of them longer than any cited), and noise that must not be used."""
    rng = random.Random(7)
    rows: list[dict[str, object]] = []

    def page(words: list[str], url: str, length: int, language: str = "en") -> None:
        text = "\n".join(" ".join(rng.choices(words, k=10)) for _ in range(length))
        rows.append({"id": f"{len(rows):032x}", "key": url, "text": text, "language": language})

    for i in range(n):
        page(SCHOLARLY, f"https://archive{i}.example/report/?utm_source=x", rng.randint(5, 40))
    for i in range(3 * n):
        page(SHOP, f"http://shop{i}.example/", rng.randint(5, 40) if i else 400)
    page(SCHOLARLY, "https://en.wikipedia.org/wiki/A", 20)
    page(SCHOLARLY, "https://archive0.example/report", 20, language="fr")
    page(SCHOLARLY, "https://archive1.example/report", 1)
    rows.append({"id": "f" * 32, "key": None, "text": "x" * 500, "language": "en"})
    rows.append({"id": "e" * 32, "key": "https://archive2.example/report", "text": None, "language": "en"})
    rng.shuffle(rows)
    return rows, [f"http://www.archive{i}.example/report" for i in range(n)]


@pytest.fixture
def run(tmp_path: Path) -> tuple[str, str]:
    rows, cited = web(120)
    (tmp_path / "cited.txt").write_text("\n".join(cited))
    return annotated(tmp_path / "run", rows), str(tmp_path / "cited.txt")


def test_classifier_learns_what_is_cited(tmp_path: Path, run: tuple[str, str]) -> None:
    manifest = train_classifier(*run, str(tmp_path / "out"), SMALL)
    pages = manifest["pages"]
    assert (pages["cited_found"], pages["random_found"]) == (120, 360)
    assert 90 < pages["of_each_class"] <= 120
    assert pages["held_out_of_each_class"] == round(0.2 * pages["of_each_class"])
    assert manifest["auc"] > 0.99
    model = tmp_path / "out" / "reference.bin"
    assert manifest["output"]["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert manifest["output"]["bytes"] < 1_000_000
    text = pa.array(["The committee found\nevidence in the region", "Best price, order shoes now"])
    high, low = reference.cited_probabilities(fasttext_model.load(str(model)), text)
    assert high > 0.8 > 0.2 > low


def test_held_out_pages_are_scored_as_the_library_would_and_mostly_without_it(
    tmp_path: Path, run: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    train_classifier(*run, str(tmp_path / "out"), SMALL)
    model, rng = tmp_path / "out" / "reference.bin", random.Random(3)
    pages = {
        label: [" ".join(rng.choices(SCHOLARLY * more + SHOP * (10 - more), k=8)) for _ in range(300)]
        for label, more in ((reference.CITED, 6), (reference.RANDOM, 4))
    }
    library = fasttext_model.load(str(model))
    cited, other = (reference.cited_probabilities(library, pa.array(texts)) for texts in pages.values())
    asked: list[bytes] = []
    slow = fasttext_model.top_labels
    monkeypatch.setattr(
        fasttext_model,
        "top_labels",
        lambda model, lines: (asked.extend(lines), slow(model, lines))[1],  # type: ignore[func-returns-value]
    )
    auc = held_out_auc(model, pages)
    assert auc == area_under_curve(cited, other)
    assert 0.6 < auc < 0.99
    assert len(asked) < 60


@pytest.mark.parametrize("quantize", [False, True])
def test_classifier_repeats_to_the_byte_however_the_run_is_split(
    tmp_path: Path, run: tuple[str, str], quantize: bool
) -> None:
    rows, _ = web(120)
    for row in rows:  # enough words for fastText to quantise
        if row["text"]:
            row["text"] = f"{row['text']} " + " ".join(f"{row['id']}{i}" for i in range(4))
    settings = replace(SMALL, quantize=quantize)
    for name, order, files in (("a", 1, 1), ("b", -1, 5)):
        split = annotated(tmp_path / name / "run", rows[::order], files)
        train_classifier(split, run[1], str(tmp_path / name / "out"), settings)
    assert digests(tmp_path / "a" / "out") == digests(tmp_path / "b" / "out")


def test_both_classes_have_the_same_lengths(run: tuple[str, str]) -> None:
    cited = read_cited(run[1], "url")
    chosen = select(run[0], cited, RULE)
    lengths: dict[bool, list[int]] = {True: [], False: []}
    for page in candidates(run[0], cited, RULE):
        for kind, ids in ((True, chosen.cited), (False, chosen.random)):
            rows = (page.cited == kind) & np.isin(page.hashes, ids)
            lengths[kind] += page.length_class[rows].tolist()
    assert sorted(lengths[True]) == sorted(lengths[False])
    assert len(chosen.cited) == len(chosen.random) == len(lengths[True])
    thinned = select(run[0], cited, replace(RULE, max_pages=40))
    assert len(thinned.cited) == len(thinned.random) <= 40
    assert set(thinned.cited) < set(chosen.cited)


def test_too_few_cited_pages_are_an_error(tmp_path: Path, run: tuple[str, str]) -> None:
    Path(run[1]).write_text("https://archive0.example/report\n")
    with pytest.raises(UserError, match=r"1 cited and 479 other pages.*--match host"):
        train_classifier(*run, str(tmp_path / "out"), SMALL)


SCORES = st.lists(st.integers(0, 5).map(float), min_size=1, max_size=12)


@given(SCORES, SCORES)
def test_area_under_curve_counts_pairs(positives: list[float], negatives: list[float]) -> None:
    pairs = [(p > n) + 0.5 * (p == n) for p in positives for n in negatives]
    assert area_under_curve(positives, negatives) == pytest.approx(sum(pairs) / len(pairs))
    assert area_under_curve(positives, negatives) + area_under_curve(negatives, positives) == pytest.approx(1)


# Subcommands


def command(*words: str) -> int:
    parser = argparse.ArgumentParser()
    train.add_parsers(parser.add_subparsers(required=True))
    args, rest = parser.parse_known_args(words)
    return int(args.run(args, rest))


@pytest.mark.usefixtures("tools")
def test_train_lm_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train-lm", "--input", ESSAYS, "--language", "fr", "--output", str(tmp_path), "--memory", "100M"]
    words += ["--vocab-size", "300", "--order", "2", "--binary", "trie"]
    for options, encoding in (([], "words"), (["--encoding", "text"], "text")):
        assert command(*words, *options) == 0
        assert "fr.binary" in capsys.readouterr().out
        manifest = orjson.loads((tmp_path / "fr.manifest.json").read_bytes())
        assert manifest["settings"]["encoding"] == encoding
    with pytest.raises(UserError, match=r"--input /no/such\*: no such file"):
        command("train-lm", "--input", "/no/such*", "--language", "fr", "--output", str(tmp_path))


def test_calibrate_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = annotated(tmp_path / "run", scored(1000))
    assert command("calibrate", "--run", run, "--output", str(tmp_path / "c.csv")) == 0
    assert "en: 30 % below 299.0, 60 % below 599.0" in capsys.readouterr().out
    assert (tmp_path / "c.csv").read_text().startswith("percentile,en,fr\n0,0.0,7.5\n1,9.0,7.5\n")
    with pytest.raises(UserError, match="unknown options: --runner"):
        command("calibrate", "--run", run, "--output", str(tmp_path / "c.csv"), "--runner", "spark")


def test_train_classifier_command(
    tmp_path: Path, run: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train-classifier", "--run", run[0], "--cited", run[1], "--output", str(tmp_path / "out")]
    words += ["--min-chars", "200", "--dim", "8", "--epochs", "10", "--learning-rate", "0.5"]
    assert command(*words) == 0
    assert "AUC 1.0000" in capsys.readouterr().out
    assert (tmp_path / "out" / "reference.manifest.json").is_file()
