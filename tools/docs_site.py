"""A hook of MkDocs (mkdocs.yml): the settings page, made of conf/'s comments, and the repository's own pages.

README.md, MODEL_CARD.md, CONTRIBUTING.md, SECURITY.md, CHANGELOG.md and data/README.md lie outside docs/, where people
look for them. The website shows all but README.md (docs/index.md takes its place), and links between them and docs/ are
rewritten to the pages of the website.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).resolve().parents[1]
CONF = ROOT / "conf"
OUTSIDE = ("MODEL_CARD.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "data/README.md")
#: Folders of conf/, in the order of the settings page, and what they hold.
GROUPS = {
    "": "The commands",
    "system": "Systems: a method with its networks, losses and schedules",
    "network": "Networks",
    "data": "Data: what is read, and what is drawn from it",
    "debug": "Debugging",
    "experiment/paper": "Experiments of the papers",
    "experiment/small": "The same for two processor cores",
    "experiment/smoke": "The same in under a minute",
    "experiment/own": "Experiments of this project",
    "experiment/trials": "Experiments that the tables are made with",
    "recipe": "Recipes: several trainings, and the tables that compare them",
    "comparison": "Comparisons: claims that are put to the test",
}
CONTENTS = ("recipe", "comparison")  # their keys are runs and rows, which are no settings
_KEY = re.compile(r"(?P<indent> *)(?:- )?(?P<key>[\w.@/~+ ]+?): ?(?P<value>[^#]*?)(?: *# ?(?P<comment>.*))?$")
_LINK = re.compile(r"(?<!!)(?P<head>\]\()(?P<target>[^)#\s:]+)(?P<anchor>#[^)\s]*)?(?P<tail>\))")


@dataclass
class Setting:
    """A key of a file of conf/: its dotted name, its value as written, and its comment."""

    name: str
    value: str
    said: str = ""


@dataclass
class ConfFile:
    """A file of conf/: the comment at its head, in words and commands, and its keys."""

    name: str
    words: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    settings: list[Setting] = field(default_factory=list)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are not files of docs/."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, "settings.md", content=settings_page()))
    for name in OUTSIDE:
        files.append(File.generated(config, name, content=(ROOT / name).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links as the website needs them."""
    return relinked(markdown, page.file.src_uri)


def relinked(markdown: str, place: str) -> str:
    """Markdown whose links between docs/ and the pages outside it lead to the website's pages.

    place: of the page on the website, such as "models.md" or "MODEL_CARD.md".
    """
    outside = place in OUTSIDE
    here = posixpath.dirname(place if outside else f"docs/{place}")

    def link(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(here, found["target"]))
        if target == "README.md":
            target = "docs/index.md"
        page = target.removeprefix("docs/")
        if page == target and page not in OUTSIDE:
            return found[0]
        relative = posixpath.relpath(page, posixpath.dirname(place) or ".")
        return f"{found['head']}{relative}{found['anchor'] or ''}{found['tail']}"

    return _LINK.sub(link, markdown)


def settings_page() -> str:
    """Every file of conf/ with its keys, their values and their comments, as Markdown."""
    lines = [
        "# Settings",
        "",
        "This page is generated from the comments of the files in `conf/`. Set a key on the command line by its full "
        "name, for example `calisketch train experiment=small/cali_sketch batch_size=4`. Choose a file of a group by "
        "its name, for example `experiment=paper/pi_rec`, `data=pairs` or `network@system.isn.discriminator=features`. "
        "A wrong name or value is an error that names the key.",
        "",
        "`???` means that you must give a value. `null` means none. `${...}` takes the value of another key.",
        "",
    ]
    known = set(GROUPS)
    for folder in sorted({path.parent.relative_to(CONF).as_posix() for path in CONF.rglob("*.yaml")} - known - {"."}):
        raise ValueError(f"conf/{folder} has no place on the settings page; name it in GROUPS of {__file__}.")
    explained = Explanations()
    for folder, title in GROUPS.items():
        lines += [f"## {title}", ""]
        for path in sorted((CONF / folder).glob("*.yaml")):
            lines += _in_markdown(read_conf(path), folder, explained)
    return "\n".join(lines) + "\n"


