"""What an evaluation found: as JSON with every value, as Markdown beside the paper's numbers, and as pictures."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from ...whole_files import written_whole
from ..measures.every_measure import Row
from ..measures.intervals import Interval

__all__ = ["PAPER_TABLES", "Report", "Table"]

FORMAT, FORMAT_VERSION = "calisketch-evaluation", 1

#: Column -> (heading, digits after the point). An arrow says which way is better.
HEADINGS: dict[str, tuple[str, int]] = {
    "psnr": ("PSNR ↑", 2),
    "ssim": ("SSIM ↑", 3),
    "lpips": ("LPIPS ↓", 3),
    "identity": ("identity ↑", 3),
    "fid": ("FID ↓", 1),
    "kid": ("KID ↓", 4),
    "mmd": ("MMD ↓", 3),
    "region_psnr": ("PSNR in the region ↑", 2),
    "bpp": ("bits per pixel ↓", 3),
    "jpegs": ("share that has a JPEG", 2),
    "strokes_f1": ("strokes' F1 ↑", 3),
    "nearest_person": ("cosine to the nearest of them ↓", 3),
    "grey_psnr": ("PSNR, grey ↑", 2),
    "grey_ssim": ("SSIM, grey, window 51 ↑", 3),
    "relative_l1": ("relative L1, grey ↓", 4),
    "precision_exact": ("precision, exact", 3),
    "recall_exact": ("recall, exact", 3),
    "precision_2px": ("precision, 2 px", 3),
    "recall_2px": ("recall, 2 px", 3),
    "strokes_kept": ("own strokes kept, 2 px", 3),
    "nearest": ("cosine to the nearest training person", 3),
    "nearest_most": ("most", 3),
    "people": ("training people who are nearest to someone", 0),
    "difference": ("difference", 3),
}
OF_SETS = ("fid", "kid", "mmd")  # figures of all images together, whose number belongs beside them

#: The paper's tables: row -> figures. At 256 pixels, on a split that the paper does not give.
PAPER_TABLES: dict[str, dict[str, dict[str, float]]] = {
    "faces": {
        "Cali-Sketch": {"psnr": 20.25, "ssim": 0.8006, "fid": 58.43},
        "Cali-Sketch, Improved-1": {"psnr": 20.34, "ssim": 0.8092, "fid": 57.09},
        "Cali-Sketch, Improved-2": {"psnr": 21.09, "ssim": 0.8137, "fid": 55.12},
        "pix2pix": {"psnr": 18.83, "ssim": 0.7554, "fid": 76.90},
        "CycleGAN": {"psnr": 24.21, "ssim": 0.8508, "fid": 80.17},
        "MUNIT": {"psnr": 17.23, "ssim": 0.7515, "fid": 78.57},
        "DRIT": {"psnr": 16.14, "ssim": 0.7047, "fid": 109.83},
        "DeepFaceDrawing": {"psnr": 13.21, "ssim": 0.3751, "fid": 97.36},
    },
    "lines": {
        "detail only": {"precision_exact": 0.1559, "recall_exact": 0.1475},
        "contour only": {"precision_exact": 0.1713, "recall_exact": 0.1564},
        "both": {"precision_exact": 0.9962, "recall_exact": 0.4772},
    },
}
PAPER_NOTE = (
    "The paper's rows are for CUHK at 256 px and a split that it does not give: they are no figures of this test set."
)


@dataclass(frozen=True)
class Table:
    """Rows that belong together.

    Args:
        key: "faces", "paired", "lines", "styles" or "copies".
        title: a heading. rows: in their order. note: a sentence below.
        headings: column -> (heading, digits after the point), in the columns' order.
    """

    key: str
    title: str
    rows: Sequence[Row]
    note: str = ""
    headings: Mapping[str, tuple[str, int]] = field(default_factory=lambda: HEADINGS)


@dataclass(frozen=True)
class Report:
    """An evaluation's result.

    Args:
        protocol: what was measured on what, and how; plain values.
        tables: the figures.
        names: of the N samples, in the order of every value per image.
        absent: metric -> why it was not measured.
        pictures: name -> best, median and worst of a model.
    """

    protocol: Mapping[str, Any]
    tables: Sequence[Table]
    names: Sequence[str]
    absent: Mapping[str, str] = field(default_factory=dict)
    pictures: Mapping[str, Image.Image] = field(default_factory=dict)

    def row(self, key: str, name: str) -> Row:
        """The row of a table, by the table's key; KeyError if there is none."""
        for table in self.tables:
            for row in table.rows:
                if (table.key, row.name) == (key, name):
                    return row
        raise KeyError(f"no row {name!r} in a table {key!r}")

    def to_json(self) -> dict[str, Any]:
        """Everything but the pictures; NaN and infinity become null."""
        plain = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "protocol": self.protocol,
            "absent": self.absent,
            "tables": [
                {
                    "key": table.key,
                    "title": table.title,
                    "note": table.note,
                    "rows": [
                        {
                            "name": row.name,
                            "note": row.note,
                            "figures": {name: _of_interval(figure) for name, figure in row.figures.items()},
                            "per_image": row.per_image,
                        }
                        for row in table.rows
                    ],
                    "paper": PAPER_TABLES.get(table.key, {}),
                }
                for table in self.tables
            ],
            "names": list(self.names),
        }
        finite: dict[str, Any] = _finite(plain)
        return finite

    def differences(self, earlier: Mapping[str, Any]) -> list[str]:
        """In words, each figure of an earlier report (`to_json`) that is another now or not there; empty if all hold.

        Two units of the last digit that is printed are allowed: another processor rounds otherwise. Rows of models that
        are not among those of this report are passed over.

        Raises:
            ValueError: not a report of this format, or of none of this report's models.
        """
        if not isinstance(earlier, Mapping) or earlier.get("format") != FORMAT:
            raise ValueError(f"the earlier report must be JSON that an evaluation wrote, of format {FORMAT!r}.")
        told = []
        models = earlier["protocol"].get("models", {})
        left = [name for name in models if name not in self.protocol.get("models", {})]
        if models and len(left) == len(models):
            raise ValueError(
                f"the earlier report is of {', '.join(models)}; this one of {', '.join(self.protocol['models'])}. "
                "Compare reports of the same models."
            )
        for key in ("track", "split", "N", "size", "strength", "precision"):
            before, now = earlier["protocol"].get(key), _finite(self.protocol.get(key))
            if isinstance(before, Mapping):  # of each model
                before = {name: value for name, value in before.items() if name not in left}
            if before != now:
                told.append(f"{key}: {_in_words(before)} before, {_in_words(now)} now")
        rows = {(table.key, row.name): row for table in self.tables for row in table.rows}
        for table in earlier["tables"]:
            for row in table["rows"]:
                if any(_is_of(row["name"], name) for name in left):
                    continue
                mine = rows.get((table["key"], row["name"]))
                for name, figure in row["figures"].items():
                    place = f"{table['key']}, {row['name']}, {name}"
                    if mine is None or name not in mine.figures:
                        told.append(f"{place}: not measured now")
                        continue
                    before, now = figure["value"], _finite(mine.figures[name].value)
                    allowed = 2 * 10.0 ** -HEADINGS[name][1] if name in HEADINGS else 0.0
                    if (before is None) != (now is None) or (now is not None and abs(before - now) > allowed):
                        told.append(f"{place}: {before} before, {now} now")
        return told

    def to_markdown(self) -> str:
        """The protocol, and each table with the paper's rows below."""
        lines = [f"# Evaluation on {self.protocol.get('split', 'the given photos')}, {len(self.names)} images", ""]
        lines += [f"- {key}: {_in_words(value)}" for key, value in self.protocol.items()]
        lines += [f"- not measured: {name}, since {why.splitlines()[0]}" for name, why in self.absent.items()]
        lines.append("- in brackets: 95 % intervals over images (bootstrap of 2,000; FID, KID and MMD: jackknife)")
        if self.protocol.get("resamples", 2000) != 2000:
            lines[-1] = lines[-1].replace("2,000", str(self.protocol["resamples"]))
        for table in self.tables:
            lines += ["", f"## {table.title}", "", *self._markdown_of(table)]
            if table.note:
                lines += ["", table.note]
        return "\n".join(lines) + "\n"

    def save(self, out: str | os.PathLike[str], name: str) -> list[Path]:
        """Writes NAME.json, NAME.md and the pictures NAME-ROW.png into a folder; each aside, then renamed."""
        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.to_json(), indent=1, allow_nan=False) + "\n"
        written = [_write(folder / f"{name}.json", text.encode())]
        written.append(_write(folder / f"{name}.md", self.to_markdown().encode()))
        for of, picture in zip(_file_names(self.pictures), self.pictures.values(), strict=True):
            path = folder / f"{name}-{of}.png"
            with written_whole(path) as aside:
                picture.save(aside, "PNG")
            written.append(path)
        return written

    def _markdown_of(self, table: Table) -> list[str]:
        paper = PAPER_TABLES.get(table.key, {})
        present = {name for row in table.rows for name in row.figures}
        columns = [name for name in table.headings if name in present]
        heads = []
        for name in columns:
            count = f" (N = {len(self.names)})" if name in OF_SETS else ""
            heads.append(table.headings[name][0] + count)
        lines = [_line(["", *heads]), _line(["---"] * (len(columns) + 1))]
        for row in table.rows:
            cells = [_cell(row.figures.get(name), table.headings[name][1], len(self.names)) for name in columns]
            lines.append(_line([f"{row.name}{f' ({row.note})' if row.note else ''}", *cells]))
        shown = {name: values for name, values in paper.items() if set(values) & set(columns)}
        for name, values in shown.items():
            lines.append(_line([f"*the paper: {name}*", *[_plain(values.get(column)) for column in columns]]))
        return [*lines, *(["", PAPER_NOTE] if shown else [])]


