"""A worker process: Beam's own, less what its SDK logs below an error.

`python -m pipelines.worker` is what `pipelines.runners` starts for each of ``--workers``. As
`llama-corpus-worker` it is what an engine starts in a process environment, with the addresses of Beam's
container contract as arguments; there it asks the engine first for what the SDK wants in its environment.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys

_ENGINE_SECONDS = 60  # to answer a worker it has just started


def main() -> None:
    """Work until the engine has nothing more."""
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--id")
    parser.add_argument("--provision_endpoint")
    args, _ = parser.parse_known_args()
    if args.provision_endpoint:
        os.environ |= _provision(args.id, args.provision_endpoint)
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)


def _provision(worker: str, address: str) -> dict[str, str]:
    """What the engine tells a worker of a job, as the SDK reads it from the environment."""
    import grpc
    from apache_beam.portability.api import beam_provision_api_pb2 as messages
    from apache_beam.portability.api import beam_provision_api_pb2_grpc as services
    from google.protobuf import json_format

    with grpc.insecure_channel(address) as channel:
        service = services.ProvisionServiceStub(channel)
        request = messages.GetProvisionInfoRequest()
        about = [("worker_id", worker)]
        info = service.GetProvisionInfo(request, timeout=_ENGINE_SECONDS, metadata=about).info
    return {
        "WORKER_ID": worker,
        "LOGGING_API_SERVICE_DESCRIPTOR": str(info.logging_endpoint),
        "CONTROL_API_SERVICE_DESCRIPTOR": str(info.control_endpoint),
        "PIPELINE_OPTIONS": json.dumps(json_format.MessageToDict(info.pipeline_options)),
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
    }


if __name__ == "__main__":
    main()
