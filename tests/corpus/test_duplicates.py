"""Whole pages that are copies: what is found equals the rules done naively, over splits and tiny memory."""

from __future__ import annotations

import random
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import recipe
from corpus.crawl import duplicates as stage
from corpus.crawl.dedup import answer_bucket
from corpus.crawl.job import CrawlJob, Scope
from corpus.crawl.page_keys import write_keys
from corpus.decide import Cutoffs, Removals, decide
from corpus.dedup import near
from corpus.dedup.near import NearKeys
from corpus.dedup.newest import NEVER, NewestIndex, time_of, url_key
from corpus.errors import CorruptPartError, UserError
from corpus.inputs import Split
from corpus.kernels.minhash import Permutations, near_table, signatures
from corpus.kernels.unicode_tables import LENGTH_SHIFT, POOLED
from corpus.parts import PartSpec, commit_part
from corpus.recipe import Duplicates, NearDuplicates
from corpus.runs import RANK, Run, read_answers, write_answer

ANY_SPEED = settings(deadline=None, max_examples=60)
SAMPLE = recipe.load("sample")
SMALL = NearDuplicates(ngram=2, bands=4, rows=2, seed=3)  # pages of few words meet often


class TestWords:
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("Hello, World!\n\tHello", ["hello", "world", "hello"]),
            ("2,000 or 2.000 or 17", ["0", "or", "0", "or", "0"]),
            ("room１２ „quoted” — c'est l’été", ["room0", "quoted", "cest", "lete"]),
            ("ΟΔΟΣ οδός ΟΔΟΣ.", ["οδοσ", "οδοσ", "οδοσ"]),
            ("İstanbul ISTANBUL", ["istanbul", "istanbul"]),
            ("… !!! \x07\x00", []),
        ],
    )
    def test_are_bare(self, text, words):
        assert near.words(text) == words

    def test_the_table_has_the_rule_for_every_code_point(self):
        table = near_table()
        for cp in range(0x110000):
            if 0xD800 <= cp < 0xE000:
                continue
            entry = int(table.entries[cp])
            if entry & POOLED:
                place = entry & 0xFFFFFFFF
                folded = bytes(table.pool[table.pool_offsets[place] : table.pool_offsets[place + 1]])
            else:
                folded = (entry & 0xFFFFFFFF).to_bytes(4, "little")[: entry >> LENGTH_SHIFT & 7]
            assert folded.decode() == near.fold_character(chr(cp)), hex(cp)

    @given(st.lists(st.text(alphabet=" \n.,aAé0１９٣ΣςİÅ가…", max_size=30) | st.none(), max_size=5))
    @ANY_SPEED
    def test_a_signature_is_that_of_the_words(self, texts):
        permutations = Permutations.of(1, 16)
        found, shingles = signatures(pa.array(texts, pa.string()), 2, permutations)
        bare = [" ".join(near.words(t)) if t is not None else None for t in texts]
        again, _ = signatures(pa.array(bare, pa.string()), 2, permutations)
        np.testing.assert_array_equal(found, again)
        assert shingles.tolist() == [max(0, len(near.words(t or "")) - 1) for t in texts]

    def test_order_and_words_count_and_repeats_do_not(self):
        texts = ["a b c d", "a b c d a b c d a b c d", "d c b a", "ab cd a b", "a b c e"]
        found, _ = signatures(pa.array([texts[1], texts[1] + " a b c d", *texts]), 2, Permutations.of(1, 64))
        np.testing.assert_array_equal(found[0], found[1])
        assert len({row.tobytes() for row in found[1:]}) == len(texts)


def _shingle_set(text: str, n: int) -> set[str]:
    words = near.words(text)
    return {" ".join(words[i : i + n]) for i in range(len(words) - n + 1)}


def _jaccard(a: set[str], b: set[str]) -> float:
    return len(a & b) / len(a | b)


