"""What engines say when a job fails, and what the user is told of it."""

from __future__ import annotations

import pytest

from pipelines.engines.messages import explain

_FAILED = "Pipeline BeamApp-user-1125222227-6f217b1b_8750ad81 failed in state FAILED: "
_NO_POOL = """org.apache.spark.SparkException: Job aborted due to stage failure: Task 1 in stage 0.0
\tat org.apache.beam.runners.fnexecution.environment.ExternalEnvironmentFactory.createEnvironment(E.java:113)
Caused by: java.net.ConnectException: finishConnect(..) failed: Connection refused"""
_NO_PACKAGE = """java.lang.RuntimeException: Error received from SDK harness for instruction 1: Traceback
ModuleNotFoundError: No module named 'corpus' [while running 'Splits/Map(decode)']"""

# As Beam 2.77 raises them for its Spark job server 2.62.
SAID = {
    _NO_POOL: "no worker pool answers at the address of --environment_config",
    _NO_PACKAGE: "a worker cannot import corpus: install this project",
    "ModuleNotFoundError: No module named 'numba'": "a worker cannot import numba: install what this project",
    "java.io.IOException: error=2, No such file or directory": "install this project there at the same path",
    "java.lang.IllegalStateException: Process died with exit code 1": "ended at once (exit code 1)",
    "java.lang.IllegalStateException: Cannot call methods on a stopped SparkContext.": "Spark master did not",
}


@pytest.mark.parametrize("said", SAID)
def test_what_an_engine_says_is_told_in_the_users_terms(said: str) -> None:
    meaning = explain(_FAILED + said)
    assert meaning is not None
    assert SAID[said] in meaning


@pytest.mark.parametrize("said", SAID)
def test_an_error_of_our_own_process_is_not_taken_for_an_engines(said: str) -> None:
    assert explain(said) is None


def test_what_is_not_known_is_left_to_be_read() -> None:
    assert explain(_FAILED + "java.lang.OutOfMemoryError: Java heap space") is None
