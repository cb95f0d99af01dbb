"""`python -m trainer`: train a LLaMA on token shards."""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
from pathlib import Path
from tempfile import TemporaryFile

from tokenizer.reader import Corpus, Reader
from tokenizer.shards import ShardError
from trainer import memory, presets
from trainer.checkpoint.durable import write_bytes
from trainer.console import Console
from trainer.data import check_files, open_corpus
from trainer.errors import TrainerError
from trainer.evaluate.held_out import held_out
from trainer.evaluate.scores import table, unigram
from trainer.export.models import TOKENIZER
from trainer.metrics.flops import flops_attention
from trainer.parallel import CHECKPOINTING, Ranks, ranks
from trainer.presets import Preset
from trainer.recipe import PRECISIONS, Options, Recipe, resolve
from trainer.run import CHECKPOINTS, Run
from trainer.train import CURVE, METRICS, train

_EPILOG = """examples:
  python -m trainer --data runs/sample/shards --preset tiny --output runs/sample/model
  python -m trainer --data shards --preset 60m --tokens 100000000 --warmup-steps 50 --output runs/60m
  torchrun --nproc-per-node 8 -m trainer --data shards --preset 7b --output runs/7b --checkpointing selective

The same command goes on from the last checkpoint, whatever ended it before, on any number of devices; on as
many as before the losses are the same, bit for bit. Ctrl-C and SIGTERM end it after the step under way.
What comes after: python -m trainer.evaluate, .generate, .export, .harness, .plot, each with --help."""


def main(argv: list[str] | None = None) -> int:
    """Train; returns the exit status: 0 done or stopped, 1 failed on the way, 2 asked wrongly."""
    args = _parser().parse_args(argv)
    try:
        with ranks(args.device, deterministic=args.deterministic) as here:
            return _run(args, here)
    except (TrainerError, ShardError) as error:
        print(f"trainer: {error}", file=sys.stderr)
        return 2


def _run(args: argparse.Namespace, here: Ranks) -> int:
    preset, corpus = _preset(args), open_corpus(args.data)
    options = _options(args, preset)
    recipe = resolve(
        preset,
        corpus,
        tokens=args.tokens or preset.tokens,
        seed=args.seed,
        within_documents=args.within_documents,
        explosion=args.explosion,
        start=options.start,
    )
    if args.dry_run:
        if here.first:
            print(_plan(recipe, options, here))
        return 0
    if here.first:
        for part in (corpus, *held_out(corpus).values()):
            check_files(part)
            if args.verify:
                Reader([part], recipe.length, recipe.seed).verify()
        _prepare(corpus, options)
    here.wait()
    run = Run(recipe, options, here)
    console, begun = Console(silent=not here.first), run.progress.step
    try:
        scores = train(run, corpus, console)
    except (TrainerError, ShardError) as error:
        print(f"trainer: {error}", file=sys.stderr)
        return 2 if run.progress.step == begun else 1
    if here.first:
        if scores:
            texts = held_out(corpus)
            print(
                table(scores, unigram(corpus, texts, vocab=recipe.shape.vocab, limit=options.evaluate_tokens))
            )
        print(f"{args.output}: {METRICS}, {CURVE}, checkpoints")
    return 0


def _plan(recipe: Recipe, options: Options, here: Ranks) -> str:
    """What a run would be, a line a fact."""
    tokens = recipe.batch * recipe.length
    lines = {
        **{key: value for key, value in dataclasses.asdict(recipe).items() if key != "shape"},
        **dataclasses.asdict(recipe.shape),
        "parameters": f"{recipe.shape.parameters:,}",
        "tokens": f"{recipe.steps * tokens:,} in {recipe.steps:,} batches of {tokens:,}",
        "FLOPs": f"{flops_attention(recipe.shape, recipe.length) * recipe.steps * tokens:.3g}",
        "memory": f"about {memory.needed(recipe, options, here.world) / 1e9:.1f} GB on each of {here.world} "
        f"devices, which have {memory.available(here) / 1e9:.1f} GB",
        "output": options.output,
    }
    return "\n".join(f"{key:<18}{value}" for key, value in lines.items())