def _pair(rng: random.Random, words: int, replaced: float) -> tuple[str, str]:
    """A text of random words, and its copy with a share of them replaced."""
    first = [
        f"w{'abcdefghij'[i % 10]}{rng.choice('klmnopqrstuvwxyz') * 3}{i // 10 * 'x'}" for i in range(words)
    ]
    rng.shuffle(first)
    second = [w if rng.random() >= replaced else f"y{rng.random():.9f}".replace("0.", "") for w in first]
    letters = str.maketrans("0123456789", "abcdefghij")
    return " ".join(first), " ".join(second).translate(letters)


class TestEstimate:
    POSITIONS = 256

    @pytest.mark.parametrize("replaced", [0.0, 0.01, 0.03, 0.08, 0.2])
    def test_agrees_with_the_exact_similarity_and_with_datasketch(self, replaced):
        """Within the binomial error of the positions; over all pairs, without a bias."""
        rng = random.Random(int(replaced * 1000))
        permutations = Permutations.of(5, self.POSITIONS)
        errors, others, variance = [], [], 0.0
        for _ in range(60):
            pair = _pair(rng, rng.choice((80, 200, 400)), replaced)
            sets = [_shingle_set(text, 5) for text in pair]
            exact = _jaccard(*sets)
            found, _ = signatures(pa.array(pair), 5, permutations)
            estimate = float((found[0] == found[1]).mean())
            deviation = (exact * (1 - exact) / self.POSITIONS) ** 0.5
            assert abs(estimate - exact) <= 4.5 * deviation
            errors.append(estimate - exact)
            variance += deviation**2
            theirs = MinHash.bulk([[s.encode() for s in sorted(x)] for x in sets], num_perm=self.POSITIONS)
            others.append(theirs[0].jaccard(theirs[1]) - exact)
        assert abs(sum(errors)) <= 4 * variance**0.5
        assert np.std(errors) <= 1.4 * np.std(others) + 1e-9
        assert abs(np.mean(errors) - np.mean(others)) <= 6 * (variance**0.5) / len(errors)

    def test_positions_are_independent_enough_for_bands(self):
        """Pairs of one similarity share a band as often as the formula says."""
        rng = random.Random(9)
        settings_ = NearDuplicates(bands=14, rows=8)
        pairs = [_pair(rng, 200, 0.04) for _ in range(600)]
        keys, valid = NearKeys(settings_)(pa.array([text for pair in pairs for text in pair]))
        assert valid.all()
        shared = (keys[::2] == keys[1::2]).any(axis=1)
        similar = np.array([_jaccard(*(_shingle_set(t, 5) for t in pair)) for pair in pairs])
        expected = 1 - (1 - similar**settings_.rows) ** settings_.bands
        assert 0.2 < expected.mean() < 0.9
        deviation = (expected * (1 - expected)).sum() ** 0.5
        assert abs(shared.sum() - expected.sum()) <= 4 * deviation


class TestAddress:
    def test_one_form_of_an_address(self):
        same = [
            "http://www.Example.com/a/",
            "https://example.com/a",
            "https://example.com:443/a?utm_source=x&id=3",
            "https://example.com/a/?ref=home",
            "https://example.com/a?feed=rss2",
            "https://example.com/a?fbclid=1#top",
        ]
        assert len({url_key(url) for url in same}) == 1
        other = ["https://example.com/b", "https://example.com/a?id=3", "https://m.example.com/a"]
        assert len({url_key(url) for url in [same[0], *other]}) == 4

    def test_what_is_no_address_has_no_key(self):
        assert [url_key(url) for url in (None, "", "http://", "http://[x/")] == [None] * 4

    @given(st.text(max_size=30) | st.text(alphabet="htp:/w.a[]?#@%:1=&", max_size=30))
    @ANY_SPEED
    def test_nothing_raises(self, text):
        assert url_key(text) is None or 0 <= url_key(text) < 2**64
        assert isinstance(time_of(text), int)

    def test_times(self):
        assert time_of("1970-01-01T00:00:01Z") == 1_000_000
        assert time_of("1970-01-01T01:00:00.5+01:00") == 500_000 == time_of("1970-01-01T00:00:00.500000")
        assert [time_of(t) for t in (None, "", "soon")] == [NEVER] * 3


