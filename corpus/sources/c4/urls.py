"""Addresses as C4 compares them (tensorflow/datasets, tensorflow_datasets/text/c4_utils.py).

In: a URL as crawled. Out: its normal form, the split it belongs to, the hashes by which pages are compared.
"""

from __future__ import annotations

import hashlib
import re

import xxhash

_SCHEME = re.compile(r"https?://(www\.)?")
_REFERRAL = re.compile(r"\?(utm_|ref|feed).*")
_VALIDATION = 1_000  # one address of so many


def normalize_url(url: str) -> str:
    """Without scheme, ``www.``, what follows ``?utm_``, ``?ref`` or ``?feed``, and slashes at the end.

    As there, also where a scheme stands within the address, as it does in those of archives.
    """
    return _REFERRAL.sub("", _SCHEME.sub("", url)).rstrip("/")


def is_validation(url: str) -> bool:
    """Whether a page is of the validation split, by the MD5 of its normalised address."""
    return int.from_bytes(_md5(normalize_url(url)), "big") % _VALIDATION == 0


def url_key(url: str) -> int:
    """XXH64 of a normalised address: of 10^10 some three are expected to share one by chance."""
    return xxhash.xxh64_intdigest(normalize_url(url).encode("utf-8", "replace"))


def url_order(url: str) -> int:
    """The first 64 bits of an address's MD5: a line stays in the page that has the smallest."""
    return int.from_bytes(_md5(url)[:8], "big")


def line_key(line: str) -> int:
    """The first 64 bits of the MD5 of a line, stripped and in lower case.

    Of the 7·10^9 lines of C4 one or two are expected to share one by chance.
    """
    return int.from_bytes(_md5(line.strip().lower())[:8], "big")


def _md5(text: str) -> bytes:
    return hashlib.md5(text.encode("utf-8", "replace"), usedforsecurity=False).digest()
