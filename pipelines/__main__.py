"""The command line: `llama-corpus`, one subcommand a stage."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
from typing import NoReturn

from corpus.errors import CorruptPartError, UserError
from pipelines import build, compare, crawl, cross, inspect, plan, report, tokens, train, verify
from pipelines.options import NothingRun

_DESCRIPTION = "Makes the pre-training corpus of LLaMA, stage by stage; each can be stopped and resumed."


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand; returns the exit status: 0 done, 1 failed, 2 asked wrongly, 130 interrupted."""
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("corpus").setLevel(logging.INFO)
    parser = argparse.ArgumentParser(prog="llama-corpus", description=_DESCRIPTION)
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (crawl, build, cross, tokens, train, verify, inspect, compare, report, plan):
        module.add_parsers(subparsers)
    args, beam_args = parser.parse_known_args(argv)
    try:
        return int(args.run(args, beam_args))
    except UserError as error:
        print(f"llama-corpus: {_without_step(error)}", file=sys.stderr)
        return 2
    except CorruptPartError as error:
        print(f"llama-corpus: {_without_step(error)}", file=sys.stderr)
        return 1
    except NothingRun as ended:
        print(f"llama-corpus: {ended}")
        return 0
    except BrokenPipeError:
        # The reader of our output (head, less) has gone; keep Python from complaining when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("\nllama-corpus: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    except Exception as error:
        return _failed(error)


def _without_step(error: object) -> str:
    """A message as it was raised, without the name of the step that an engine adds."""
    return str(error).split(" [while running", 1)[0]


def _failed(error: Exception) -> int:
    """An error inside an engine comes wrapped: show ours as such, the rest with its whole trace."""
    text = str(error)
    for ours in (UserError, CorruptPartError):
        name = f"{ours.__module__}.{ours.__name__}: "
        if name in text:
            message = _without_step(text.split(name, 1)[1]).split("\n", 1)[0]
            print(f"llama-corpus: {message}", file=sys.stderr)
            return 1
    from pipelines.engines import messages

    if meaning := messages.explain(text):
        print(
            f"llama-corpus: {meaning}; finished parts are kept, the same command goes on from there",
            file=sys.stderr,
        )
        return 1
    traceback.print_exc()
    print(
        f"llama-corpus: failed ({type(error).__name__}); finished parts are kept, the same command goes on "
        "from there",
        file=sys.stderr,
    )
    return 1


def command() -> NoReturn:
    """The console script: run a subcommand, and exit.

    With worker processes Beam has served them by gRPC, whose threads sometimes abort the exit of the
    interpreter ("terminate called without an active exception", Beam 2.77 on a busy machine) after all is
    written: then nothing is left to the interpreter.
    """
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    if getattr(sys.modules.get("pipelines.runners"), "served_workers", False):
        os._exit(status)
    sys.exit(status)


if __name__ == "__main__":
    command()