PAGE = st.fixed_dictionaries(
    {
        "text": st.lists(st.sampled_from("abcd"), max_size=7).map(" ".join),
        "key": st.sampled_from([None, "http://a.example/", "https://www.a.example", "http://b.example", "?"]),
        "timestamp": st.sampled_from([None, "2019-01-01T00:00:00Z", "2020-01-01T00:00:00Z", "2021-01-01"]),
        "language": st.sampled_from(["en", "en", "en", "de", None]),
        "lid_v1_score": st.sampled_from([0.9, 0.9, 0.9, 0.1, None]),
    }
)
SPLITS = st.lists(st.lists(PAGE, max_size=6), min_size=1, max_size=4)
KINDS = st.builds(Duplicates, exact=st.booleans(), url=st.booleans(), near=st.sampled_from([None, SMALL]))
SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("id", "text", "key", "timestamp", "language")]
    + [("lid_v1_score", pa.float64())]
)


def through_files(folder: Path, splits, block: Duplicates, buckets=1, bucket_bytes=1 << 20, batch=3):
    """Rows of the stage's parts, all splits, by the way that the engine takes them."""
    chosen = replace(
        SAMPLE.commoncrawl,
        duplicates=block,
        dedup=replace(SAMPLE.commoncrawl.dedup, bucket_bytes=bucket_bytes),
    )
    job = CrawlJob(str(folder), replace(SAMPLE, commoncrawl=chosen), {})
    ordinals = tuple(range(len(splits)))
    kinds = {"url": block.url, "exact": block.exact, "near": block.near}
    plan = [Scope(kind, "all", buckets, ordinals) for kind, on in kinds.items() if on]

    def annotate(ordinal):
        name = Split.name_of(ordinal)

        def work(writer):
            with write_keys(writer, job, name, block) as keys:
                for start in range(0, len(splits[ordinal]), batch):
                    rows = splits[ordinal][start : start + batch]
                    keys.add(pa.RecordBatch.from_pylist(rows, schema=SCHEMA))

        return commit_part(job.root, PartSpec("annotate", name, {}, ()), work)

    def ask(scopes, parts):
        digests = {ordinal: part.digest for ordinal, part in enumerate(parts) if part}
        return {
            s: "".join(answer_bucket(job, s, bucket, digests).digest for bucket in range(s.buckets))
            for s in scopes
        }

    annotated = [annotate(ordinal) for ordinal in ordinals]
    newest = ask([s for s in plan if s.kind == "url"], annotated)
    compared = [s for s in plan if s.kind != "url"]
    runs = [stage.index_newest(job, i, p, newest) if compared else None for i, p in enumerate(annotated)]
    answers = newest | ask(compared, runs)
    marked = [stage.mark_split(job, i, p, runs[i], answers) for i, p in enumerate(annotated)]
    return [row for part in marked for row in pq.read_table(folder / part.files[0].path).to_pylist()]


def naive(pages, block: Duplicates):
    """The stage's rows by its rules, page against page."""
    bands, has_bands = NearKeys(block.near or SMALL)(pa.array([p["text"] for p in pages], pa.string()))
    asked = []
    rows = []
    for i, page in enumerate(pages):
        candidate = page["language"] == "en" and (page["lid_v1_score"] or 0) >= 0.5
        asked.append(candidate)
        row = {"id": page["id"]}
        if block.url:
            mine = (time_of(page["timestamp"]), -int(page["id"][:16], 16))
            others = [
                (time_of(q["timestamp"]), -int(q["id"][:16], 16))
                for q in pages
                if q["language"] == "en"
                and (q["lid_v1_score"] or 0) >= 0.5
                and url_key(q["key"]) is not None
                and url_key(q["key"]) == url_key(page["key"])
            ]
            row["url_duplicate_v1"] = any(other > mine for other in others)
            asked[i] = candidate and not row["url_duplicate_v1"]
        earlier = [j for j in range(i) if asked[j]]
        if block.exact:
            row["exact_duplicate_v1"] = asked[i] and any(pages[j]["text"] == page["text"] for j in earlier)
        if block.near:
            row["near_duplicate_v1"] = bool(
                asked[i]
                and has_bands[i]
                and any(has_bands[j] and (bands[j] == bands[i]).any() for j in earlier)
            )
        rows.append(row if candidate else {name: v if name == "id" else None for name, v in row.items()})
    return rows


