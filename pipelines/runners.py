"""Which engine runs a graph, and with which options.

The local engine is Beam's FnApiRunner, named explicitly: the name DirectRunner would download another
runner and change engine with the features a graph uses.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

# While Beam is imported: keeps its SDK from warning about optional dependencies.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
warnings.filterwarnings("ignore", module=r"apache_beam|google|httplib2")
logging.disable(logging.WARNING)

import apache_beam as beam  # noqa: E402
from apache_beam.options.pipeline_options import PipelineOptions, TestOptions, _BeamArgumentParser  # noqa: E402
from apache_beam.runners.runner import PipelineState  # noqa: E402

from corpus import storage  # noqa: E402
from corpus.errors import UserError  # noqa: E402
from pipelines.engines import flags as flags_of  # noqa: E402
from pipelines.engines.on_worker import Driver, OnWorker  # noqa: E402
from pipelines.options import NothingRun  # noqa: E402

logging.disable(logging.NOTSET)

RUNNERS = {
    "local": "",
    "spark": "SparkRunner",
    "flink": "FlinkRunner",
    "prism": "PrismRunner",
    "dataflow": "DataflowRunner",
}
# How long an engine may take until a worker of it begins. Dataflow starts machines.
_BEGIN_SECONDS = {"spark": 180, "flink": 180, "prism": 60, "dataflow": 1_200}
_POLL_SECONDS = 1.0
_OWN_FLAGS = ("--runner", "--direct_running_mode", "--direct_num_workers")


def is_dry_run(runner: str, beam_args: list[str]) -> bool:
    """Whether the engine itself is asked not to run (Beam's ``--dry_run=True``; ours is ``--dry-run``).

    Raises:
        UserError: the engine would run all the same: Dataflow's alone knows the option.
    """
    asked = bool(PipelineOptions(beam_args).view_as(TestOptions).dry_run)
    if asked and runner != "dataflow":
        raise UserError("--dry_run is an option of Dataflow's: --dry-run says what would be done")
    return asked


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


def run(
    build: Callable[[beam.Pipeline, OnWorker], Any],
    root: str,
    runner: str,
    workers: int,
    beam_args: list[str],
) -> None:
    """Build a graph and run it to its end.

    Args:
        build: adds the graph to a pipeline; its work follows a step with the `OnWorker` that it is given.
        root: folder or address that the run writes to.
        runner: a key of `RUNNERS`.
        workers: local worker processes; 1 runs in this process.
        beam_args: further options of the engine, as on the command line.

    Raises:
        UserError: the engine, or a program of it, is not there, or has no free worker.
    """
    for name in ("apache_beam", "py4j"):
        # What fails is raised to us as well.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    driver = Driver.of(root)
    if runner == "local":
        pipeline, limit = _local(workers, beam_args), None
    else:
        flags = [f"--runner={RUNNERS[runner]}", *flags_of.complete(runner, root, workers, beam_args)]
        pipeline, limit = beam.Pipeline(options=PipelineOptions(flags)), _BEGIN_SECONDS[runner]
    build(pipeline, OnWorker(driver))
    if is_dry_run(runner, beam_args):
        planned: Any = pipeline.run()
        steps = planned.job.proto_pipeline.components.transforms
        raise NothingRun(f"the graph for {runner} is built and checked, {len(steps)} steps; nothing was run")
    driver.announce()
    try:
        result = pipeline.run()
        if limit:
            _await_worker(driver, result, limit)
        result.wait_until_finish()
        # What a worker that was killed, and replaced, was writing.
        storage.remove_temporary(root)
    finally:
        driver.leave()


def _await_worker(driver: Driver, result: Any, limit: int) -> None:
    """Wait until a worker has begun, or the job is over.

    Raises:
        UserError: none has within `limit` seconds: an engine without free workers waits for ever.
    """
    deadline = time.monotonic() + limit
    while not driver.answered() and not PipelineState.is_terminal(result.state):
        if time.monotonic() > deadline:
            result.cancel()
            raise UserError(
                f"the engine took the job, but no worker of it has begun in {limit} s: look whether it has "
                "free workers (cores and memory), and whether their logs say why ours does not start"
            )
        time.sleep(_POLL_SECONDS)


def _local(workers: int, beam_args: list[str]) -> beam.Pipeline:
    from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
    from apache_beam.transforms.environments import SubprocessSDKEnvironment

    environment = None
    if workers > 1:
        global served_workers
        served_workers = True
        # What direct_running_mode=multi_processing sets, with a worker of ours.
        command = f"{sys.executable} -m pipelines.worker"
        environment = SubprocessSDKEnvironment.from_command_string(command)
    flags = ["--direct_running_mode=in_memory", f"--direct_num_workers={workers}"]
    return beam.Pipeline(runner=FnApiRunner(environment), options=PipelineOptions([*flags, *beam_args]))


def _all_subclasses(cls: Any) -> set[Any]:
    direct = set(cls.__subclasses__())
    return direct.union(*map(_all_subclasses, direct))
