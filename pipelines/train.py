"""`train-lm`, `train-classifier`, `calibrate`: models and cut-offs of one's own, on this machine.

In: text files, or the output of a crawl-filter run. Out: models and tables that a recipe's `assets`
can name. No engine is used: a training that must repeat has one thread.
"""

from __future__ import annotations

import argparse
from typing import Any, get_args

from corpus.assets import file_sha256
from corpus.errors import UserError
from corpus.recipe import Encoding
from corpus.storage import FileInfo, find
from corpus.training.cited_urls import Match
from corpus.training.classifier import ClassifierSettings, train_classifier
from corpus.training.cutoffs import measure_cutoffs, write_cutoffs
from corpus.training.language_model import LanguageModelSettings, train_language_model
from corpus.training.selection import SelectionRule

_LM_EXAMPLES = """examples:
  # CCNet's settings, on the opening text of Wikipedia's articles, one a line
  llama-corpus train-lm --input enwiki-*.txt.gz --language en --output models

  # a small file from little text
  llama-corpus train-lm --input essays.txt --language en --output models --vocab-size 3000 --binary trie
"""
_CALIBRATE_EXAMPLES = """examples:
  llama-corpus calibrate --run runs/2019-18 --output cutoffs.csv

  # a demonstration: percentiles of a few hundred pages
  llama-corpus calibrate --run runs/sample --output cutoffs.csv --min-documents 20
"""
_CLASSIFIER_EXAMPLES = """examples:
  llama-corpus train-classifier --run runs/2019-18 --cited enwiki-references.txt.gz --output models

  # a small model from few pages: every page of a cited host counts as cited
  llama-corpus train-classifier --run runs/sample --cited references.txt --match host --output models \\
      --min-chars 300 --length-classes 1 --min-count 1 --dim 16 --epochs 25 --held-out 0.2
"""


def add_parsers(subparsers: Any) -> None:
    """Add the three subcommands; each parser sets `run(args, beam_args) -> int`."""
    _add_train_lm(subparsers)
    _add_calibrate(subparsers)
    _add_train_classifier(subparsers)


def _add_train_lm(subparsers: Any) -> None:
    parser = _parser(
        subparsers, "train-lm", "train a language's perplexity model (SentencePiece and KenLM)", _LM_EXAMPLES
    )
    default = LanguageModelSettings()
    parser.add_argument("--input", nargs="+", required=True, help="text files or globs, one document a line")
    parser.add_argument("--language", required=True, help="code that names the files, such as en")
    parser.add_argument(
        "--output", required=True, help="folder for LANG.sp.model, LANG.binary and a manifest"
    )
    _option(parser, "--vocab-size", default.vocab_size, "SentencePiece pieces")
    _option(parser, "--character-coverage", default.character_coverage, "share of characters in the pieces")
    _option(parser, "--order", default.order, "longest n-gram, at most 6")
    _option(parser, "--max-documents", default.max_documents, "lines read")
    parser.add_argument(
        "--binary",
        choices=("probing", "trie"),
        default=default.binary,
        help="probing is fast, trie small (default: %(default)s)",
    )
    parser.add_argument(
        "--encoding",
        choices=get_args(Encoding),
        default=default.encoding,
        help="SentencePiece reads each word by itself, or the whole text as CCNet's models; the recipe must "
        "say the same (default: %(default)s)",
    )
    _option(parser, "--memory", "1G", "what lmplz may sort in")
    parser.set_defaults(run=run_train_lm)


def _add_calibrate(subparsers: Any) -> None:
    parser = _parser(
        subparsers, "calibrate", "measure perplexity cut-offs on a crawl-filter run", _CALIBRATE_EXAMPLES
    )
    parser.add_argument("--run", dest="run_folder", required=True, help="output of crawl-filter")
    parser.add_argument("--output", required=True, help="CSV file: a row a percentile, a column a language")
    _option(parser, "--max-documents", 1_000_000, "documents a language, sampled by id")
    _option(parser, "--min-documents", 1_000, "fewer in a language are an error")
    parser.set_defaults(run=run_calibrate)


