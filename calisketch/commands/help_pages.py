"""What ``--help`` shows for the commands that conf/ configures: what each does, an example, its keys, its choices."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from .conf_files import Setting, choices, conf_dir, settings

_COLUMN = 30


@dataclass(frozen=True)
class Page:
    """One command.

    Attributes:
        usage: what follows its name. does: sentences. examples: arguments, each with what it does.
        file: of conf/, without its ending. also: further files, by what their keys' names begin with.
        keys: the most used ones, with spaces between; all of the file's if there are none.
        groups: of conf/, whose files are listed.
    """

    usage: str
    does: str
    examples: dict[str, str]
    file: str
    also: dict[str, str] = field(default_factory=dict)
    keys: str = ""
    groups: tuple[str, ...] = ()


PAGES = {
    "train": Page(
        "experiment=GROUP/METHOD data.root=FOLDER key=value ...",
        "Trains a model on a folder that calisketch prepare made, and writes the model to RUN_DIR/model. The same "
        "command again goes on where the last one stopped. Ctrl+C saves the state, and stops.",
        {
            "experiment=smoke/cali_sketch": "a trial of under a minute, on drawn faces: it needs no photos",
            "experiment=small/cali_sketch data.root=data/photos128": "a small model, on a computer without a GPU",
        },
        "train",
        {"data.": "data/photos"},
        "data.root data.size data.limit data.mirrored run_dir stages init_from seed batch_size precision ema_decay "
        "accelerator devices workers threads preview_every validate_every checkpoint_every keep wandb.mode",
        ("experiment",),
    ),
    "prepare": Page(
        "source=FOLDER out=DIR size=256 key=value ...",
        "Prepares a folder of photos of faces for training: each photo is aligned by the eyes, and gets its contour "
        "map and its detail map. The same command again does only what is missing.",
        {
            "source=photos out=data/photos128 size=128": "every photo in photos/ and the folders in it",
            "--multirun 'shard=range(0,4)' shards=4 hydra/launcher=joblib source=photos": "in four processes (the "
            "extra scale)",
        },
        "prepare",
    ),
    "prepare-cuhk": Page(
        "source=FOLDER out=DIR size=256 key=value ...",
        "Prepares the CUHK student set (CUFS), with the artist's drawings, by the split of this project.",
        {
            "source=cuhk out=data/cuhk128 size=128": "the release's zip archives or folders, in the folder cuhk",
        },
        "prepare_cuhk",
    ),
    "prepare-pairs": Page(
        "source=FOLDER out=DIR size=256 key=value ...",
        "Prepares photos of which somebody drew each, for few_shot and photo_to_sketch. FOLDER holds photos/ and "
        "sketches/, with the same names in both.",
        {"source=mine out=data/pairs128 size=128": "mine/photos/anna.jpg and mine/sketches/anna.png, and so on"},
        "prepare_pairs",
    ),
    "evaluate": Page(
        "model=MODEL data.root=FOLDER track=TRACK split=SPLIT key=value ...",
        "Measures models on a prepared folder, with intervals and baselines, and writes tables, every value as JSON, "
        "and a sheet of pictures.",
        {
            "model=cuhk-small-256 data.root=data/cuhk256": "the default model on the test people, synthetic sketches",
            "model=runs/small/cali_sketch/model data.root=data/photos128 split=validation frozen=false": "a model of "
            "your own on photos of your own",
        },
        "evaluate",
    ),
    "compare": Page(
        "comparison=NAME models.KEY=MODEL data.root=FOLDER key=value ...",
        "Measures several ways to paint the same test photos in one table, and puts a paper's claims to the test. Each "
        "file of conf/comparison/ says which models it needs.",
        {
            "comparison=x_gans_points models.random=runs/points/model models.feature=runs/features/model "
            "data.root=data/faces64": "X-GANs by the number of points that are kept",
        },
        "compare",
        keys="data.root data.limit split models seed batch_size resamples threads required out",
        groups=("comparison",),
    ),
}


def asked_for(arguments: Sequence[str]) -> bool:
    """Whether these arguments ask for help."""
    return any(argument in ("--help", "-h") for argument in arguments)


def text(command: str) -> str:
    """A command's page, as wide as the terminal, but 120 characters at most."""
    return "\n".join(_lines(command, min(120, shutil.get_terminal_size((100, 24)).columns)))


def _lines(command: str, width: int) -> Iterator[str]:
    page = PAGES[command]
    file = conf_dir() / f"{page.file}.yaml"
    yield from [f"usage: calisketch {command} {page.usage}", "", *textwrap.wrap(page.does, width), "", "Examples:"]
    for arguments, does in page.examples.items():
        yield from [f"  calisketch {command} {arguments}", *_indented(does, 6, width)]
    known = settings(file)
    for prefix, name in page.also.items():
        known |= settings(conf_dir() / f"{name}.yaml", prefix)
    yield from ["", f"{'The keys most used' if page.keys else 'The keys'}, each with its default:"]
    for key in page.keys.split() or known:
        yield from _entry(known[key], width)
    for group in page.groups:
        yield from _choices(group, width)
    yield ""
    what = (
        f"Every key and its default: {file}. ??? must be given, null is nothing. A list goes in brackets, a=[b,c]. "
        "Quote an argument in which a space or a bracket is. --multirun runs once for each of several values. "
        "--cfg job shows the settings, and --hydra-help what else Hydra takes."
    )
    yield from textwrap.wrap(what, width, break_on_hyphens=False)


def _entry(setting: Setting, width: int) -> Iterator[str]:
    left = f"{setting.name}={setting.value}" if setting.value else setting.name
    yield from _two_columns(left, setting.comment, width)


def _choices(group: str, width: int) -> Iterator[str]:
    before = None
    yield from ["", f"{group}=", *_indented("one of:", 2, width)]
    for name, said in choices(group).items():
        room = name.rpartition("/")[0]
        if room != before:
            before = room
            yield ""
        yield from _two_columns(name, said, width)


def _two_columns(left: str, right: str, width: int) -> Iterator[str]:
    lines = textwrap.wrap(right, max(20, width - _COLUMN - 2), break_on_hyphens=False) or [""]
    if len(left) > _COLUMN - 2:
        yield f"  {left}"
    else:
        yield f"  {left:<{_COLUMN - 2}}  {lines.pop(0)}".rstrip()
    for line in lines:
        yield f"{'':{_COLUMN + 2}}{line}".rstrip()


def _indented(text: str, by: int, width: int) -> list[str]:
    return textwrap.wrap(text, width, initial_indent=" " * by, subsequent_indent=" " * by)
