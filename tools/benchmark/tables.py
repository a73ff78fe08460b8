"""A report of tools/benchmark.py as Markdown, and the names of its training steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

STAGES = ("scn", "isn", "joint")


def table(report: dict[str, Any]) -> str:
    """The report as Markdown; one from before there were models and several trainings, too."""
    of, parts = report["settings"], report["parts"]
    told = ", ".join(f"{key} {value}" for key, value in report["machine"].items())
    lines = [f"Machine: {told}.", ""]
    if "inference" in parts:
        title = (
            f"Inference: the paper's ISN generator of width {of['width']}, {of['size']} px, batch {of['batch']}, "
            "random weights."
        )
        lines += _ways(title, parts["inference"])
    lines += _models(parts.get("models", {}), of)
    if "training" in parts:
        lines += _training(parts["training"], of["training"])
    for part, inner in (("styles", "styles"), ("evaluation", "metrics")):
        found = parts.get(part, {}).get("all", {})
        if inner in found:
            per = f"a batch of {of['styles']['batch']}" if part == "styles" else "an image, or a comparison of sets"
            lines += [
                f"{part}, {of['size']} px, milliseconds for {per}; peak memory {found['peak_memory_mb']:.0f} MB:",
                "",
                "| what | median | min | max | images/s |",
                "|---|---|---|---|---|",
            ]
            for name, row in found[inner].items():
                rate = f"{row['images_per_second']:.1f}" if "images_per_second" in row else ""
                lines.append(f"| {name} | {_times(row)} | {rate} |")
            lines.append("")
    if "seconds_per_photo" in (found := parts.get("preparation", {}).get("all", {})):
        what = "with HED" if found["contour"] == "hed" else "without HED, whose weights are not here"
        each = found["seconds_per_photo"]
        lines += [
            f"preparation, {of['size']} px, {what}: {each:.2f} s a photo, {1 / each:.2f} images/s in one process; peak "
            f"memory {found['peak_memory_mb']:.0f} MB",
            "",
        ]
    for part, rows in parts.items():
        for name, row in rows.items():
            if why := row.get("failed") or row.get("skipped"):
                lines.append(f"{part}, {name}: not measured: {why}")
    return "\n".join(lines).rstrip() + "\n"


def steps(settings: dict[str, Any] | list[dict[str, Any]]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(name, stage, setting) of every training step that is measured.

    Args:
        settings: one or several, as in conf/benchmark.yaml. The steps of the first are named by their stages alone.

    Raises:
        SystemExit: a stage that there is not, or a step that is there twice.
    """
    names = set()
    for number, setting in enumerate(_listed(settings)):
        stages = setting.get("stages") or STAGES
        if unknown := [stage for stage in stages if stage not in STAGES]:
            raise SystemExit(f"stages must be some of {', '.join(STAGES)}; got {', '.join(map(str, unknown))}.")
        for stage in stages:
            name = f"{stage}, {_in_words(setting)}" if number else stage
            if name in names:
                raise SystemExit(f"training must hold each step once; got {name} twice. Change its size or batch.")
            names.add(name)
            yield name, stage, setting


def _listed(settings: dict[str, Any] | list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [settings] if isinstance(settings, dict) else settings


def _in_words(setting: dict[str, Any]) -> str:
    by = f", experiment={setting['experiment']}" if setting.get("experiment") else ""
    return f"{setting['size']} px, width {setting['width']}, batch {setting['batch']}{by}"


def _models(rows: dict[str, Any], of: dict[str, Any]) -> list[str]:
    """A table for each model."""
    by_model: dict[str, dict[str, Any]] = {}
    for name, row in rows.items():
        if "model" in row:
            model = row["model"]["name"]
            by_model.setdefault(model, {})[name.removeprefix(f"{model}, ")] = row
    lines = []
    for model, found in by_model.items():
        told = next(iter(found.values()))["model"]
        title = (
            f"Inference: {model}, {' and '.join(told['networks'])}, {told['size']} px, batch {of['batch']}; SHA-256 "
            f"`{told['sha256']}`. Grey levels are of the {told['sketches']} drawings in `examples/`."
        )
        lines += _ways(title, found)
    return lines


def _ways(title: str, rows: dict[str, Any]) -> list[str]:
    lines = [
        f"{title} Times in milliseconds; each way's factor is to eager fp32 in its own process.",
        "",
        "| way | precision | median | min | max | images/s | times eager fp32 | peak MB | share of bf16 peak | "
        "grey levels from fp32, max / mean |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        if "median_s" in row:
            off = row["grey_levels_from_fp32"]
            lines.append(
                f"| {name} | {row['precision']} | {_times(row)} | {row['images_per_second']:.2f} | "
                f"{row['times_faster']:.2f} | {row['peak_memory_mb']:.0f} | {row['share_of_bf16_peak']:.0%} | "
                f"{off['max']:.2f} / {off['mean']:.3f} |"
            )
    return [*lines, ""]


def _training(rows: dict[str, Any], settings: dict[str, Any] | list[dict[str, Any]]) -> list[str]:
    """A table for each setting."""
    lines = []
    for setting in _listed(settings):
        by = f", `experiment={setting['experiment']}`" if setting.get("experiment") else ""
        lines += [
            f"A training step of {setting['batch']} images, {setting['size']} px, width {setting['width']}{by}. Times "
            "in milliseconds; the wait is for fetching photos and drawing their sketches.",
            "",
            "| stage | fp32 | bf16 | times faster | images/s fp32 / bf16 | wait | share of a step fp32 / bf16 | "
            "peak MB |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for name, stage, other in steps(settings):
            row = rows.get(name, {})
            if other is setting and "fp32" in row:
                rate, share = row["images_per_second"], row["data_share"]
                lines.append(
                    f"| {stage} | {row['fp32']['median_s'] * 1e3:.0f} | {row['bf16']['median_s'] * 1e3:.0f} | "
                    f"{row['times_faster_bf16']:.2f} | {rate['fp32']:.2f} / {rate['bf16']:.2f} | "
                    f"{row['data_wait']['median_s'] * 1e3:.1f} | {share['fp32']:.1%} / {share['bf16']:.1%} | "
                    f"{row['peak_memory_mb']:.0f} |"
                )
        lines.append("")
    return lines


def _times(row: dict[str, Any]) -> str:
    return " | ".join(f"{row[key] * 1e3:.1f}" for key in ("median_s", "min_s", "max_s"))