def _add_train_classifier(subparsers: Any) -> None:
    parser = _parser(
        subparsers,
        "train-classifier",
        "train the classifier of pages that Wikipedia cites against random pages",
        _CLASSIFIER_EXAMPLES,
    )
    default = ClassifierSettings()
    parser.add_argument("--run", dest="run_folder", required=True, help="output of crawl-filter")
    parser.add_argument("--cited", required=True, help="cited URLs, one a line; may be compressed")
    parser.add_argument("--output", required=True, help="folder for the model and its manifest")
    parser.add_argument(
        "--language", default=default.pages.language, help="pages used (default: %(default)s)"
    )
    parser.add_argument(
        "--match",
        choices=get_args(Match),
        default=default.match,
        help="a page is cited if its URL is, or if any page of its host is (default: %(default)s)",
    )
    _option(parser, "--min-chars", default.pages.min_chars, "shorter pages are not used")
    _option(parser, "--max-pages", default.pages.max_pages, "pages of each class")
    _option(parser, "--length-classes", default.pages.length_classes, "classes to each doubling of length")
    _option(parser, "--held-out", default.held_out, "share of pages for the AUC")
    _option(parser, "--dim", default.dim, "size of a word's vector")
    _option(parser, "--epochs", default.epochs, "passes over the pages")
    _option(parser, "--learning-rate", default.learning_rate, "fastText's lr")
    _option(parser, "--min-count", default.min_count, "rarer words are not used")
    _option(parser, "--seed", default.seed, "of fastText's random start")
    parser.add_argument("--quantize", action="store_true", help="compress the model")
    parser.set_defaults(run=run_train_classifier)


def run_train_lm(args: argparse.Namespace, beam_args: list[str]) -> int:
    """Subcommand `train-lm`."""
    _no_engine(beam_args)
    settings = LanguageModelSettings(
        vocab_size=args.vocab_size,
        character_coverage=args.character_coverage,
        order=args.order,
        max_documents=args.max_documents,
        binary=args.binary,
        encoding=args.encoding,
    )
    inputs = [info.path for pattern in args.input for info in _found(pattern)]
    manifest = train_language_model(inputs, args.language, args.output, settings, args.memory)
    sizes = ", ".join(f"{f['name']} ({f['bytes']:,} bytes)" for f in manifest["outputs"])
    print(f"{manifest['documents']:,} documents, {manifest['pieces']:,} pieces -> {args.output}: {sizes}")
    return 0


def run_calibrate(args: argparse.Namespace, beam_args: list[str]) -> int:
    """Subcommand `calibrate`."""
    _no_engine(beam_args)
    cutoffs = measure_cutoffs(args.run_folder, args.max_documents, args.min_documents)
    write_cutoffs(args.output, cutoffs)
    for language, column in cutoffs.items():
        print(f"{language}: 30 % below {column[30]:.1f}, 60 % below {column[60]:.1f}")
    print(f"-> {args.output} (sha256 {file_sha256(args.output)})")
    return 0


def run_train_classifier(args: argparse.Namespace, beam_args: list[str]) -> int:
    """Subcommand `train-classifier`."""
    _no_engine(beam_args)
    settings = ClassifierSettings(
        pages=SelectionRule(
            language=args.language,
            min_chars=args.min_chars,
            max_pages=args.max_pages,
            length_classes=args.length_classes,
        ),
        match=args.match,
        held_out=args.held_out,
        dim=args.dim,
        epochs=args.epochs,
        learning_rate=args.learning_rate,
        min_count=args.min_count,
        seed=args.seed,
        quantize=args.quantize,
    )
    manifest = train_classifier(args.run_folder, args.cited, args.output, settings)
    pages, model = manifest["pages"], manifest["output"]
    print(
        f"{pages['of_each_class']:,} pages of each class (found: {pages['cited_found']:,} cited, "
        f"{pages['random_found']:,} others), AUC {manifest['auc']:.4f} on "
        f"{pages['held_out_of_each_class']:,} held out of each"
    )
    print(f"-> {args.output}/{model['name']} ({model['bytes']:,} bytes, sha256 {model['sha256']})")
    return 0


def _parser(subparsers: Any, name: str, summary: str, examples: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def _option(parser: argparse.ArgumentParser, name: str, default: int | float | str, text: str) -> None:
    parser.add_argument(name, type=type(default), default=default, help=f"{text} (default: %(default)s)")


def _no_engine(beam_args: list[str]) -> None:
    """Other subcommands hand unknown options to the engine; here there is none to take them."""
    if beam_args:
        raise UserError(f"unknown options: {' '.join(beam_args)}")


def _found(pattern: str) -> list[FileInfo]:
    files = find(pattern)
    if not files:
        raise UserError(f"--input {pattern}: no such file")
    return files
