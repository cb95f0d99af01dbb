"""Which engine runs a graph, and with which options.

The local engine is Beam's FnApiRunner, named explicitly: the name DirectRunner would download another
runner and change engine with the features a graph uses.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

# While Beam is imported: keeps its SDK from warning about optional dependencies.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
warnings.filterwarnings("ignore", module=r"apache_beam|google|httplib2")
logging.disable(logging.WARNING)

import apache_beam as beam  # noqa: E402
from apache_beam.options.pipeline_options import PipelineOptions, _BeamArgumentParser  # noqa: E402

from corpus.errors import UserError  # noqa: E402

logging.disable(logging.NOTSET)

RUNNERS = {
    "local": "",
    "spark": "SparkRunner",
    "flink": "FlinkRunner",
    "prism": "PrismRunner",
    "dataflow": "DataflowRunner",
}
_OWN_FLAGS = ("--runner", "--direct_running_mode", "--direct_num_workers")


def check_beam_options(args: list[str]) -> None:
    """Refuse options that neither we nor Beam know, and the ones that would break a run.

    Raises:
        UserError: naming the options.
    """
    parser = _BeamArgumentParser(add_help=False, allow_abbrev=False)
    for cls in sorted(_all_subclasses(PipelineOptions), key=lambda c: str(c.__name__)):
        # Some option classes repeat a flag of another; the first definition serves the check.
        try:
            cls._add_argparse_args(parser)
        except argparse.ArgumentError as error:
            if "conflicting option" not in str(error):
                raise
    _, unknown = parser.parse_known_args(args)
    if unknown:
        raise UserError(f"unknown option: {' '.join(unknown)} (see --help; other options must be Beam's)")
    if any("multi_threading" in a for a in args):
        raise UserError(
            "--direct_running_mode=multi_threading loses rows (measured with Beam 2.77): use --workers N, "
            "which runs N processes"
        )
    owned = [a for a in args if a.split("=")[0] in _OWN_FLAGS]
    if owned:
        raise UserError(f"{' '.join(owned)}: give --runner and --workers of this command instead")


# Whether worker processes of this machine were served: see `pipelines.__main__.command`.
served_workers = False


def run(build: Callable[[beam.Pipeline], Any], runner: str, workers: int, beam_args: list[str]) -> None:
    """Build a graph and run it to its end.

    Args:
        build: adds the graph to a pipeline.
        runner: a key of `RUNNERS`.
        workers: local worker processes; 1 runs in this process.
        beam_args: further options of the engine, as on the command line.
    """
    for name in ("apache_beam", "py4j"):
        # What fails is raised to us as well.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    global served_workers
    if runner == "local":
        from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
        from apache_beam.transforms.environments import SubprocessSDKEnvironment

        environment = None
        if workers > 1:
            served_workers = True
            # What direct_running_mode=multi_processing sets, with a worker of ours.
            command = f"{sys.executable} -m pipelines.worker"
            environment = SubprocessSDKEnvironment.from_command_string(command)
        flags = ["--direct_running_mode=in_memory", f"--direct_num_workers={workers}"]
        options = PipelineOptions([*flags, *beam_args])
        pipeline = beam.Pipeline(runner=FnApiRunner(environment), options=options)
    else:
        options = PipelineOptions([f"--runner={RUNNERS[runner]}", *beam_args])
        pipeline = beam.Pipeline(options=options)
    build(pipeline)
    pipeline.run().wait_until_finish()


def _all_subclasses(cls: Any) -> set[Any]:
    direct = set(cls.__subclasses__())
    return direct.union(*map(_all_subclasses, direct))
