"""A real standalone Spark cluster on this machine: a master, two workers, a pool of Python workers.

    with SparkCluster.start(folder) as cluster:
        run("llama-corpus", …, *cluster.flags)

Each is a process (and group) of its own, killed with this process however that ends. All that they write lies
below the folder: logs, work folders, shuffles. ``python -m tests.engines.spark_cluster`` starts one, prints
the flags to use, and stops it at Ctrl-C.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import requests

from pipelines.engines.launch import die_with_parent

WORKERS = 2
_SECONDS = 120.0
_HOST = "127.0.0.1"
_POOL = "apache_beam.runners.worker.worker_pool_main"


@dataclass
class SparkCluster:
    """A running cluster.

    Attributes:
        folder: where everything is written.
        workers: how many Spark workers it has.
        master: its address.
        page: the address of its page.
        pool: the address of the pool of Python workers.
        options: added to the flags of every run.
        processes: by name, `master`, `worker1` …, `pool`; each leads a process group.
    """

    folder: Path
    workers: int
    master: str = ""
    page: str = ""
    pool: str = ""
    options: Sequence[str] = ()
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @classmethod
    @contextlib.contextmanager
    def start(
        cls, folder: Path, workers: int = WORKERS, options: Sequence[str] = ()
    ) -> Iterator[SparkCluster]:
        """Start a cluster below a folder, and stop it in the end."""
        cluster = cls(folder, workers, options=options)
        try:
            cluster._start_master()
            cluster.repair()
            yield cluster
        finally:
            for name in list(cluster.processes):
                cluster.kill(name)

    @property
    def flags(self) -> list[str]:
        """Options of `llama-corpus` that run it here, where the executors start the Python workers."""
        return ["--runner", "spark", "--spark_master_url", self.master, *self.options]

    @property
    def pool_flags(self) -> list[str]:
        """The same with the Python workers of the pool."""
        return [*self.flags, "--environment_type=EXTERNAL", f"--environment_config={self.pool}"]

    def start_worker(self, number: int) -> None:
        """Start a Spark worker of one core."""
        args = ["--host", _HOST, "--cores", "1", "--memory", "1g", "--webui-port", "0"]
        work = self.folder / f"worker{number}"
        spark = ["deploy.worker.Worker", *args, "--work-dir", str(work), self.master]
        self._start(f"worker{number}", _spark(spark), SPARK_LOCAL_DIRS=str(work))

    def start_pool(self, python: str = sys.executable) -> None:
        """Start the pool, at the address that it had before."""
        port = int(self.pool.split(":")[1]) if self.pool else free_port()
        # The pool calls whatever Python is first in the path.
        path = f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}"
        self._start("pool", [python, "-m", _POOL, f"--service_port={port}"], PATH=path)
        self.pool = f"localhost:{port}"
        self._wait("pool", lambda: _listens(port))

    def repair(self) -> None:
        """Start again what was killed."""
        for number in range(1, self.workers + 1):
            if f"worker{number}" not in self.processes:
                self.start_worker(number)
        self.wait_for_workers(self.workers)
        if "pool" not in self.processes:
            self.start_pool()

    def kill(self, name: str) -> None:
        """Kill a process and all that it has started (kill -9)."""
        process = self.processes.pop(name)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def alive(self) -> int:
        """How many Spark workers the master knows to be there."""
        with contextlib.suppress(requests.RequestException):
            return int(requests.get(f"{self.page}/json/", timeout=5).json()["aliveworkers"])
        return 0

    def wait_for_workers(self, count: int) -> None:
        """Wait until that many have registered with the master."""
        self._wait("master", lambda: self.alive() >= count)

    def _start_master(self) -> None:
        port, page = free_port(), free_port()
        args = ["--host", _HOST, "--port", str(port), "--webui-port", str(page)]
        self._start("master", _spark(["deploy.master.Master", *args]))
        self.master, self.page = f"spark://{_HOST}:{port}", f"http://{_HOST}:{page}"
        self._wait("master", lambda: _listens(port))

    def _start(self, name: str, command: Sequence[str], **environment: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**os.environ, **_SMALL, **environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    def _wait(self, name: str, ready: Callable[[], bool]) -> None:
        end = time.monotonic() + _SECONDS
        while not ready():
            ended = [n for n, process in self.processes.items() if process.poll() is not None]
            if ended or time.monotonic() > end:
                which = ended[0] if ended else name
                log = (self.folder / f"{which}.log").read_text(errors="replace")
                problem = "has ended" if ended else f"is not ready after {_SECONDS:.0f} s"
                raise RuntimeError(f"{which} of the Spark cluster {problem}:\n{log[-2000:]}")
            time.sleep(0.05)


# Daemons that do little, on a machine that has other things to do.
_LITTLE_JAVA = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_SMALL: Mapping[str, str] = {
    "SPARK_LOCAL_IP": _HOST,
    "SPARK_DAEMON_MEMORY": "256m",
    "SPARK_DAEMON_JAVA_OPTS": " ".join(_LITTLE_JAVA),
}
# The same for the driver and the executors of a run, of which tests want seconds, not throughput.
SHORT_RUNS = tuple(
    f"--job_server_jvm_property={option}"
    for option in (*_LITTLE_JAVA, f"-Dspark.executor.extraJavaOptions={' '.join(_LITTLE_JAVA)}")
)


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as free:
        free.bind((_HOST, 0))
        return int(free.getsockname()[1])


def _spark(args: Sequence[str]) -> list[str]:
    import pyspark

    home = Path(pyspark.__file__).parent
    return [str(home / "bin" / "spark-class"), f"org.apache.spark.{args[0]}", *args[1:]]


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((_HOST, port)) == 0


def _main() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="spark-cluster-") as folder,
        SparkCluster.start(Path(folder)) as cluster,
    ):
        print(f"A Spark cluster (page {cluster.page}, logs in {folder}) until Ctrl-C. Flags of llama-corpus:")
        print(" ".join(cluster.flags))
        print(
            f"and, for the Python workers of its pool: {' '.join(cluster.pool_flags[len(cluster.flags) :])}",
            flush=True,
        )
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    _main()
