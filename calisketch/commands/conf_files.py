"""The files of conf/ as a person reads them: what each is for, and its settings with their comments.

They are read by their lines, without Hydra: a command explains itself before the extra `train` is installed, too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_LINE = re.compile(r"( *)([\w./-]+):(?:\s+([^#\s].*?))?(?:\s+#\s*(.*))?\s*")
_HYDRAS = ("defaults", "hydra")


@dataclass(frozen=True)
class Setting:
    """One key of a file: its dotted name, its value as it is written, and its comment; "" for what there is not.

    The comment stands behind the value, or on the lines above the key.
    """

    name: str
    value: str
    comment: str


def conf_dir() -> Path:
    """The configuration folder: inside an installed package, or beside the package in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "train.yaml").is_file():
            return folder
    raise FileNotFoundError(f"no conf/train.yaml beside or in {package}. Install calisketch again.")


def settings(path: Path, prefix: str = "") -> dict[str, Setting]:
    """Every key of a file by its dotted name, groups before what is in them; not what is Hydra's own.

    Args:
        path: the file. prefix: put before each name, such as "data.".
    """
    found: dict[str, Setting] = {}
    above: list[tuple[int, str]] = []  # the groups that a line is in: how far in each stands, and its dotted name
    said: list[str] = []  # on the lines above
    lines = path.read_text(encoding="utf-8").splitlines()
    head = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    for line in lines[head:]:
        read = _LINE.fullmatch(line)
        if read is None:  # a comment, an item of a list, or nothing
            said = [*said, line.lstrip(" #")] if line.lstrip().startswith("#") else []
            continue
        depth = len(read[1])
        while above and above[-1][0] >= depth:
            above.pop()
        name = f"{above[-1][1]}.{read[2]}" if above else read[2]
        above.append((depth, name))
        if name.partition(".")[0] not in _HYDRAS:
            found[prefix + name] = Setting(prefix + name, read[3] or "", read[4] or " ".join(said))
        said = []
    return found


def summary(path: Path) -> str:
    """The first sentence of the comment that a file begins with."""
    said: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("# ") or line.startswith("#  "):  # no comment any more, or a command
            break
        if not line.startswith("# @"):  # Hydra's own
            said.append(line[2:].strip())
    return re.split(r"(?<=[\w)][.?])\s", " ".join(said), maxsplit=1)[0]


def choices(group: str) -> dict[str, str]:
    """The files of a group by the names that they are chosen by, such as small/pi_rec, each with its summary."""
    folder = conf_dir() / group
    paths = sorted(folder.rglob("*.yaml"))
    return {path.relative_to(folder).with_suffix("").as_posix(): summary(path) for path in paths}
