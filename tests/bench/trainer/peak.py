"""The memory of a step at its peak, in a process of its own, beside what the trainer says it needs."""

from __future__ import annotations

import gc
import json
import sys
from dataclasses import asdict
from pathlib import Path

import torch

from tests.bench.measure import process
from tests.bench.trainer.steps import Ours
from tests.bench.trainer.work import Work
from trainer.parallel import ranks
from trainer.presets import Shape

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak(work: Work, checkpointing: str, compiled: bool) -> int:
    """Bytes at the peak of a step of ours, without those of Python, libraries and the compiler."""
    values = asdict(work) | {"device": str(work.device)}
    given = json.dumps({"work": values, "checkpointing": checkpointing, "compiled": compiled})
    call = "import sys; from tests.bench.trainer.peak import main; main(sys.argv[1])"
    # Without it malloc raises its threshold by and by, and keeps blocks that were freed.
    fixed = "MALLOC_MMAP_THRESHOLD_=65536"
    return int(process(["env", fixed, sys.executable, "-c", call, given]).output)


def main(given: str) -> None:
    """Print the peak, in bytes."""
    values = json.loads(given)
    about = values.pop("work")
    device = torch.device(about.pop("device"))
    work = Work(shape=Shape(**about.pop("shape")), device=device, **about)
    with ranks(device.type):
        # The compiler's memory is no part of it: one layer makes it compile what all layers use.
        Ours(work.with_layers(1), **values).take()
        gc.collect()
        before = _resident("VmRSS")
        step = Ours(work, **values)
        step.take()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        else:
            _CLEAR.write_text("5")  # proc(5): the peak of the resident size begins anew
        step.take()
        print(
            torch.cuda.max_memory_allocated(device) if device.type == "cuda" else _resident("VmHWM") - before
        )


def _resident(name: str) -> int:
    status = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    return int(status[name].split()[0]) * 1_024
