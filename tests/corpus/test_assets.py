"""Model files: addresses, checksums, the cache, and downloads from a server that misbehaves."""

from __future__ import annotations

import hashlib
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from corpus import assets, web
from corpus.cache import CACHE_VARIABLE, cache_directory
from corpus.errors import UserError
from corpus.recipe import Asset, Network
from corpus.web import clients

CONTENT = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT; `script` says how each request in turn goes wrong, `requests` what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[str] = []
        self.requests: list[str | None] = []
        self.content = CONTENT

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/model.bin"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append(self.headers["Range"])
        fault = self.server.script.pop(0) if self.server.script else "none"
        if fault.isdigit():
            self.send_response(int(fault))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = 0
        if self.headers["Range"] and fault != "no ranges":
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        body = self.server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{start + len(body)}")
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if fault == "break" else body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(
        clients, "_client", web.Client(Network(requests_per_second=1e6), lambda seconds: None)
    )
    return tmp_path / "cache"


def asset(url: str, sha256: str = SHA256) -> Asset:
    return Asset(url=url, sha256=sha256)


def test_download_lands_in_the_cache_and_is_not_repeated(server: Server, cache: Path) -> None:
    path = assets.fetch("model", asset(server.url))
    assert Path(path).read_bytes() == CONTENT
    assert Path(path).is_relative_to(cache)
    assert assets.fetch("model", asset(server.url)) == path
    assert server.requests == [None]


def test_a_busy_server_is_asked_again(server: Server) -> None:
    server.script = ["503", "503"]
    assert Path(assets.fetch("model", asset(server.url))).read_bytes() == CONTENT
    assert len(server.requests) == 3


def test_a_download_that_breaks_goes_on_where_it_stopped(server: Server) -> None:
    server.script = ["break", "break"]
    assert Path(assets.fetch("model", asset(server.url))).read_bytes() == CONTENT
    half, quarter = len(CONTENT) // 2, len(CONTENT) // 4
    assert server.requests == [None, f"bytes={half}-", f"bytes={half + quarter}-"]


def test_a_server_without_ranges_starts_over(server: Server) -> None:
    server.script = ["break", "no ranges"]
    assert Path(assets.fetch("model", asset(server.url))).read_bytes() == CONTENT


def test_a_download_of_an_earlier_process_is_resumed(server: Server, cache: Path) -> None:
    partial = cache / "assets" / SHA256 / "model.bin.partial"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(CONTENT[:1000])
    assert Path(assets.fetch("model", asset(server.url))).read_bytes() == CONTENT
    assert server.requests == ["bytes=1000-"]


def test_the_rest_of_another_file_is_fetched_again_from_zero(server: Server, cache: Path) -> None:
    partial = cache / "assets" / SHA256 / "model.bin.partial"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"another file's beginning")
    assert Path(assets.fetch("model", asset(server.url))).read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_wrong_content_is_an_error_and_leaves_nothing(server: Server, cache: Path) -> None:
    server.content = b"<html>moved</html>"
    found = hashlib.sha256(server.content).hexdigest()
    with pytest.raises(UserError, match=f"model.bin.*expected {SHA256}, got {found}"):
        assets.fetch("model", asset(server.url))
    assert [p for p in cache.rglob("model.bin*") if p.suffix != ".lock"] == []


def test_a_refusal_says_what_was_tried_and_where_to_put_the_file(server: Server, cache: Path) -> None:
    server.script = ["404"]
    with pytest.raises(UserError) as error:
        assets.fetch("model", asset(server.url))
    assert "404" in str(error.value)
    assert server.url in str(error.value)
    by_hand = cache / "assets" / SHA256 / "model.bin"
    assert str(by_hand) in str(error.value)
    by_hand.write_bytes(CONTENT)
    assert assets.fetch("model", asset(server.url)) == str(by_hand)


def test_no_connection_is_a_user_error() -> None:
    with pytest.raises(UserError, match="cannot fetch"):
        assets.fetch("model", asset("http://127.0.0.1:9/model.bin"))


def test_a_damaged_file_in_the_cache_is_named(server: Server) -> None:
    path = Path(assets.fetch("model", asset(server.url)))
    path.write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"expected .*, got .*delete it"):
        assets.fetch("model", asset(server.url))


def test_a_remote_file_without_checksum_is_told_its_checksum_once(server: Server) -> None:
    with pytest.raises(UserError, match=f"sha256 {SHA256}.*set assets.model.sha256"):
        assets.fetch("model", asset(server.url, ""))
    assets.fetch("model", asset(server.url))
    assert len(server.requests) == 1


