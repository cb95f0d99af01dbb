"""A local worker process: Beam's own, less what its SDK logs below an error.

`python -m pipelines.worker` is what `pipelines.runners` starts for each of ``--workers``.
"""

from __future__ import annotations

import logging
import sys

if __name__ == "__main__":
    logging.disable(logging.WARNING)
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)
