"""C4's rules, line by line (Raffel et al. 2020; `corpus.kernels.rules_c4`).

In: columns `text`, `language`, `lid_v1_score`. Out: null where the language is not kept, else int64 columns:

| column | what it counts |
|---|---|
| `c4_v1_characters` | code points of the page |
| `c4_v1_lines` | its lines; each is in one of the next eight |
| `c4_v1_long_word`, `…_no_end_mark`, `…_few_words`, `…_javascript`, `…_policy` | lines that C4 drops |
| `c4_v1_lorem_ipsum`, `c4_v1_curly_bracket` | lines for which C4 drops the page |
| `c4_v1_kept_lines` | lines that stay |
| `c4_v1_bad_words` | of these, lines with a bad word, for which C4 drops the page; null without a list |
| `c4_v1_sentences_by_marks` | sentences of the kept lines, see below |
| `c4_v1_sentences` | the same as Punkt counts them, line by line, which is C4's way; null unless asked for |

By marks, a sentence ends at a word that ends in a full stop, question or exclamation mark, closing quotation
marks and brackets passed over, and at the end of a line: about what the docstring of `clean_page` calls "a
simple count of end marks". Abbreviations count too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa

from corpus.annotate.columns import kept_language, scatter
from corpus.annotate.sentences import SentenceCounter, count_by_line, open_punkt, untrained_punkt
from corpus.errors import UserError
from corpus.kernels.rules_c4 import LineRules, c4_clean, c4_counts
from corpus.kernels.rules_c4_search import BAD_WORDS, Patterns, patterns
from corpus.kernels.rules_text import NEWLINE, SPLITLINES
from corpus.recipe import Language
from corpus.rules import C4Rules

# In the order of the kernel's columns.
_NAMES = (
    "characters", "lines", "long_word", "no_end_mark", "few_words", "lorem_ipsum", "javascript",
    "curly_bracket", "policy", "kept_lines", "bad_words", "sentences_by_marks",
)  # fmt: skip


class C4Annotator:
    """Counts what C4's rules would do to each page; the text stays as it is."""

    fields = tuple(pa.field(f"c4_v1_{name}", pa.int64()) for name in (*_NAMES, "sentences"))

    def __init__(
        self,
        settings: C4Rules,
        bad_words: list[str],
        language: Language,
        sentences: SentenceCounter | None = None,
    ) -> None:
        self._sentences = sentences
        self._language = language
        self._rules = LineRules(
            line_mode=SPLITLINES if settings.lines == "splitlines" else NEWLINE,
            end_marks=settings.end_marks,
            min_words=settings.line_min_words,
            words_before_edit=settings.line_words == "original",
            max_word=settings.line_max_word,
        )
        self._patterns: Patterns = patterns(bad_words)
        self._has_list = bool(bad_words)

    def annotate(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """The columns, aligned with the batch's rows."""
        rows = kept_language(batch, self._language)
        text = batch.column("text").take(rows)
        if self._sentences is None:
            counts, found = c4_counts(text, self._patterns, self._rules), None
        else:
            counts, kept = c4_clean(text, self._patterns, self._rules)
            found = [count_by_line(self._sentences, lines) for lines in kept.to_pylist()]
        columns = [scatter(pa.array(column), rows, len(batch)) for column in counts.T]
        if not self._has_list:
            columns[BAD_WORDS] = pa.nulls(len(batch), pa.int64())
        if found is None:
            return [*columns, pa.nulls(len(batch), pa.int64())]
        return [*columns, scatter(pa.array(found, pa.int64()), rows, len(batch))]


def open_annotator(settings: C4Rules, paths: Mapping[str, str], language: Language) -> C4Annotator:
    """The annotator of a recipe block, its list of bad words and its Punkt model read.

    Args:
        settings: the recipe's C4 block.
        paths: local file of each asset.
        language: the recipe's language block: what is not kept is not looked at.

    Raises:
        UserError: the list holds something that cannot be looked for; the model is none.
    """
    words: list[str] = []
    if settings.bad_words:
        lines = Path(paths[settings.bad_words]).read_text("utf-8").split("\n")
        words = [word for word in map(str.strip, lines) if word]
    counters: dict[str, Callable[[], SentenceCounter | None]] = {
        "marks": lambda: None,
        "punkt": lambda: open_punkt(paths[settings.punkt], "english").count,
        "untrained-punkt": lambda: untrained_punkt().count,
    }
    try:
        return C4Annotator(settings, words, language, counters[settings.sentences]())
    except ValueError as error:
        raise UserError(f"asset {settings.bad_words}: {error}") from error
