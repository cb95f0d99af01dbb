"""Object stores on this machine, for tests that write to `s3://` and `gs://`."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator

import fsspec
import pytest

_buckets = itertools.count()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[dict[str, str]]:
    """A server that speaks S3; what the environment says of it."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    server.stop()


@pytest.fixture(scope="session")
def gs_server() -> Iterator[dict[str, str]]:
    """A server that speaks Google Cloud Storage's protocol; what the environment says of it."""
    from gcp_storage_emulator.server import create_server

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = create_server("127.0.0.1", port, in_memory=True)
    server.start()
    server._api._httpd.handle_error = lambda *args: None  # a client that was killed hung up
    yield {
        "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}",
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # asks Google itself about each bucket
    }
    server.stop()


def new_bucket(scheme: str, request: pytest.FixtureRequest) -> str:
    """The address of a new bucket, `s3://…` or `gs://…`; the environment says where until the test ends."""
    environment = request.getfixturevalue(f"{scheme}_server")
    patch = request.getfixturevalue("monkeypatch")
    for name, value in environment.items():
        patch.setenv(name, value)
    name = f"bucket-{next(_buckets)}"
    fsspec.filesystem(scheme, use_listings_cache=False).mkdir(name)
    return f"{scheme}://{name}"
