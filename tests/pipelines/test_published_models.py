"""Published models by address: told, fetched once, put by hand; stand-ins from a local server."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from corpus import assets, recipe
from corpus.cache import CACHE_VARIABLE
from corpus.sample import CRAWL
from tests.corpus.web_server import Site, serve
from tests.pipelines.conftest import ROOT, llama_corpus

MODELS = CRAWL.parent / "models"
NAMES = ("en.sp.model", "en.arpa.bin")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The site of the published models, and a cache of its own."""
    identifier = assets.fetch("lid.176.ftz", recipe.load("sample").assets["lid.176.ftz"])
    files = {
        "lid.176.bin": Path(identifier).read_bytes(),
        "en.sp.model": (MODELS / "en.sp.model").read_bytes(),
        "en.arpa.bin": (MODELS / "en.binary").read_bytes(),
    }
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    with serve(files) as site:
        yield site


def sha256(site: Site, name: str) -> str:
    return hashlib.sha256(site.files[name]).hexdigest()


def write_recipe(path: Path, site: Site, known: tuple[str, ...] = ()) -> Path:
    """The recipe llama1 with this site's addresses and the checksum of lid.176.bin, and of those known."""
    text = (ROOT / "corpus/recipes/llama1.toml").read_text()
    text = re.sub(r"https://dl\.fbaipublicfiles\.com/\S*/", f"{site.address}/", text)
    text = re.sub(r'(lid\.176\.bin"\nsha256 = )"\w+"', rf'\1"{sha256(site, "lid.176.bin")}"', text)
    for name in known:
        address = f'url = "{site.address}/{name}"\n'
        assert text.count(address) == 1
        text = text.replace(address, address + f'sha256 = "{sha256(site, name)}"\n')
    text = text.replace("requests_per_second = 2.0", "requests_per_second = 100.0")
    text = text.replace("tries = 8", "tries = 2")
    path.write_text(text)
    return path


def arguments(tmp_path: Path, recipe_file: Path) -> list[str]:
    paths = ["--input", str(CRAWL), "--output", str(tmp_path / "run"), "--recipe", str(recipe_file)]
    return ["crawl-filter", *paths, "--without", "reference"]


def test_the_first_run_stops_and_tells_the_hashes_with_which_the_second_goes(
    site: Site, tmp_path: Path
) -> None:
    done = llama_corpus(*arguments(tmp_path, write_recipe(tmp_path / "first.toml", site)), status=2)
    for name in NAMES:
        told = f"{site.address}/{name}. The file that came has sha256 {sha256(site, name)}"
        assert told in done.stderr
        assert f'set assets."{name}".sha256 to it' in done.stderr
    assert not (tmp_path / "run").exists()
    llama_corpus(*arguments(tmp_path, write_recipe(tmp_path / "second.toml", site, NAMES)))
    assert "everything as written" in llama_corpus("verify", tmp_path / "run").stdout
    assert sorted(path for _, path, _ in site.requests) == ["/en.arpa.bin", "/en.sp.model", "/lid.176.bin"]


def test_another_file_than_the_one_that_was_told_is_refused(site: Site, tmp_path: Path) -> None:
    path = write_recipe(tmp_path / "second.toml", site, NAMES)
    site.files["en.sp.model"] += b" "
    done = llama_corpus(*arguments(tmp_path, path), status=2)
    before = hashlib.sha256(site.files["en.sp.model"][:-1]).hexdigest()
    assert f"en.sp.model is not the expected file: sha256 expected {before}" in done.stderr
    assert not (tmp_path / "run").exists()


def test_without_a_connection_all_are_named_with_the_places_to_put_them(site: Site, tmp_path: Path) -> None:
    path = write_recipe(tmp_path / "recipe.toml", site, NAMES)
    path.write_text(path.read_text().replace(site.address, "http://127.0.0.1:9"))
    done = llama_corpus(*arguments(tmp_path, path), status=2)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()
    for name in ("lid.176.bin", *NAMES):
        place = tmp_path / "cache" / "assets" / sha256(site, name) / name
        assert f"cannot fetch http://127.0.0.1:9/{name}" in done.stderr
        assert f"put the file by hand at {place} " in done.stderr
        place.write_bytes(site.files[name])
    llama_corpus(*arguments(tmp_path, path))
    shutil.rmtree(tmp_path / "run")
    assert site.requests == []
