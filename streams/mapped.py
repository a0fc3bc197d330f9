"""Arrays that are rarely read, kept in files instead of memory."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

log = structlog.get_logger()
Item = TypeVar("Item", bound=np.generic)


def in_file(array: NDArray[Item], folder: Path) -> NDArray[Item]:
    """Give the array as a view of a nameless file, gone with its last view; where none can be written, the array itself."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            array.tofile(file)
            return np.asarray(np.memmap(file, array.dtype, "r", shape=array.shape))
    except OSError as error:
        log.warning("array stays in memory", folder=str(folder), bytes=array.nbytes, error=str(error))
        return array
