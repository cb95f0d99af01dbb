"""Start a program that ends with the process that started it, be that killed: `llama-corpus-launch`.

In: the program in ``LLAMA_CORPUS_LAUNCH``, its arguments. Beam starts job servers (Java, Prism) as processes
of their own, which would go on alone, and go on writing, when the command that submitted a job is killed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PROGRAM = "LLAMA_CORPUS_LAUNCH"
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent() -> None:
    """Ask the kernel to kill this process when the thread that started it is gone (Linux)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")


def main() -> None:
    """Become the program."""
    die_with_parent()
    os.execvp(os.environ[PROGRAM], [os.environ[PROGRAM], *sys.argv[1:]])


if __name__ == "__main__":
    main()
