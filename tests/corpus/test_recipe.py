"""The recipe: what is built in is whole, and what the user gets wrong is named."""

from importlib import resources

import pytest

from corpus import recipe
from corpus.crawl.job import needed_assets
from corpus.errors import UserError

SAMPLE = (resources.files("corpus") / "recipes" / "sample.toml").read_text()


@pytest.mark.parametrize("name", ["llama1", "sample"])
def test_built_in_recipes_name_only_assets_that_they_describe(name: str) -> None:
    built_in = recipe.load(name)
    assert set(needed_assets(built_in.commoncrawl)) <= set(built_in.assets)


def test_llama1_has_the_numbers_of_the_paper_and_of_ccnet() -> None:
    block = recipe.load("llama1").commoncrawl
    assert block.min_chars == 300
    assert (block.dedup.scope, block.dedup.policy) == ("block", "drop-all")
    assert (block.dedup.shards_per_dump, block.dedup.shards_per_block) == (1600, 50)
    assert (block.language.keep, block.language.min_score) == (["en"], 0.5)
    assert block.perplexity is not None
    english = block.perplexity.models["en"]
    assert (english.head, english.middle) == (340, 520)
    assert block.decide.buckets == ["head", "middle"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("record_bytes =", "record_byts =", r"unknown key 'limits.record_byts'; did you mean 'record_bytes'"),
        ("min_score = 0.5", 'min_score = "x"', r"key 'commoncrawl.language.min_score': .*got 'x'"),
        ("min_score = 0.5", "min_score = 1.5", r"key 'commoncrawl.language.min_score': .*less than or equal"),
        ('name = "sample"', "", r"key 'name' is missing"),
        ('policy = "drop-all"', 'policy = "drop"', r"key 'commoncrawl.dedup.policy'.*'drop-all'"),
        ("[limits]", "[limits", r"not valid TOML"),
    ],
)
def test_a_wrong_recipe_is_an_error_that_names_the_key(old: str, new: str, message: str) -> None:
    assert old in SAMPLE
    with pytest.raises(UserError, match=message):
        recipe.parse(SAMPLE.replace(old, new).encode(), "test")


def test_a_recipe_that_does_not_exist_lists_the_built_in_ones() -> None:
    with pytest.raises(UserError, match="llama1, sample"):
        recipe.load("lama1")
    with pytest.raises(UserError, match="does not exist"):
        recipe.load("nowhere.toml")


def test_a_recipe_comes_back_from_its_plain_data() -> None:
    original = recipe.load("sample")
    assert recipe.from_dict(recipe.to_dict(original), "manifest") == original


def test_digest_depends_on_values_and_not_on_the_order_of_keys() -> None:
    assert recipe.digest({"a": 1, "b": 2}) == recipe.digest({"b": 2, "a": 1})
    assert recipe.digest({"a": 1, "b": 2}) != recipe.digest({"a": 1, "b": 3})


def test_a_recipe_without_a_network_block_has_its_defaults() -> None:
    head, _, tail = SAMPLE.partition("[network]")
    assert recipe.parse((head + tail[tail.index("[") :]).encode(), "test") == recipe.load("sample")
    with pytest.raises(UserError, match=r"unknown key 'network.retries'; did you mean 'tries'"):
        recipe.parse(SAMPLE.replace("tries =", "retries =").encode(), "test")
    with pytest.raises(UserError, match=r"key 'network.requests_per_second'.*greater than 0"):
        recipe.parse(
            SAMPLE.replace("requests_per_second = 2.0", "requests_per_second = 0.0").encode(), "test"
        )
