"""What a plan is made of: rates of parts, tasks on workers, volumes, splits and buckets, prices."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus import recipe
from corpus.crawl.job import scopes
from corpus.errors import UserError
from corpus.inputs import InputFile, plan_splits
from corpus.review.plan.cost import Cost, Prices, costs
from corpus.review.plan.measured import MeasuredPart, MeasuredStage
from corpus.review.plan.rates import fit
from corpus.review.plan.schedule import makespan
from corpus.review.plan.tasks import crawl_layout
from corpus.review.plan.volumes import parse_size, parse_volumes, recipe_volume

LLAMA1 = recipe.load("llama1")


def stage(*parts: tuple[str, float, float]) -> MeasuredStage:
    """A stage of parts of (process, units, seconds)."""
    made = [
        MeasuredPart(f"part-{i}", process, float(i), 2.0, units, seconds, seconds, 100, 10, 0)
        for i, (process, units, seconds) in enumerate(parts)
    ]
    return MeasuredStage("index", "bytes_raw", tuple(made), {})


def test_what_a_process_costs_to_start_is_no_part_of_the_rate() -> None:
    rate = fit(stage(("a", 100, 5.0), ("a", 100, 2.0), ("a", 100, 2.0), ("a", 100, 2.0), ("a", 100, 2.0)))
    assert (rate.terms[0].per_unit, rate.per_part, rate.start) == (0.02, 0.0, 3.0)
    assert (rate.work, rate.told_apart) == (10.0, True)


def test_the_start_is_of_each_process() -> None:
    parts = [(process, 100.0, 2.0) for process in "ab" for _ in range(4)]
    rate = fit(stage(("a", 100, 6.0), ("b", 100, 4.0), *parts))
    assert (rate.terms[0].per_unit, rate.start) == (0.02, 3.0)


def test_parts_of_different_size_tell_what_a_part_costs_whatever_its_size() -> None:
    sizes = (100.0, 200.0, 300.0, 400.0, 800.0)
    rate = fit(stage(("a", 100, 9.5), *(("a", size, 0.5 + size / 100) for size in sizes)))
    assert rate.terms[0].per_unit == pytest.approx(0.01)
    assert rate.per_part == pytest.approx(0.5)
    assert rate.start == pytest.approx(8.0)


def test_caches_that_fill_slowly_are_no_part_of_the_rate_either() -> None:
    falling = [("a", 100.0, seconds) for seconds in (9.0, 8.0, 7.0, 6.0, 2.0, 2.0, 2.0, 2.0)]
    rate = fit(stage(*falling))
    assert (rate.terms[0].per_unit, rate.start) == (0.02, 22.0)


def test_of_one_part_its_start_cannot_be_told() -> None:
    rate = fit(stage(("a", 100, 2.0)))
    assert (rate.terms[0].per_unit, rate.start, rate.told_apart) == (0.02, 0.0, False)


def test_parts_without_any_work_are_no_measure() -> None:
    rate = fit(stage(("a", 0, 0.1), ("a", 0, 0.1)))
    assert (rate.terms[0].per_unit, rate.parts, rate.work) == (0.0, 0, 0.0)


def test_tasks_go_to_the_next_free_worker() -> None:
    assert makespan([4.0, 3.0, 3.0, 2.0], 2) == 6.0
    assert makespan([1.0] * 8000, 1000) == 8.0
    assert makespan([1.0] * 8001, 1000) == 9.0
    assert makespan([], 10) == 0.0
    with pytest.raises(ValueError, match="without a worker"):
        makespan([1.0], 0)


def test_no_number_of_workers_is_faster_than_the_longest_task() -> None:
    assert makespan([7.0, 1.0, 1.0], 1000) == 7.0


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=50), st.integers(1, 20))
def test_between_the_even_share_and_a_longest_task_more(seconds: list[float], workers: int) -> None:
    wall, even = makespan(seconds, workers), sum(seconds) / workers
    assert max(even, max(seconds)) <= wall * (1 + 1e-9)
    assert wall <= (even + max(seconds)) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("text", "size"),
    [("42TB", 42e12), ("7.62TiB", 7.62 * 1024**4), ("1e12", 1e12), ("500", 500.0), ("3 GB", 3e9)],
)
def test_sizes(text: str, size: float) -> None:
    assert parse_size(text, "--volume") == size


@pytest.mark.parametrize("text", ["", "TB", "-1TB", "0", "four", "1e999", "nan", "inf"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UserError, match="is no size"):
        parse_size(text, "--volume")


def test_the_volume_of_a_source_that_there_is_not() -> None:
    with pytest.raises(UserError, match="commoncrawl, c4"):
        parse_volumes(["reddit=1TB"])
    assert parse_volumes(["c4=1GB", "books=2GB"]) == {"c4": 1e9, "books": 2e9}


def test_five_dumps() -> None:
    volume = recipe_volume("commoncrawl", 0.1, 5, None)
    assert (len(volume.files), volume.raw_bytes) == (320_000, 5 * 8_378_278_000_000)
    assert len({f.dump for f in volume.files}) == 5
    assert "7.62 TiB" in volume.whence


def test_what_the_user_says_holds() -> None:
    volume = recipe_volume("commoncrawl", 0.1, 1, 8_378_278_000_000 / 2)
    assert (len(volume.files), volume.raw_bytes) == (32_000, 4_189_139_000_000)
    assert volume.whence == "given by --volume"


def test_a_raw_volume_follows_from_what_shall_be_kept() -> None:
    assert recipe_volume("wikipedia", 2.0, 5, None).raw_bytes == 41_500_000_000
    with pytest.raises(UserError, match="--volume wikipedia=SIZE"):
        recipe_volume("wikipedia", 0.0, 5, None)


def test_splits_scopes_and_buckets_are_those_of_the_crawl_filter_itself() -> None:
    files = recipe_volume("commoncrawl", 0.1, 5, None).files
    planned = crawl_layout(LLAMA1, files)
    splits = plan_splits(files, LLAMA1.commoncrawl.dedup)
    own = scopes(LLAMA1.commoncrawl, splits)
    assert planned.splits == len(splits) == 8_000
    assert planned.scopes == len(own) - 1 == 160  # 32 blocks a dump
    assert planned.buckets == own[0].buckets
    assert len(planned.shares["dedup"]) == sum(scope.buckets for scope in own[:-1])
    assert len(planned.shares["export"]) == 1_000
    assert all(sum(shares) == pytest.approx(1) for shares in planned.shares.values())


def test_a_wider_scope_has_fewer_of_them_with_more_buckets() -> None:
    files = recipe_volume("commoncrawl", 0.1, 1, None).files
    crawl = LLAMA1.commoncrawl
    wide = replace(LLAMA1, commoncrawl=replace(crawl, dedup=replace(crawl.dedup, scope="dump")))
    narrow, whole = crawl_layout(LLAMA1, files), crawl_layout(wide, files)
    assert (narrow.scopes, whole.scopes) == (32, 1)
    assert whole.buckets == 32 * narrow.buckets


def test_the_longest_part_is_that_of_the_largest_file() -> None:
    files = [InputFile(f"{i}.wet.gz", "", size, "", "", False) for i, size in enumerate((100, 700, 200))]
    assert sorted(crawl_layout(LLAMA1, files).shares["annotate"]) == [0.1, 0.2, 0.7]


def test_costs() -> None:
    prices = Prices(core_hour=0.05, gb_month=0.02, egress_gb=0.09)
    found = costs(prices, 10, 7200.0, 730e9, 500e9, 1000e9)
    assert found == (
        Cost("cores held until the end", 20.0, "core-hours", 0.05, 1.0),
        Cost("storage while it runs", 2.0, "GB-months", 0.02, 0.04),
        Cost("storage of what is kept, each month after", 500.0, "GB-months", 0.02, 10.0),
        Cost("raw files read", 1000.0, "GB", 0.09, 90.0),
    )


def test_what_has_no_price_costs_nothing_that_is_said() -> None:
    assert costs(Prices(), 10, 7200.0, 1e12, 1e12, 1e12) == ()
    assert [c.item for c in costs(Prices(egress_gb=0.0), 1, 1.0, 1.0, 1.0, 1e9)] == ["raw files read"]


@pytest.mark.parametrize("price", [-0.01, float("nan"), float("inf")])
def test_prices_that_are_none(price: float) -> None:
    with pytest.raises(UserError, match="--price-gb-month"):
        Prices(gb_month=price).check()