class TestStage:
    @given(SPLITS, KINDS, st.sampled_from([1, 2, 8]), st.sampled_from([1, 200, 1 << 20]), st.randoms())
    @ANY_SPEED
    def test_equals_page_against_page(self, tmp_path_factory, splits, block, buckets, bucket_bytes, rng):
        ids = [f"{i:016x}" * 2 for i in range(sum(map(len, splits)))]
        rng.shuffle(ids)
        splits = [[{**page, "id": ids.pop()} for page in split] for split in splits]
        folder = tmp_path_factory.mktemp("stage")
        found = through_files(folder, splits, block, buckets, bucket_bytes)
        assert found == naive([page for split in splits for page in split], block)

    def test_of_two_copies_of_one_address_one_stays(self, tmp_path):
        """Found at once, the older would go for its address and the newer for its text."""
        page = {"text": "a b c d", "key": "http://a.example", "language": "en", "lid_v1_score": 0.9}
        splits = [
            [{**page, "id": "1" * 32, "timestamp": "2019-01-01"}],
            [{**page, "id": "2" * 32, "timestamp": "2020-01-01"}],
        ]
        rows = through_files(tmp_path, splits, Duplicates(exact=True, url=True, near=SMALL))
        assert [[v for name, v in row.items() if name != "id"] for row in rows] == [
            [True, False, False],
            [False, False, False],
        ]


class TestRankedRuns:
    @staticmethod
    def _write(path: Path, entries, memory_bytes=1 << 20) -> Run:
        keys = np.array([e[0] for e in entries], np.uint64)
        with NewestIndex(str(path.parent), memory_bytes) as newest, open(path, "wb") as f:
            newest.add(keys, np.array([e[1:] for e in entries], RANK))
            newest.write(f)
        return Run.open(str(path))

    @given(
        st.lists(
            st.tuples(
                st.integers(0, 9) | st.integers(0, 2**64 - 1),
                st.sampled_from([NEVER, -1, 0, 2**63 - 1]),
                st.integers(0, 2**64 - 1),
            ),
            max_size=60,
        ),
        st.sampled_from([1, 1000, 1 << 20]),
    )
    @ANY_SPEED
    def test_holds_the_best_of_each_key(self, tmp_path_factory, entries, memory_bytes):
        run = self._write(tmp_path_factory.mktemp("run") / "run", entries, memory_bytes)
        best = {}
        for key, time, id_ in sorted(entries, key=lambda e: (-e[1], e[2])):
            best.setdefault(key, (time, id_))
        _, keys, _, ranks = run.read()
        assert keys.tolist() == sorted(best)
        assert ranks.tolist() == [best[key] for key in sorted(best)]

    def test_any_flipped_byte_is_found(self, tmp_path):
        path = tmp_path / "run"
        self._write(path, [(i * 2**56, i, i) for i in range(40)])
        whole = path.read_bytes()
        for at in range(len(whole) - 8):  # the last index entry's checksum covers nothing
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
            with pytest.raises(CorruptPartError, match=r"run"):
                Run.open(str(path)).read()

    def test_runs_without_ranks_have_no_newest(self, tmp_path):
        plain = replace(self._write(tmp_path / "run", []), ranked=False)
        with open(tmp_path / "answer", "wb") as f, pytest.raises(ValueError, match="no ranks"):
            write_answer(f, [plain], 0, 1, "keep-newest", 1 << 20)

    def test_memory_stays_within_the_budget(self, tmp_path):
        """Two million pages, 48 MB of entries, a tenth of them in both runs, in 8 MB each time."""
        budget, batch = 8 << 20, 100_000
        self._write(tmp_path / "warm", [(1, 1, 1)])
        common = np.random.default_rng(99).integers(0, 2**64, batch, np.uint64)
        runs = []
        tracemalloc.start()
        for i in range(2):
            generator = np.random.default_rng(i)
            with NewestIndex(str(tmp_path), budget) as newest, open(tmp_path / f"run-{i}", "wb") as f:
                ranks = np.zeros(batch, RANK)
                for _ in range(9):
                    ranks["time"] = generator.integers(0, 10**15, batch)
                    newest.add(generator.integers(0, 2**64, batch, np.uint64), ranks)
                ranks["time"] = i
                newest.add(common, ranks)
                newest.write(f)
            runs.append(Run.open(f.name))
        _, building = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        with open(tmp_path / "answer", "wb") as f:
            write_answer(f, runs, 0, 1, "keep-newest", budget)
        _, merging = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert building < budget + 6 * 8 * batch + (1 << 20)
        assert merging < budget + (1 << 20)
        beaten = [read_answers(run, [(f.name, place)]) for place, run in enumerate(runs)]
        np.testing.assert_array_equal(runs[0].read().keys[beaten[0]], np.unique(common))
        assert not beaten[1].any()


