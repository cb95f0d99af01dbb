"""A language model of realistic size for the benchmark, and a recipe that uses it.

Trained once on all the English encyclopaedia and book text of the development data (not on the pages that it
scores), and kept in the cache directory; without that data the sample's small model is used.
"""

from __future__ import annotations

import bz2
import hashlib
import html
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from corpus import recipe
from corpus.cache import cache_directory
from corpus.training.language_model import LanguageModelSettings, train_language_model
from tests.shared import DATA

_SETTINGS = LanguageModelSettings(vocab_size=32_000)
_MARKUP = re.compile(r"(?s)<!--.*?-->|<ref[^>]*/>|<ref.*?</ref>|\{\|.*?\|\}|<[^>]+>")
_TEMPLATE = re.compile(r"\{\{[^{}]*\}\}")
_LINK = re.compile(r"\[\[(?:[^\]|]*\|)?([^\]]*)\]\]")
_PARAGRAPHS_PER_DOCUMENT = 8


def language_model() -> tuple[str, str]:
    """Paths of the SentencePiece and KenLM files."""
    sources = sorted(DATA.glob("books/*/*.txt")) + sorted(DATA.glob("wikipedia/enwiki-latest*.bz2"))
    if not sources:
        models = resources.files("corpus.sample") / "models"
        return str(models / "en.sp.model"), str(models / "en.binary")
    names = "\n".join(f"{p.name} {p.stat().st_size} {_SETTINGS}" for p in sources)
    folder = cache_directory() / "bench" / hashlib.sha256(names.encode()).hexdigest()[:16]
    if not (folder / "en.manifest.json").is_file():
        print("training the benchmark's language model (once; some minutes) …", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        text = folder / "text.txt"
        with text.open("w", encoding="utf-8") as out:
            out.writelines(f"{document}\n" for path in sources for document in _documents(path))
        train_language_model([str(text)], "en", str(folder), _SETTINGS)
        text.unlink()
    return str(folder / "en.sp.model"), str(folder / "en.binary")


def _documents(path: Path) -> Iterator[str]:
    """Documents of a file, one line each, roughly freed of markup."""
    if path.suffix == ".bz2":
        dump = bz2.decompress(path.read_bytes()).decode("utf-8")
        for page in re.findall(r"(?s)<text[^>]*>(.*?)</text>", dump):
            text = html.unescape(page)
            for _ in range(4):  # templates stand in templates
                text = _TEMPLATE.sub("", text)
            yield " ".join(_LINK.sub(r"\1", _MARKUP.sub("", text)).replace("'''", "").split())
        return
    text = path.read_bytes().decode("utf-8", "replace")
    paragraphs = [" ".join(p.split()) for p in re.split(r"\r?\n\r?\n", text)]
    for start in range(0, len(paragraphs), _PARAGRAPHS_PER_DOCUMENT):
        yield " ".join(paragraphs[start : start + _PARAGRAPHS_PER_DOCUMENT])


def write_recipe(path: Path, encoding: str) -> recipe.Recipe:
    """Write the sample's recipe with English alone and the realistic model; returns it as loaded."""
    sentencepiece, kenlm = language_model()
    if (
        encoding == "text"
    ):  # costs what a published model costs; that it was trained otherwise does not matter
        sentencepiece, kenlm = (_without_manifest(Path(file), path.parent) for file in (sentencepiece, kenlm))
    sample = (resources.files("corpus") / "recipes" / "sample.toml").read_text()
    text = re.sub(r"(?s)\[commoncrawl\.perplexity\].*?(?=\[commoncrawl\.reference\])", "", sample)
    text = re.sub(r'(?s)\[assets\."(en|fr)\..*?\n\n', "", text)
    text = re.sub(r"(?s)\[assets\.cutoffs\].*?\n\n", "", text)
    text = text.replace('keep = ["en", "fr"]', 'keep = ["en"]')
    text += f"""
[commoncrawl.perplexity.models.en]
sentencepiece = "bench.sp.model"
kenlm = "bench.binary"
encoding = "{encoding}"
head = 400.0
middle = 1000.0

[assets."bench.sp.model"]
url = "{sentencepiece}"

[assets."bench.binary"]
url = "{kenlm}"
"""
    path.write_text(text)
    return recipe.load(str(path))


def _without_manifest(model: Path, folder: Path) -> str:
    """The same file where no manifest tells how it was trained."""
    link = folder / model.name
    link.symlink_to(model)
    return str(link)
