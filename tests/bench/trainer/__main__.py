"""`python -m tests.bench.trainer`: the trainer beside `transformers`, and beside what its device can do.

A step is forward, backward, clipping and AdamW on one batch of random tokens, in fp32, and in bf16 with fp32
parameters; both models have the same weights and SDPA, and their losses and gradients are compared before
they are timed. They take turns, and figures are medians; seconds are by the clock. *Products alone*: what the
matrix products of forward and backward cost with nothing between them. MFU is by 6 × all parameters, and as
PaLM counts: with attention, without the embedding.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
from importlib.metadata import version
from pathlib import Path

import torch

from tests.bench.trainer import tables
from tests.bench.trainer.work import Work
from trainer import presets
from trainer.parallel import ranks
from trainer.recipe import PRECISIONS

_PRESETS = {"cpu": ["tiny", "60m"], "cuda": ["tiny", "60m", "160m", "1b", "7b"]}
# The memory of tiny is that of kernels and batches.
_MEMORY_PRESETS = {"cpu": ["60m"], "cuda": ["60m", "160m", "1b", "7b"]}
_LOADER_PRESET = {"cpu": "tiny", "cuda": "160m"}
_PIECES, _TINY_PIECES = 32_000, 2_000  # tiny is for the sample, whose tokenizer is small
_CPU_TOKENS = 1_024  # of a batch, that a step takes seconds
_PARTS = ("steps", "memory", "loader")


def main(argv: list[str] | None = None) -> None:
    """Measure, and print a table after the other."""
    args = _parser().parse_args(argv)
    with ranks(args.device, deterministic=args.deterministic) as here:
        device = here.device
        print(
            f"torch {torch.__version__}, transformers {version('transformers')}, {_name(device)}, "
            f"{torch.get_num_threads()} threads"
        )
        if "steps" in args.parts:
            for name in args.presets or _PRESETS[device.type]:
                for precision in args.precisions:
                    work = _work(args, name, precision, device)
                    tables.print_steps(work, args.steps, args.modes, args.deterministic)
        if "memory" in args.parts:
            for name in args.presets or _MEMORY_PRESETS[device.type]:
                usual = presets.load(name).precision
                precision = usual if usual in args.precisions else args.precisions[0]
                work = _work(args, name, precision, device)
                tables.print_memory(work, args.steps, "compiled" in args.modes)
        if "loader" in args.parts:
            preset = presets.load(args.loader_preset or _LOADER_PRESET[device.type])
            with tempfile.TemporaryDirectory(prefix="llama-corpus-bench-") as folder:
                tables.print_loader(args.data, Path(folder), preset, args.loader_steps, device)


def _work(args: argparse.Namespace, name: str, precision: str, device: torch.device) -> Work:
    preset = presets.load(name)
    length = args.length or preset.length
    rows = args.rows or (preset.micro_batch if device.type == "cuda" else max(1, _CPU_TOKENS // length))
    shape = preset.shape(args.vocab or (_TINY_PIECES if name == "tiny" else _PIECES))
    work = Work(name, shape, rows, length, precision, device)
    return work.with_layers(args.layers) if args.layers else work


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((x.split(": ")[1] for x in lines if x.startswith("model name")), platform.machine())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.trainer",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--device", choices=("cpu", "cuda"), help="default: a GPU where there is one")
    add("--parts", nargs="+", choices=_PARTS, default=_PARTS, help="what to measure (default: all)")
    add("--presets", nargs="+", choices=presets.names(), metavar="NAME", help="default: tiny 60m; GPU: to 7b")
    add("--precisions", nargs="+", choices=PRECISIONS, default=list(PRECISIONS), help="default: both")
    add("--modes", nargs="+", choices=tables.MODES, default=tables.MODES, help="default: both")
    add("--rows", type=int, help=f"sequences of a batch (default: {_CPU_TOKENS:,} tokens; GPU: the preset's)")
    add("--length", type=int, help="tokens of a sequence (default: the preset's)")
    add("--layers", type=int, help="default: the preset's, or as many as fit")
    add("--vocab", type=int, help=f"pieces (default: {_PIECES:,}; tiny {_TINY_PIECES:,})")
    add("--steps", type=int, default=3, help="timed, of each contender (default: 3)")
    add(
        "--deterministic",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="ours with the kernels that give the same bits each time, as the trainer has it (default: yes)",
    )
    add("--data", help="shards for the loader (default: made here)")
    add("--loader-preset", choices=presets.names(), metavar="NAME", help="default: tiny; GPU: 160m")
    add("--loader-steps", type=int, default=40, help="of the run that waits are read of (default: 40)")
    return parser


if __name__ == "__main__":
    main()