GOOD = {
    "id": "0" * 32,
    "key": "https://a.example/",
    "language": "en",
    "lid_v1_score": 0.9,
    "paragraphs_v1_reason": None,
    "perplexity_v1": 150.0,
    "reference_v1": 0.8,
}
ALL_ON = replace(
    SAMPLE.commoncrawl,
    duplicates=Duplicates(exact=True, url=True, near=NearDuplicates()),
    perplexity=None,
    decide=replace(SAMPLE.commoncrawl.decide, buckets=["all"]),
)
COLUMNS = ("exact_duplicate_v1", "url_duplicate_v1", "near_duplicate_v1")


class TestDecide:
    def _reasons(self, *verdicts, settings=ALL_ON, **changes):
        rows = [{**GOOD, **changes, **dict(zip(COLUMNS, v, strict=True))} for v in verdicts]
        batch = pa.RecordBatch.from_pylist(rows)
        cutoffs = {"en": Cutoffs(100.0, 200.0)}
        return decide(batch, settings, cutoffs, Removals()).column("reason").to_pylist()

    def test_the_first_kind_counts(self):
        assert self._reasons((True, True, True), (False, True, True), (False, False, True), (False,) * 3) == [
            "exact_duplicate",
            "url_duplicate",
            "near_duplicate",
            None,
        ]

    def test_after_the_language_before_the_models(self):
        assert self._reasons((True, True, True), language="de") == ["language"]
        assert self._reasons((True, True, True), reference_v1=0.0) == ["exact_duplicate"]

    def test_what_was_not_compared_is_an_error(self):
        with pytest.raises(UserError, match="near_duplicate_v1 is empty"):
            self._reasons((False, False, None), (False, False, False))
        assert self._reasons((None, None, None), lid_v1_score=0.1) == ["language_score"]

    def test_columns_of_kinds_that_are_off_say_nothing(self):
        off = replace(ALL_ON, duplicates=None)
        assert self._reasons((True, True, True), settings=off) == [None]


def test_the_digest_of_a_recipe_without_the_block_does_not_know_it():
    assert "duplicates" not in recipe.to_dict(SAMPLE.commoncrawl)
    on = replace(SAMPLE.commoncrawl, duplicates=Duplicates(exact=True))
    assert recipe.to_dict(on)["duplicates"] == {"exact": True, "url": False}
    assert recipe.digest(on) != recipe.digest(SAMPLE.commoncrawl)


def test_keys_are_those_that_earlier_runs_hold():
    """Permutations, hashes and folding shape keys that are kept: a change is a new version of the stages."""
    text = pa.array(["The quick brown fox, aged 12, jumps over the lazy dog."])
    found, _ = signatures(text, 5, Permutations.of(1, 3))
    assert found.tolist() == [[566697173, 376941814, 160820516]]
    assert NearKeys(NearDuplicates(bands=2))(text)[0].tolist() == [[15609494607514121646, 891214387335620189]]
