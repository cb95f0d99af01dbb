"""Flags of an engine: what the user gave, completed with where `make engines` puts its programs, and checked.

In: Beam's options as on the command line. Out: the same with the engine's own defaults; or an error that says
what is missing, before any work.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

from corpus import storage
from corpus.errors import UserError
from pipelines.engines import launch

_CONNECT_SECONDS = 5.0
# Of an engine: the flag for its address, the usual port, how an address looks.
_MASTERS = {
    "spark": ("--spark_master_url", 7077, "spark://HOST:7077"),
    "flink": ("--flink_master", 8081, "HOST:8081, or [local]"),
}
# Engines whose address stands for "in the job server itself".
_EMBEDDED = ("[local]", "[auto]")


def complete(runner: str, root: str, workers: int, args: Sequence[str]) -> list[str]:
    """The options of a run, checked.

    Args:
        runner: a key of `pipelines.runners.RUNNERS`, not `local`.
        root: folder or address that the run writes to.
        workers: as given by ``--workers``; 1 where it was not.
        args: Beam's options, as on the command line.

    Raises:
        UserError: an engine, a program or an address is not there, or options contradict each other.
    """
    chosen = [*args, *_workers(runner, workers)]
    if runner == "dataflow":
        return _dataflow(root, chosen)
    if address := _value(chosen, "--job_endpoint"):
        _reach(address, f"no job server answers at {address} (--job_endpoint)")
    elif runner == "prism":
        chosen += _program(chosen, "--prism_location", "prism", "Prism")
        return _launched(chosen, "--prism_location")
    else:
        chosen += _program(chosen, f"--{runner}_job_server_jar", f"{runner}-job-server.jar", runner.title())
        _cluster(runner, chosen)
        chosen = _launched([*chosen, *_java(chosen)], "--job_server_java_launcher")
    return [*chosen, *_environment(chosen)]


def _workers(runner: str, workers: int) -> list[str]:
    if workers == 1:
        return []
    if runner == "flink":
        # As many processes as tasks: a process makes one part at a time.
        return [f"--parallelism={workers}", f"--sdk_worker_parallelism={workers}"]
    own = {
        "spark": "the cluster's cores decide, and --sdk_worker_parallelism",
        "prism": "it works in one process",
        "dataflow": "--num_workers, --max_num_workers",
    }
    raise UserError(f"--workers is for this machine's processes; with --runner {runner}: {own[runner]}")


def _dataflow(root: str, args: list[str]) -> list[str]:
    if storage.is_local(root):
        raise UserError(
            f"--output {root}: Dataflow's workers cannot see it; give an address such as gs://BUCKET/DIR"
        )
    missing = [
        flag
        for flag in ("--project", "--region", "--temp_location", "--sdk_container_image")
        if not _value(args, flag)
    ]
    if missing:
        raise UserError(f"--runner dataflow needs {', '.join(missing)} (see README, Engines)")
    return args


def _program(args: list[str], flag: str, name: str, engine: str) -> list[str]:
    """The flag for a program that `make engines` made, unless the user has named one."""
    given = _value(args, flag)
    if given and "://" in given:
        return []
    path = given or os.path.join(sys.prefix, "engines", name)
    if not os.path.isfile(path):
        raise UserError(
            f"{flag} {path}: there is no such file"
            if given
            else f"{engine} has not been set up ({path} is missing): run `make engines`, or give {flag}"
        )
    return [] if given else [f"{flag}={path}"]


def _cluster(runner: str, args: list[str]) -> None:
    """Check that the engine itself answers, where it is not in the job server."""
    flag, port, example = _MASTERS[runner]
    master = _value(args, flag)
    if not master:
        raise UserError(f"--runner {runner} needs {flag}: {example}")
    if runner == "spark" and not master.startswith("spark://"):
        return  # local[N], yarn, k8s://…: Spark's own to check
    if master in _EMBEDDED:
        return
    hosts = master.removeprefix("spark://").split(",")  # Spark's may be several
    failures = [why for host in hosts if (why := _unreachable(host, port))]
    if len(failures) == len(hosts):
        raise UserError(f"no {runner.title()} master answers at {master} ({flag}): {'; '.join(failures)}")


def _java(args: list[str]) -> list[str]:
    java = _value(args, "--job_server_java_launcher") or "java"
    if not shutil.which(java):
        raise UserError(
            f"{java} is not there: the job server needs Java 17 (Debian's openjdk-17-jre-headless), or "
            "--job_server_java_launcher"
        )
    return [f"--job_server_java_launcher={java}"]


def _launched(args: list[str], flag: str) -> list[str]:
    """The options with a program started by `pipelines.engines.launch`, so that it ends with us."""
    program = _value(args, flag)
    if not program or "://" in program:
        return args
    os.environ[launch.PROGRAM] = shutil.which(program) or os.path.abspath(program)
    return [*_without(args, flag), f"{flag}={_script('llama-corpus-launch')}"]


def _environment(args: list[str]) -> list[str]:
    """Where workers run: as processes of ours on the engine's machines, unless the user says otherwise."""
    kind = _value(args, "--environment_type")
    config = _value(args, "--environment_config")
    if kind == "LOOPBACK":
        raise UserError(
            "--environment_type=LOOPBACK works in this process alone: give PROCESS, EXTERNAL or DOCKER"
        )
    if kind == "EXTERNAL" and not config and not _value(args, "--environment_options"):
        raise UserError("--environment_type=EXTERNAL needs --environment_config=HOST:PORT, of a worker pool")
    if kind:
        return []
    return [
        "--environment_type=PROCESS",
        "--environment_config=" + json.dumps({"command": _script("llama-corpus-worker")}),
    ]


def _script(name: str) -> str:
    """A console script of ours, in this environment."""
    path = os.path.join(sys.prefix, "bin", name)
    if not os.path.isfile(path):
        raise UserError(f"{path} is missing: install this project again (`make setup`)")
    return path


def _reach(address: str, message: str) -> None:
    if why := _unreachable(address, 0):
        raise UserError(f"{message}: {why}")


def _unreachable(address: str, port: int) -> str:
    """Why nothing answers at HOST[:PORT]; empty where something does."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        with socket.create_connection((parts.hostname or "", parts.port or port), _CONNECT_SECONDS):
            return ""
    except (OSError, ValueError) as error:
        return f"{address}: {error}"


def _value(args: Sequence[str], flag: str) -> str | None:
    """The last value given for a flag, as ``--flag=value`` or ``--flag value``."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(flag, dest="value")
    value: str | None = parser.parse_known_args(list(args))[0].value
    return value


def _without(args: Sequence[str], flag: str) -> list[str]:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(flag)
    return parser.parse_known_args(list(args))[1]
