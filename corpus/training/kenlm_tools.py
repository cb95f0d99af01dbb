"""KenLM's trainer and compiler, which its Python package does not contain, built once into the cache.

In: KenLM's source distribution of the same version as the Python package. Out: paths of `lmplz`
(text → ARPA) and `build_binary` (ARPA → the file that `kenlm.Model` maps).
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from corpus import assets, downloads
from corpus.cache import cache_directory, exclusive
from corpus.errors import UserError

VERSION = "0.3.0"
_SOURCE_SHA256 = "c4628bb9fb63c8a6f9240035b8b037385cfc404cb72e933cf48878291edac1e8"
_DEBIAN_PACKAGES = (
    "cmake g++ libboost-program-options-dev libboost-system-dev libboost-thread-dev "
    "zlib1g-dev libbz2-dev liblzma-dev"
)
_PROGRAMS = ("lmplz", "build_binary")


@dataclass(frozen=True)
class KenlmTools:
    """Paths of the two programs."""

    lmplz: str
    build_binary: str


def kenlm_tools() -> KenlmTools:
    """The programs from the cache; the first call on a machine builds them, in about a minute.

    Raises:
        UserError: the source cannot be had, or does not compile here; says what to install.
    """
    folder = cache_directory() / "tools" / f"kenlm-{VERSION}-{platform.system()}-{platform.machine()}"
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive(folder / "lock"):
        if not all((folder / name).is_file() for name in _PROGRAMS):
            with tempfile.TemporaryDirectory(dir=folder) as work:
                _build(Path(work), folder)
    return KenlmTools(*(str(folder / name) for name in _PROGRAMS))


def _build(work: Path, folder: Path) -> None:
    if not shutil.which("cmake"):
        raise UserError(f"building lmplz needs cmake: apt-get install {_DEBIAN_PACKAGES}")
    source = _unpacked_source(work)
    build = work / "build"
    # An empty CMAKE_CXX_FLAGS keeps -march=native of somebody's CXXFLAGS out: the cache may be shared by
    # machines of different age, and models must come out the same on all.
    configure = ["cmake", "-S", str(source), "-B", str(build), "-DCMAKE_BUILD_TYPE=Release"]
    _run([*configure, "-DCMAKE_CXX_FLAGS="])
    _run(["cmake", "--build", str(build), "--parallel", str(os.cpu_count() or 1), "--target", *_PROGRAMS])
    for name in _PROGRAMS:
        os.replace(build / "bin" / name, folder / name)


def _unpacked_source(work: Path) -> Path:
    """KenLM's source tree, verified."""
    packages = work / "package"
    packages.mkdir()
    try:
        archive = downloads.package_file(f"kenlm=={VERSION}", packages, "--no-binary=kenlm")
    except downloads.DownloadError as error:
        raise UserError(f"building lmplz needs KenLM's source: {error}") from error
    found = assets.file_sha256(archive)
    if found != _SOURCE_SHA256:
        raise UserError(f"{archive.name}: sha256 expected {_SOURCE_SHA256}, got {found}")
    with tarfile.open(archive) as tar:
        tar.extractall(work, filter="data")
    source = work / f"kenlm-{VERSION}"
    # Asked for although only KenLM's own tests use it: one Debian package less to install.
    listing = source / "CMakeLists.txt"
    listing.write_text(listing.read_text().replace("  unit_test_framework\n", ""))
    return source


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        said = [line for line in done.stdout.splitlines() if line.strip()][-15:]
        raise UserError(
            f"KenLM {VERSION} does not build here; on Debian: apt-get install {_DEBIAN_PACKAGES}\n"
            + "\n".join(f"  {line}" for line in said)
        )
