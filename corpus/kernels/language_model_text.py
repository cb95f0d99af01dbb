"""Text as the models read it: string arrays in, string arrays of the same length out, nulls kept."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from corpus.kernels import ccnet_text
from corpus.kernels.arrays import Bools, Bytes, Int, Ints, Keys
from corpus.kernels.arrow_text import string_array, text_buffers
from corpus.kernels.fold import SLACK, first_not_space, fold, last_space
from corpus.kernels.unicode_tables import language_model_table

_GROWTH = 3  # output : input bytes at worst: a Hangul syllable (3) becomes three letters (9)
_MAX_BYTES = np.iinfo(np.int32).max


def normalize_for_language_model(text: pa.StringArray) -> pa.StringArray:
    """Each document as CCNet's language models want it, on one line.

    Strip, lower case, NFD without category Mn, digits to "0", marks to ASCII, control characters and so
    newlines deleted, without a space (facebookresearch/cc_net, cc_net/text_normalizer.py, `normalize`).

    Raises:
        TypeError, pyarrow.ArrowInvalid: see `text_buffers`.
        ValueError: the result could pass 2 GiB; give fewer documents at a time.
    """
    source = text_buffers(text)
    size = _GROWTH * int(source.offsets[-1] - source.offsets[0]) + SLACK
    if size > _MAX_BYTES:
        raise ValueError(f"{size // _GROWTH} bytes of text in one batch; at most {_MAX_BYTES // _GROWTH}")
    out = np.empty(size, np.uint8)  # untouched pages cost nothing
    offsets, exact = np.zeros(len(text) + 1, np.int32), np.zeros(len(text), bool)
    table = language_model_table()
    _normalize(*source, *table, out, offsets, exact)  # type: ignore[arg-type]
    folded = string_array(out[: offsets[-1]].copy(), offsets, source.valid)
    if not exact.any():
        return folded
    mask = pa.array(exact)
    by_rule = [ccnet_text.normalize_for_language_model(t) for t in text.filter(mask).to_pylist()]
    return pc.replace_with_mask(folded, mask, pa.array(by_rule, pa.string()))


def delete_newlines(text: pa.StringArray) -> pa.StringArray:
    """Each document with its newlines deleted, as language identification reads it (no space put in).

    Rule: facebookresearch/cc_net, cc_net/split_by_lang.py.
    """
    return pc.replace_substring(text, pattern="\n", replacement="")


@njit(nogil=True, cache=True)
def _normalize(
    data: Bytes, offsets: Ints, valid: Bools,
    ascii_bytes: Bytes, entries: Keys, pool: Bytes, pool_offsets: Ints,
    out: Bytes, out_offsets: Ints, exact: Bools,
) -> None:  # fmt: skip
    m: Int = 0
    for i in range(len(valid)):
        if valid[i]:
            s = first_not_space(data, offsets[i], offsets[i + 1], entries, True)
            e: Int = np.int64(offsets[i + 1])
            q, _ = last_space(data, e, s, entries)
            while q < e:
                e = q
                q, _ = last_space(data, e, s, entries)
            _, written, _, exact[i] = fold(data, s, e, ascii_bytes, entries, pool, pool_offsets, out, m)
            if not exact[i]:
                m = written
        out_offsets[i + 1] = m