class Explanations:
    """What each key means, also where its own line does not say so.

    A key is explained once, where it is at home, for instance a schedule's keys in system/cali_sketch.yaml. Elsewhere
    it means what the key with the longest common ending means: first in its own file, then in the files of its folder,
    then in the groups in the order of HOMES.
    """

    HOMES = ("system/cali_sketch", "network", "data/photos", "train", "system", "data", "prepare", "evaluate")
    TARGET = "class or function that is made; the keys beside it are its arguments"

    def __init__(self) -> None:
        self._files = {path: read_conf(path) for path in sorted(CONF.rglob("*.yaml"))}
        self._said = {
            conf.name: {each.name: each.said for each in conf.settings if each.said} for conf in self._files.values()
        }

    def of(self, conf: ConfFile, setting: Setting) -> str:
        """The meaning of a key of a file; empty if it is explained nowhere."""
        if setting.said:
            return setting.said
        parts = setting.name.split(".")
        if parts[-1] == "_target_":
            return self.TARGET
        folder = conf.name.rpartition("/")[0]
        near = [conf.name, *(name for name in self._said if name.rpartition("/")[0] == folder)]
        homes = [name for home in self.HOMES for name in self._said if name.removesuffix(".yaml").startswith(home)]
        for start in range(len(parts)):
            ending = ".".join(parts[start:])
            for name in (*near, *homes):
                for key, said in self._said.get(name, {}).items():
                    if key == ending or key.endswith(f".{ending}"):
                        return said
        return ""


def read_conf(path: Path) -> ConfFile:
    """A file of conf/, read line by line, since YAML's readers drop comments.

    A comment at the end of a key's line, or on the lines above it, is the key's. Keys without either have none; Hydra's
    own sections (`hydra`, `defaults`) are left out.
    """
    found = ConfFile(path.relative_to(CONF).as_posix())
    above: list[str] = []
    parents: list[tuple[int, str]] = []
    at_head, skipped = True, False
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# @package"):
            continue
        if line.lstrip().startswith("#"):
            said = line.lstrip()[1:]
            if not at_head:
                above.append(said.strip())
            elif found.commands and found.commands[-1].endswith("\\"):
                found.commands[-1] = f"{found.commands[-1][:-1].rstrip()} {said.strip()}"
            elif re.match(r" {2,}\S", said):
                found.commands.append(said.strip())
            else:
                found.words.append(said.strip())
            continue
        if not line.strip():
            above = []
            continue
        at_head = False
        key = _KEY.match(line)
        if key is None or line.lstrip().startswith("- "):
            continue
        indent = len(key["indent"])
        if indent == 0:
            skipped = key["key"] in ("defaults", "hydra")
        if skipped:
            above = []
            continue
        while parents and parents[-1][0] >= indent:
            parents.pop()
        name = ".".join([*(each for _, each in parents), key["key"]])
        value = (key["value"] or "").strip()
        said = " ".join([*above, key["comment"] or ""]).strip()
        above = []
        parents.append((indent, key["key"]))
        if value or said:
            found.settings.append(Setting(name, value, said))
    return found


def _in_markdown(conf: ConfFile, folder: str, explained: Explanations) -> list[str]:
    name = conf.name.removesuffix(".yaml")
    shown = f"`{name.rpartition('/')[2]}`" if folder else f"`conf/{conf.name}`"
    lines = [f"### {shown} {{ #{name.replace('/', '-')} }}", "", " ".join(conf.words), ""]
    if conf.commands:
        lines += ["```sh", *conf.commands, "```", ""]
    if not conf.settings or folder in CONTENTS:
        return lines
    table = ["| key | value | what it means |", "|---|---|---|"]
    for each in conf.settings:
        value = f"`{_escaped(each.value)}`" if each.value else ""
        table.append(f"| `{each.name}` | {value} | {_escaped(explained.of(conf, each)).replace('<', '&lt;')} |")
    if folder:
        return [*lines, "<details markdown><summary>Keys</summary>", "", *table, "", "</details>", ""]
    return [*lines, *table, ""]


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
