"""A Spark cluster whose workers cannot do the work: an error that says what to do, not a hang."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines import runners
from tests.engines.spark_cluster import SparkCluster, free_port
from tests.pipelines.across import call
from tests.pipelines.conftest import COMMAND, ROOT, llama_corpus

pytestmark = pytest.mark.spark


@pytest.fixture
def pool_of(cluster: SparkCluster) -> Iterator[Callable[[str], None]]:
    """Starts the pool anew with a Python, until the test ends."""

    def start(python: str) -> None:
        cluster.kill("pool")
        cluster.start_pool(python)

    yield start
    cluster.kill("pool")


def python_at(folder: Path, command: str) -> str:
    """A `python` in a folder, which is the command."""
    folder.mkdir()
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    script.chmod(0o755)
    return str(script)


def fails(output: Path, *flags: str) -> str:
    """What the run's user is told, in one line after the progress."""
    done = llama_corpus("crawl-filter", "--output", output, *flags, status=1)
    assert not (output / "manifest.json").exists()
    last = done.stderr.splitlines()[-1]
    assert last.startswith("llama-corpus: "), done.stderr
    return last


def test_workers_without_the_package(
    cluster: SparkCluster, pool_of: Callable[[str], None], tmp_path: Path
) -> None:
    # The modules of this environment, without what the project's installation adds to them.
    modules = sysconfig.get_paths()["purelib"]
    command = shlex.join(["env", f"PYTHONPATH={modules}", os.path.realpath(sys.executable)])
    pool_of(python_at(tmp_path / "bin", command))
    message = fails(tmp_path / "run", *cluster.pool_flags)
    assert "a worker cannot import" in message
    assert "install this project" in message


def test_a_master_without_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(runners._BEGIN_SECONDS, "spark", 5)
    with SparkCluster.start(tmp_path / "spark", workers=0) as cluster:
        done = call("crawl-filter", "--output", tmp_path / "run", *cluster.flags, status=2)
    assert "no worker of it has begun in 5 s: look whether it has free workers" in done.stderr


@pytest.mark.slow
def test_workers_of_another_version(
    cluster: SparkCluster, pool_of: Callable[[str], None], tmp_path: Path
) -> None:
    about = tmp_path / "modules" / "xxhash-0.0.1.dist-info" / "METADATA"
    about.parent.mkdir(parents=True)
    about.write_text("Metadata-Version: 2.1\nName: xxhash\nVersion: 0.0.1\n")
    command = shlex.join(["env", f"PYTHONPATH={tmp_path / 'modules'}", sys.executable])
    pool_of(python_at(tmp_path / "bin", command))
    message = fails(tmp_path / "run", *cluster.pool_flags)
    assert "is not set up as this command: xxhash 0.0.1 (the command: " in message


@pytest.mark.slow
def test_no_pool_at_the_address(cluster: SparkCluster, tmp_path: Path) -> None:
    address = f"--environment_config=localhost:{free_port()}"
    message = fails(tmp_path / "run", *cluster.flags, "--environment_type=EXTERNAL", address)
    assert "no worker pool answers at the address of --environment_config" in message


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("/nowhere/worker", "install this project there at the same path"),
        ("false", "ended at once (exit code 1)"),
    ],
)
def test_workers_that_do_not_start(cluster: SparkCluster, tmp_path: Path, command: str, told: str) -> None:
    config = f"--environment_config={json.dumps({'command': command})}"
    assert told in fails(tmp_path / "run", *cluster.flags, "--environment_type=PROCESS", config)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_an_output_that_the_workers_cannot_see(cluster: SparkCluster, tmp_path: Path) -> None:
    """The driver alone has another file system where the output goes."""
    mount = tmp_path / "mount"
    mount.mkdir()
    script = 'mount -t tmpfs none "$0" && exec "$@"'
    args = ["crawl-filter", "--output", str(mount / "run"), *cluster.flags]
    command = ["unshare", "--mount", "sh", "-c", script, str(mount), *COMMAND, *args]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    told = done.stderr.splitlines()[-1]
    assert f"does not see the output {mount / 'run'}: give a folder that all machines share" in told
