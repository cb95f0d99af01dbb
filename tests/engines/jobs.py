"""The jobs whose outputs are compared between engines: two sources, then tokens and shards of both.

Each reads what the local runner has made before it, so that an engine that goes wrong is seen in each job.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from corpus import recipe
from tests.builds import as_toml
from tests.pipelines.conftest import COMMAND, ROOT, digests, llama_corpus
from tests.shared import DATA

JOBS = ("commoncrawl", "wikipedia", "tokens", "shards")
_WEIGHTS = {"commoncrawl": 0.6, "wikipedia": 0.4}


@dataclass(frozen=True)
class Chain:
    """All jobs, as the local runner does them with one worker.

    Attributes:
        root: a folder for each job, for the tokenizer, and the recipe.
        real: of the real data; else of the built-in samples.
    """

    root: Path
    real: bool

    def make(self) -> None:
        """Do all jobs with the local runner."""
        raw = recipe.to_dict(recipe.load("sample"))
        raw["mixture"] |= {"weights": _WEIGHTS, "tokens": 60_000, "shard_tokens": 8_192}
        (self.root / "recipe.toml").write_text(as_toml(raw))
        for job in JOBS[:2]:
            self.run(job, self.root / job)
        runs = [str(self.root / job) for job in JOBS[:2]]
        command = ["-m", "tokenizer", "train", *runs, "--recipe", str(self.root / "recipe.toml")]
        command += ["--output", str(self.root / "tokenizer")]
        subprocess.run([COMMAND[0], *command], cwd=ROOT, check=True, capture_output=True)
        for job in JOBS[2:]:
            self.run(job, self.root / job)

    def run(self, job: str, output: Path, flags: Sequence[str] = ()) -> None:
        """Do one job with an engine's flags; it reads what the jobs before it have left below `root`."""
        llama_corpus(*self._command(job), "--output", output, *flags)

    def _command(self, job: str) -> list[str]:
        if job == "tokens":
            runs = [str(self.root / source) for source in JOBS[:2]]
            model = str(self.root / "tokenizer" / "tokenizer.model")
            return ["tokenize", *runs, "--tokenizer", model, "--part-bytes", "20000"]
        if job == "shards":
            return ["mix", str(self.root / "tokens"), "--recipe", str(self.root / "recipe.toml")]
        source = ["crawl-filter"] if job == "commoncrawl" else ["build", job]
        return [*source, *(["--input", str(DATA / job)] if self.real else [])]


def digest(run: Path) -> str:
    """One SHA-256 of the names and digests of all files of a run that must be the same everywhere."""
    lines = [f"{sha256}  {name}\n" for name, sha256 in digests(run).items()]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
