"""The licences of repositories from a table of their own, as BigQuery has it (`github_repos.licenses`).

In: JSON lines of repositories, each with the id of its licence, or its text. Out: a lookup by repository. It
holds twelve bytes a repository (a hash of its name, and the number of its licences): BigQuery has 3 million.
"""

from __future__ import annotations

import functools
import os
from array import array

import numpy as np
import xxhash

from corpus import storage
from corpus.errors import UserError
from corpus.raw.damage import Damage
from corpus.recipe import Limits
from corpus.sources.github.licenses import License, LicenseRule
from corpus.sources.github.rows import Row, read_rows


class LicenseList:
    """Licences by repository; of a repository that comes twice the first counts."""

    def __init__(self, path: str, limits: Limits, rule: LicenseRule) -> None:
        hashes, numbers = array("Q"), array("I")
        self._kinds: list[License] = []
        known: dict[License, int] = {}
        with storage.open_read(path) as file:
            size = storage.info(path).size
            for item in read_rows(file, path, 0, size, size, limits):
                if isinstance(item, Damage):
                    raise UserError(f"{path}, byte {item.offset}: {item.reason}: {item.message}")
                repository, found = item.values.get("repository"), row_license(item, rule)
                if not repository:
                    raise UserError(f"{path}, byte {item.offset}: no repository is named")
                hashes.append(xxhash.xxh3_64_intdigest(repository.encode()))
                numbers.append(known.setdefault(found, len(known)))
        self._kinds = list(known)
        order = (
            np.argsort(np.frombuffer(hashes, np.uint64), kind="stable") if hashes else np.zeros(0, np.int64)
        )
        self._hashes = np.array(hashes, np.uint64)[order]
        self._numbers = np.array(numbers, np.uint32)[order]

    def get(self, repository: str) -> License | None:
        """What is known of a repository; None if it is not in the table."""
        wanted = np.uint64(xxhash.xxh3_64_intdigest(repository.encode()))
        at = int(np.searchsorted(self._hashes, wanted))
        if at < len(self._hashes) and self._hashes[at] == wanted:
            return self._kinds[int(self._numbers[at])]
        return None


def row_license(row: Row, rule: LicenseRule) -> License:
    """The licence that a row names, by id, else by its text."""
    names = row.values.get("license")
    given = [names] if isinstance(names, str) else names if isinstance(names, list) else []
    found = rule.of_names(tuple(map(str, given)))
    text = row.values.get("license_text")
    if found.expression is None and isinstance(text, str) and text.strip():
        return rule.of_texts([text.encode()])
    return found


def open_list(path: str, limits: Limits, rule: LicenseRule) -> LicenseList:
    """The table of a file, read once a process."""
    found: LicenseList = _opened(path, os.stat(path).st_mtime_ns, limits, rule)
    return found


@functools.lru_cache(maxsize=2)
def _opened(path: str, time: int, limits: Limits, rule: LicenseRule) -> LicenseList:
    return LicenseList(path, limits, rule)
