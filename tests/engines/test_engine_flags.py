"""An engine that is not there is an error before any work: the command ends with 2 and writes nothing."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engines.spark_cluster import free_port
from tests.pipelines.across import call


@pytest.fixture
def jar(tmp_path: Path) -> Path:
    """Stands for a job server, which is not started here."""
    path = tmp_path / "job-server.jar"
    path.touch()
    return path


@pytest.fixture
def listener() -> Iterator[str]:
    """The address of something that takes connections, as a master would."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def refused(output: Path, *flags: Any) -> str:
    done = call("crawl-filter", "--output", output, *flags, status=2)
    assert not output.exists()
    assert done.stderr.startswith("llama-corpus: ")
    assert len(done.stderr.splitlines()) == 1
    return done.stderr


def test_a_master_must_be_given(tmp_path: Path, jar: Path) -> None:
    for engine, flag in (("spark", "--spark_master_url"), ("flink", "--flink_master")):
        message = refused(tmp_path / "run", "--runner", engine, f"--{engine}_job_server_jar={jar}")
        assert f"--runner {engine} needs {flag}" in message


def test_no_master_answers(tmp_path: Path, jar: Path) -> None:
    spark = f"spark://127.0.0.1:{free_port()}"
    flags = ["--runner", "spark", f"--spark_job_server_jar={jar}", f"--spark_master_url={spark}"]
    assert f"no Spark master answers at {spark}" in refused(tmp_path / "run", *flags)
    flink = f"127.0.0.1:{free_port()}"
    flags = ["--runner", "flink", f"--flink_job_server_jar={jar}", f"--flink_master={flink}"]
    assert f"no Flink master answers at {flink}" in refused(tmp_path / "run", *flags)


def test_one_of_several_masters_is_enough(
    tmp_path: Path, jar: Path, listener: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # the next check: Java
    flags = ["--runner", "spark", f"--spark_job_server_jar={jar}"]
    masters = f"--spark_master_url=spark://127.0.0.1:{free_port()},{listener}"
    assert "java is not there" in refused(tmp_path / "run", *flags, masters)


def test_no_job_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = ["--runner", "spark", "--spark_master_url=local"]
    message = refused(tmp_path / "run", *flags, f"--spark_job_server_jar={tmp_path}/none.jar")
    assert f"--spark_job_server_jar {tmp_path}/none.jar: there is no such file" in message
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert "run `make engines`" in refused(tmp_path / "run", *flags)
    assert "run `make engines`" in refused(tmp_path / "run", "--runner", "prism")


def test_no_job_server_at_the_address(tmp_path: Path) -> None:
    address = f"localhost:{free_port()}"
    flags = ["--runner", "spark", f"--job_endpoint={address}"]
    assert f"no job server answers at {address}" in refused(tmp_path / "run", *flags)


def test_no_java(tmp_path: Path, jar: Path, listener: str, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = ["--runner", "spark", f"--spark_job_server_jar={jar}", f"--spark_master_url=spark://{listener}"]
    other = refused(tmp_path / "run", *flags, "--job_server_java_launcher=/opt/java99")
    assert "/opt/java99 is not there" in other
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "java is not there: the job server needs Java 17" in refused(tmp_path / "run", *flags)


def test_workers_that_cannot_be(tmp_path: Path, jar: Path, listener: str) -> None:
    flags = ["--runner", "spark", f"--spark_job_server_jar={jar}", f"--spark_master_url=spark://{listener}"]
    flags.append(f"--job_server_java_launcher={sys.executable}")  # any program: it is not run
    assert "LOOPBACK works in this process alone" in refused(
        tmp_path / "run", *flags, "--environment_type=LOOPBACK"
    )
    assert "EXTERNAL needs --environment_config" in refused(
        tmp_path / "run", *flags, "--environment_type=EXTERNAL"
    )
    assert "--workers is for this machine's processes" in refused(tmp_path / "run", *flags, "--workers", "2")
