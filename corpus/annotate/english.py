"""langdetect's verdict on a text: the likeliest language and its probability.

In: a text. Out: the library's code of the language (ISO 639-1, of Chinese with a region) and a probability,
as `langdetect.detect_langs` gives them with the seed 0 (tensorflow/datasets,
tensorflow_datasets/text/c4_utils.py, `detect_english`). The library's profiles and expressions are used; what
it computes from them is compiled (`corpus.kernels.langdetect`), some fifty times as fast. The profiles are
loaded in the order of their names: the library takes them as the file system lists them, on which the last
digits of its sums depend.
"""

from __future__ import annotations

import functools
from importlib import resources

import numpy as np
from langdetect.detector import Detector
from langdetect.detector_factory import DetectorFactory
from langdetect.utils.ngram import NGram

from corpus.kernels.langdetect import Profiles, gram_key, hash_table, probabilities, stream

_BASIC = 0x10000  # the library's normal forms are all of the basic plane


def factory() -> DetectorFactory:
    """The library's detectors, with the profiles in the order of their names."""
    folder = resources.files("langdetect") / "profiles"
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_file())
    made = DetectorFactory()
    made.load_json_profile([(folder / name).read_text("utf-8") for name in names])
    made.seed = 0
    return made


class Langdetect:
    """The detector; one a process is enough, and any number of threads may use it."""

    def __init__(self) -> None:
        known = factory()
        self._languages: list[str] = known.langlist
        grams = known.word_lang_prob_map
        slots, rows = hash_table(np.array([gram_key(gram) for gram in grams], np.uint64))
        normal = np.arange(0x110000, dtype=np.uint32)
        normal[:_BASIC] = [ord(NGram.normalize(chr(cp))) for cp in range(_BASIC)]
        upper = np.fromiter((chr(cp).isupper() for cp in range(0x110000)), bool, 0x110000)
        self._profiles = Profiles(slots, rows, np.array(list(grams.values())), normal, upper)

    def detect(self, text: str) -> tuple[str | None, float]:
        """The likeliest language and its probability; None and 0 where the library finds none.

        As there, a language must have a probability beyond 0.1.
        """
        text = Detector.URL_RE.sub(" ", text)
        if "@" in text:
            text = Detector.MAIL_RE.sub(" ", text)
        if not text.isascii():
            text = NGram.normalize_vi(text)
        code_points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        found = probabilities(code_points, self._profiles, stream())
        best = 0 if found is None else int(found.argmax())
        if found is None or not found[best] > Detector.PROB_THRESHOLD:
            return None, 0.0
        return self._languages[best], float(found[best])


@functools.cache
def langdetect() -> Langdetect:
    """This process's detector."""
    return Langdetect()
