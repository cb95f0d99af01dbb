"""Names for the array types that compiled loops share."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Int = int | np.integer[Any]  # a scalar, as Python or the compiler has it
Bytes = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int32]
Positions = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]