def _is_of(row: str, model: str) -> bool:
    """Whether a row, such as "a", "a, against Canny", "a - b", is of a model, alone or beside another."""
    return row == model or row.startswith((f"{model}, ", f"{model} - ")) or row.endswith(f" - {model}")


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(figure: Interval | None, digits: int, expected: int) -> str:
    if figure is None:
        return ""
    if math.isnan(figure.value):
        return "none"
    said = f"{figure.value:.{digits}f}"
    if not math.isnan(figure.low):
        said += f" [{figure.low:.{digits}f}, {figure.high:.{digits}f}]"
    return said if figure.count == expected or math.isnan(figure.low) else f"{said} (N = {figure.count})"


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _in_words(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_in_words(inner)}" for key, inner in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(_in_words(inner) for inner in value) or "none"
    return "unknown" if value is None else str(value)


def _of_interval(figure: Interval) -> dict[str, Any]:
    return {"value": figure.value, "low": figure.low, "high": figure.high, "N": figure.count}


def _finite(value: Any) -> Any:
    """The same with what JSON has no word for as null."""
    if isinstance(value, Mapping):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _file_names(names: Iterable[str]) -> list[str]:
    """Of each row, what its file is called; a second row whose name comes to the same letters gets a number."""
    taken: list[str] = []
    for plain in map(_as_file_name, names):
        name, number = plain, 2
        while name.lower() in map(str.lower, taken):  # some file systems do not tell A from a
            name, number = f"{plain}-{number}", number + 1
        taken.append(name)
    return taken


def _as_file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name).strip("-.") or "model"


def _write(path: Path, content: bytes) -> Path:
    with written_whole(path) as aside:
        aside.write_bytes(content)
    return path
