"""Files that are seen whole or not at all: written under another name, then renamed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: Path, *, sync: bool = False) -> Iterator[Path]:
    """A file beside ``path`` to write to. It becomes ``path`` where the block ends, and is removed where that raises.

    sync: the data are on the disk before the name is there, so that a loss of power leaves the old file or the new one.

    Raises:
        OSError: the folder cannot be written to, or ``path`` is a folder.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".writing")
    os.close(descriptor)
    aside = Path(name)
    try:
        yield aside
        if sync:
            with open(aside, "rb+") as stream:
                os.fsync(stream.fileno())
        aside.chmod(0o644)  # mkstemp's files are private
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