def test_a_checksum_that_was_told_is_told_again_without_a_request(server: Server, cache: Path) -> None:
    for _ in range(2):
        with pytest.raises(UserError, match=f"sha256 {SHA256}"):
            assets.fetch("model", asset(server.url, ""))
    assert len(server.requests) == 1
    (cache / "assets" / SHA256 / "model.bin").unlink()
    with pytest.raises(UserError, match=f"sha256 {SHA256}"):
        assets.fetch("model", asset(server.url, ""))
    assert len(server.requests) == 2


def test_a_checksum_is_never_told_of_two_versions_joined(server: Server, cache: Path) -> None:
    address = hashlib.sha256(server.url.encode()).hexdigest()
    partial = cache / "assets" / address / "model.bin.partial"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"another version's beginning")
    with pytest.raises(UserError, match=f"sha256 {SHA256}"):
        assets.fetch("model", asset(server.url, ""))


def test_without_a_checksum_the_place_to_put_a_file_by_hand_has_its_own(cache: Path) -> None:
    with pytest.raises(UserError) as error:
        assets.fetch("en.sp.model", asset("http://127.0.0.1:9/en.sp.model", ""))
    message = str(error.value)
    assert str(cache / "assets" / "SHA256" / "en.sp.model") in message
    assert 'its SHA256 as assets."en.sp.model".sha256 in the recipe' in message
    (by_hand := cache / "assets" / SHA256 / "en.sp.model").parent.mkdir(parents=True)
    by_hand.write_bytes(CONTENT)
    assert assets.fetch("en.sp.model", asset("http://127.0.0.1:9/en.sp.model")) == str(by_hand)


def test_many_at_once_share_one_download(server: Server) -> None:
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: assets.fetch("model", asset(server.url)), range(8)))
    assert len(set(paths)) == 1
    assert Path(paths[0]).read_bytes() == CONTENT
    assert server.requests == [None]


def test_a_local_file_is_used_where_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "own.bin"
    path.write_bytes(CONTENT)
    own = asset(str(path), "")
    assert assets.fetch("own", own) == str(path)
    assert assets.identity("own", own) == SHA256
    with pytest.raises(UserError, match=f"own.bin.*expected {'0' * 64}, got {SHA256}"):
        assets.fetch("own", asset(str(path), "0" * 64))


def test_identity_follows_a_local_file_that_changes(tmp_path: Path) -> None:
    path = tmp_path / "own.bin"
    path.write_bytes(b"one")
    first = assets.identity("own", asset(str(path), ""))
    path.write_bytes(b"other")
    assert assets.identity("own", asset(str(path), "")) == hashlib.sha256(b"other").hexdigest() != first


def test_sample_addresses_are_files_of_the_package() -> None:
    path = assets.fetch("en", Asset(url="sample:texts/encyclopaedia/en.txt"))
    assert Path(path).read_text(encoding="utf-8")


def test_a_file_is_taken_out_of_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = tmp_path / "lid_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("lid_model/model.bin", CONTENT)
        archive.writestr(
            "lid_model-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: lid-model\nVersion: 1.0\n"
        )
        archive.writestr("lid_model-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("lid_model-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    url = "pypi:lid-model==1.0/lid_model/model.bin"
    assert Path(assets.fetch("lid", asset(url))).read_bytes() == CONTENT
    with pytest.raises(UserError, match=r"holds no lid_model/other.bin"):
        assets.fetch("lid", asset("pypi:lid-model==1.0/lid_model/other.bin", "1" * 64))
    with pytest.raises(UserError, match=r"tried pip download.*lid-model==2\.0"):
        assets.fetch("lid", asset("pypi:lid-model==2.0/lid_model/model.bin", "2" * 64))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "set assets.model.url.*llama-corpus train-classifier"),
        ("/no/such/file", "there is no file /no/such/file"),
        ("sample:no/such/file", "there is no file"),
        ("ftp://example.org/x", "use https://"),
        ("pypi:project/without/version", "the form is pypi:"),
    ],
)
def test_addresses_that_lead_nowhere(url: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        assets.fetch("model", asset(url))


def test_preflight_fetches_all_or_names_all_that_are_missing(tmp_path: Path) -> None:
    (tmp_path / "own.bin").write_bytes(CONTENT)
    table = {
        "own": asset(str(tmp_path / "own.bin")),
        "gone": asset(str(tmp_path / "gone.bin")),
        "reference": Asset(),
        "unused": Asset(),
    }
    assert assets.preflight(table, ["own", "own"]) == {"own": str(tmp_path / "own.bin")}
    with pytest.raises(UserError) as error:
        assets.preflight(table, ["own", "gone", "reference", "unknown"])
    message = str(error.value)
    assert all(name in message for name in ("'gone'", "'reference'", "'unknown'", "train-classifier"))
    assert "'unused'" not in message


def test_cache_directory_follows_the_variable_then_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv(CACHE_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/xdg")
    assert cache_directory() == Path("/var/xdg/llama-corpus")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_directory() == Path.home() / ".cache" / "llama-corpus"
