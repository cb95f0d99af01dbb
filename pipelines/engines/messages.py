"""What an engine says when a job fails, in the user's terms.

In: the text of an engine's error, often a Java trace. Out: what is wrong and what to do, or None where the
trace itself must be read.
"""

from __future__ import annotations

import re

# First match counts: (what stands in the engine's text, what it means). `{}` is the pattern's group.
_MEANINGS = (
    (
        r"ModuleNotFoundError: No module named '((?:corpus|pipelines|tokenizer)[\w.]*)'",
        "a worker cannot import {}: install this project, of this version, in the Python that its worker "
        "runs (of a worker pool: the first `python` in its PATH)",
    ),
    (
        r"ModuleNotFoundError: No module named '([\w.]+)'",
        "a worker cannot import {}: install what this project requires in the Python that its worker runs",
    ),
    (
        r"ExternalEnvironmentFactory(?s:.*)(?:UNAVAILABLE|Connection refused)",
        "no worker pool answers at the address of --environment_config on a machine of the cluster: start "
        "one there (python -m apache_beam.runners.worker.worker_pool_main --service_port PORT)",
    ),
    (
        r"java\.io\.IOException: error=2, No such file or directory",
        "a machine of the cluster cannot find the worker's command: install this project there at the same "
        "path, or say with --environment_type and --environment_config how workers start",
    ),
    (
        r"Process died with exit code (\d+)",
        "the worker process ended at once (exit code {}) on a machine of the cluster: run its command, "
        "llama-corpus-worker, by hand there to see why",
    ),
    (
        r"Cannot call methods on a stopped SparkContext",
        "the Spark master did not take the job: look at its log, and whether it is of the job server's Spark "
        "version (3.5.9, if `make engines` made it)",
    ),
    (
        r"InvalidClassException: ([\w.$]+)",
        "the engine and the job server are of different versions ({}): build the job server for the engine's "
        "(pipelines/engines/pom.xml)",
    ),
)


def explain(text: str) -> str | None:
    """What an engine's error means; None where we do not know, or it is no engine's."""
    if "failed in state" not in text:  # as Beam says of jobs that it has handed over
        return None
    for pattern, meaning in _MEANINGS:
        if found := re.search(pattern, text):
            return meaning.format(*found.groups())
    return None