def _prepare(corpus: Corpus, options: Options) -> None:
    """Make the run's folder, with the shards' tokenizer in it for what is made of the run."""
    model, path = corpus.tokenizer(), options.output / TOKENIZER
    try:
        (options.output / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=options.output).close()
        if model is not None and not path.exists():
            write_bytes(path, model)
    except OSError as error:
        raise TrainerError(
            f"{options.output} cannot be written to ({error.strerror}): see to its rights and space, or give "
            "another --output"
        ) from error
    if options.prompts and not path.exists():
        raise TrainerError(f"{corpus.root} holds no {TOKENIZER}, which --prompt needs: run `mix` again")


def _preset(args: argparse.Namespace) -> Preset:
    """The preset, with what the command line says otherwise."""
    preset = presets.load(args.preset)
    fields = ("length", "learning_rate", "warmup_steps", "batch_tokens", "precision")
    changes = {name: value for name in fields if (value := getattr(args, name)) is not None}
    return dataclasses.replace(preset, **changes)


def _options(args: argparse.Namespace, preset: Preset) -> Options:
    names = {field.name for field in dataclasses.fields(Options)} - {"micro_batch"}
    given = {name: value for name in names if (value := getattr(args, name)) is not None}
    return Options(micro_batch=args.micro_batch or preset.micro_batch, **given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainer",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--data", required=True, metavar="SHARDS", help="corpus of `llama-corpus mix`, or its s3:// or gs://")
    add("--output", required=True, type=Path, metavar="DIR", help="of metrics, curve and checkpoints")
    add("--preset", required=True, metavar="NAME", help=f"size: {', '.join(presets.names())}")

    group = parser.add_argument_group("the recipe: what decides the losses; the preset's unless given")
    add = group.add_argument
    add("--tokens", type=_positive, metavar="N", help="to train on; whole batches of them")
    add("--batch-tokens", type=_positive, metavar="N", help="of a global batch")
    add("--length", type=_positive, metavar="N", help="tokens of a sequence")
    add("--learning-rate", type=_above_zero, metavar="RATE", help="its peak")
    add("--warmup-steps", type=int, metavar="N", help="over which the rate grows")
    add("--precision", choices=PRECISIONS, help="of what is computed")
    add("--seed", type=int, default=0, metavar="N", help="of first weights and order (default: 0)")
    add(
        "--within-documents",
        action="store_true",
        help="attention stays within a document (the paper's does not)",
    )
    add(
        "--explosion",
        type=_above_zero,
        default=10.0,
        metavar="X",
        help="leave out steps whose gradient is X times the usual one (default: 10)",
    )
    add("--from", dest="start", type=Path, metavar="DIR", help="first weights: a Hugging Face folder")

    group = parser.add_argument_group("options: what only decides speed and what is written")
    add = group.add_argument
    add("--micro-batch", type=_positive, metavar="N", help="sequences a device takes at a time")
    add(
        "--checkpointing",
        choices=CHECKPOINTING,
        help="of activations: selective keeps what products and attention give, full only what blocks are "
        "given (default: none)",
    )
    add("--compiled", action=argparse.BooleanOptionalAction, help="compile the blocks (default: yes)")
    add(
        "--deterministic",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="only kernels that give the same bits each time (default: yes)",
    )
    add("--device", choices=("cpu", "cuda"), help="default: a GPU where there is one")
    add(
        "--checkpoint-every",
        type=_positive,
        metavar="STEPS",
        help="default: a tenth of the run, at most 1,000",
    )
    add("--keep", type=_positive, metavar="N", help="checkpoints (default: 2)")
    add(
        "--evaluate-every", type=_positive, metavar="STEPS", help="default: a tenth of the run, at most 1,000"
    )
    add(
        "--evaluate-tokens",
        type=_positive,
        metavar="N",
        help="held-out tokens of each source (default: 32,768)",
    )
    add(
        "--prompt",
        dest="prompts",
        action="append",
        metavar="TEXT",
        help="continue it at each evaluation; may be repeated",
    )
    add("--stop-after", type=_positive, metavar="STEP", help="stop there, as if asked to; the schedule stays")
    add("--verify", action="store_true", help="hash every shard before training")
    add("--dry-run", action="store_true", help="print what would be trained, and the memory it needs")
    add("--watts", type=_above_zero, help="of a device, instead of measuring")
    add("--pue", type=float, help="power usage effectiveness (default: 1.1, as in the paper)")
    add("--kg-per-kwh", type=float, metavar="KG", help="CO2eq of energy (default: 0.385, as in the paper)")
    return parser


def _above_zero(text: str) -> float:
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be above 0, not {text}")
    return number


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {text}")
    return number


if __name__ == "__main__":
    sys.exit(main())
