"""The texts: links lead somewhere, what is named exists, settings are explained, numbers are written in one way."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import doc_tables  # noqa: E402
import docs_site  # noqa: E402

DOCS = sorted((ROOT / "docs").rglob("*.md"))
TEXTS = [ROOT / "README.md", *(ROOT / name for name in docs_site.OUTSIDE), *DOCS]
CONF = sorted((ROOT / "conf").rglob("*.yaml"))
ids = [str(path.relative_to(ROOT)) for path in TEXTS]


def prose(path: Path) -> str:
    """A text without its tables made of reports and without code blocks."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"<!-- (report|tables|paired) .*?<!-- end -->", "", text, flags=re.DOTALL)
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def code(path: Path, language: str) -> list[str]:
    """The code blocks of a language."""
    text = path.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def test_the_readme_is_short_and_begins_with_a_picture() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(readme.encode()) <= 8000
    assert readme.splitlines()[2].startswith("![")
    places = [readme.index(f"\n## {title}\n") for title in ("Install", "Draw", "Call", "Train on your own photos")]
    places += [readme.index(f"\n## {title}\n") for title in ("Reproduce the paper", "Develop", "Models", "More")]
    assert places == sorted(places)
    assert code(ROOT / "README.md", "sh")[0].startswith("pip install . --extra-index-url https://")


@pytest.mark.parametrize("path", TEXTS, ids=ids)
def test_every_link_of_a_text_leads_to_a_file(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s#:]+)(?:#[^)\s]*)?\)", path.read_text(encoding="utf-8")):
        if not (path.name in ("CONTRIBUTING.md",) and target == "settings.md"):
            assert (path.parent / target).exists() or target == "settings.md", (path.name, target)


@pytest.mark.parametrize("path", TEXTS, ids=ids)
def test_every_file_that_a_text_names_exists(path: Path) -> None:
    if path.name == "CHANGELOG.md":
        return  # tells of files that are gone
    named = re.findall(
        r"`((?:calisketch|conf|tools|tests|docs|models|examples)/[\w./-]*\w)/?`", path.read_text("utf-8")
    )
    missing = [name for name in named if not (ROOT / name).exists()]
    assert not missing, missing


@pytest.mark.parametrize("path", TEXTS, ids=ids)
def test_every_experiment_recipe_and_comparison_that_a_text_names_exists(path: Path) -> None:
    if path.name == "CHANGELOG.md":
        return
    text = path.read_text(encoding="utf-8")
    for group in ("experiment", "recipe", "comparison", "data", "system"):
        for names in re.findall(rf"(?<![\w.@]){group}=(\[[\w/,]+\]|[\w/]+)", text):
            for name in names.strip("[]").split(","):
                assert name.isupper() or (ROOT / "conf" / group / f"{name}.yaml").is_file(), (group, name)
    for name in re.findall(r"`((?:paper|small|smoke|own|trials)/\w+)`", text):
        assert (ROOT / "conf" / "experiment" / f"{name}.yaml").is_file(), name


@pytest.mark.parametrize("path", TEXTS, ids=ids)
def test_numbers_have_a_digit_before_the_point(path: Path) -> None:
    if path.name != "CHANGELOG.md":
        text = re.sub(r"`[^`\n]*`", "", path.read_text(encoding="utf-8"))
        assert not re.findall(r"(?<![\w.)\]])\.\d+", text)


def test_every_function_of_the_methods_page_is_in_the_file_beside_it() -> None:
    rows = re.findall(
        r"^\|.*\| (`.*`[^|]*) \| ([^|]*`[^|]*) \|$", (ROOT / "docs" / "method.md").read_text("utf-8"), re.M
    )
    checked = 0
    for files, functions in rows:
        paths = re.findall(r"`([\w/]+\.py)`", files)
        if not paths:
            continue
        room = Path(paths[0]).parent
        of_rooms = [ROOT / (path if "/" in path else room / path) for path in paths]
        defined = set().union(*map(_defined, [*of_rooms, ROOT / "calisketch" / "scn.py"]))  # called there
        for name in re.findall(r"`(\w+(?:\.\w+)?)`", functions):
            assert name in defined, (files, name)
            checked += 1
    assert checked >= 30


def _defined(path: Path) -> set[str]:
    """Functions and classes of a module, and methods as Class.method."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{each.name}" for each in node.body if isinstance(each, ast.FunctionDef)}
    return found


def test_the_picture_of_the_house_has_every_room_in_the_order_of_the_arrows() -> None:
    """The layers of tests/test_import_direction.py, highest first, are the lines of the picture."""
    source = (ROOT / "tests" / "test_import_direction.py").read_text(encoding="utf-8")
    layers = ast.literal_eval(re.sub(r" #.*", "", source.split("\nLAYERS = ")[1].split("\n]")[0] + "\n]"))
    (picture,) = code(ROOT / "docs" / "house.md", "text")
    line_of = {
        name: number
        for number, line in enumerate(picture.splitlines())
        for name in re.findall(r"[a-z_]+(?=/|\.py)", re.split(r" {4,}", line)[0])
    }
    places = []
    for layer in reversed(layers):
        names = {name for name in layer if not name.startswith("_")}
        assert names <= set(line_of), names - set(line_of)
        if names:
            (place,) = {line_of[name] for name in names}
            places.append(place)
    assert places == sorted(places)
    assert len(set(places)) == len(places)


def test_all_equations_of_the_paper_are_on_the_methods_page() -> None:
    text = (ROOT / "docs" / "method.md").read_text(encoding="utf-8").split("## Equations\n")[1].split("\n## ")[0]
    assert [int(number) for number in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)] == list(range(1, 12))


def figures_of(path: Path) -> Iterator[float]:
    """Every number in the reports that a page shows: figures, differences and their bounds."""
    for found in doc_tables.BLOCK.finditer(path.read_text(encoding="utf-8")):
        report = doc_tables.REPORTS / f"{found['name']}.json"
        if report.is_file():
            yield from _numbers(json.loads(report.read_text(encoding="utf-8"))["tables"])


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _numbers(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers(inner)
    elif isinstance(value, float):
        yield abs(value)


#: Decimals of the papers, of settings, or of the table of pi-rec.md that says what a phase is given.
KNOWN = {
    "colour.md": {"24.21", "0.65", "0.5", "0.75"},
    "pi-rec.md": {"0.085", "0.089", "0.015", "0.017", "0.081", "0.079", "0.168", "0.171", "0.01", "0.1", "2.5", "5.4"},
    "x-gans.md": {"24.99", "0.85", "23.16", "0.82", "4.5", "0.5", "0.999", "0.1"},
    "cgan-faces.md": {"0.01", "0.5"},
}


@pytest.mark.parametrize("name", KNOWN)
def test_figures_in_the_prose_of_the_related_methods_are_those_of_their_reports(name: str) -> None:
    path = ROOT / "docs" / name
    text = re.sub(r"`[^`\n]*`|\[arXiv[^]]*\]|\(https?:[^)]*\)", "", prose(path))
    measured = list(figures_of(path))
    said = [each for each in re.findall(r"(?<![\w.])\d+\.\d+", text) if each not in KNOWN[name]]
    assert len(said) >= 4
    for text_of in said:
        digits = len(text_of.partition(".")[2])
        assert any(abs(float(text_of) - value) <= 0.5000001 * 10**-digits for value in measured), text_of


def test_the_readme_gives_the_figures_of_the_default_model_s_report() -> None:
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    told = re.search(r"the default model has PSNR (\S+) dB, SSIM (\S+) and FID (\S+); the paper reports", readme)
    assert told
    report = json.loads((ROOT / "docs" / "reports" / "cuhk-small-256-synthetic.json").read_text(encoding="utf-8"))
    (faces,) = [table for table in report["tables"] if table["key"] == "faces"]
    figures = faces["rows"][0]["figures"]
    assert [f"{figures['psnr']['value']:.2f}", f"{figures['ssim']['value']:.3f}", f"{figures['fid']['value']:.1f}"] == [
        *told.groups()
    ]


def test_the_ablation_pages_differences_follow_from_its_tables() -> None:
    text = (ROOT / "docs" / "ablation.md").read_text(encoding="utf-8")

    def row(name: str) -> list[float]:
        cells = re.findall(rf"^\| {name} \| ([^|]*)\| ([^|]*)\| ([^|]*)\| ([^|]*)\| ([^|]*)\| ([^|]*)\|", text, re.M)
        return [float(cell) for cell in cells[0]]

    without, full, lpips = row("without_d2_of_features"), row("all"), row("lpips_for_vgg")
    assert f"lowers FID by {without[4] - full[4]:.1f} and KID by {without[5] - full[5]:.3f}" in text
    assert f"costs {without[0] - full[0]:.2f} dB of PSNR and {without[3] - full[3]:.3f} of identity" in text
    cells = re.findall(r"^\| lpips_for_vgg \|.*LPIPS in the place of VGG's losses \|$", text, re.M)
    assert cells
    assert lpips


def test_the_studio_pages_latencies_are_those_of_its_report() -> None:
    rows = json.loads((ROOT / "docs" / "reports" / "studio-latency.json").read_text(encoding="utf-8"))["rows"]
    page = (ROOT / "docs" / "studio.md").read_text(encoding="utf-8")
    measured = {row["shown_median_ms"] for row in rows}
    said = [int(number) for number in re.findall(r"(\d+) ms", page)]
    assert len(said) == 6
    assert set(said) <= measured


def test_the_times_on_the_page_for_photographers_are_those_of_the_benchmark() -> None:
    parts = json.loads((ROOT / "docs" / "reports" / "benchmark.json").read_text(encoding="utf-8"))["parts"]
    page = (ROOT / "docs" / "your-photos.md").read_text(encoding="utf-8")
    measured = {f"{value:.1f}" for value in _numbers(parts["training"])}
    said = re.findall(r"\| (\d+\.\d) s \| (\d+\.\d) s \|", page)
    assert len(said) == 4
    for pair in said:
        assert set(pair) <= measured, pair


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", CONF, ids=[str(path.relative_to(ROOT)) for path in CONF])
def test_every_file_of_conf_says_what_it_is(path: Path) -> None:
    assert docs_site.read_conf(path).words, "write a comment at its head"


def test_every_key_of_conf_is_explained() -> None:
    """In its own file, or by the same key where that is at home (`docs_site.Explanations`)."""
    explained = docs_site.Explanations()
    for path in CONF:
        conf = docs_site.read_conf(path)
        if path.parent.name not in docs_site.CONTENTS:
            missing = [each.name for each in conf.settings if not explained.of(conf, each)]
            assert not missing, f"{path.relative_to(ROOT)}: write a comment for {', '.join(missing)}"


def test_a_key_without_a_comment_means_what_the_same_key_means_where_it_is_at_home() -> None:
    explained = docs_site.Explanations()
    for file, key, said in (
        ("system/pix2pix.yaml", "schedules.pix2pix.learning_rate", "Adam's, of the generators"),
        ("system/pi_rec.yaml", "weights.refinement.adversarial", "beta: weight of the GAN loss"),
        ("experiment/small/cali_sketch.yaml", "system.isn.generator.width", "channels at full resolution"),
        ("data/pairs.yaml", "validation.root", "a prepared folder, or a list of them"),
        ("network/unet.yaml", "_target_", docs_site.Explanations.TARGET),
    ):
        conf = docs_site.read_conf(docs_site.CONF / file)
        (setting,) = [each for each in conf.settings if each.name == key]
        assert explained.of(conf, setting) == said, (file, key)


def test_the_settings_page_has_every_key_with_its_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = docs_site.settings_page()
    for key in ("`batch_size`", "`system.schedules.joint.iterations`", "`init_from.scn`", "`schedules.scn.patience`"):
        assert f"| {key} |" in page, key
    monkeypatch.setattr(docs_site, "CONF", tmp_path)
    (tmp_path / "new.yaml").write_text(
        "# What it is,\n# in two lines.\n#   command --with \\\n#     more\ndefaults:\n  - a: b  # not a key\n"
        "one: 1  # what one is | with a bar\n# said above\ntwo:\n  inner: null\nhydra:\n  run: {dir: .}\n"
    )
    conf = docs_site.read_conf(tmp_path / "new.yaml")
    assert (conf.words, conf.commands) == (["What it is,", "in two lines."], ["command --with more"])
    assert conf.settings == [
        docs_site.Setting("one", "1", "what one is | with a bar"),
        docs_site.Setting("two", "", "said above"),
        docs_site.Setting("two.inner", "null", ""),
    ]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x.yaml").write_text("# x\na: 1\n")
    with pytest.raises(ValueError, match="conf/elsewhere has no place on the settings page"):
        docs_site.settings_page()


def test_links_between_the_website_and_the_repository_are_rewritten() -> None:
    assert (
        docs_site.relinked("[a](../MODEL_CARD.md#x) [b](method.md)", "models.md")
        == "[a](MODEL_CARD.md#x) [b](method.md)"
    )
    assert docs_site.relinked("[a](docs/models.md) ![p](docs/p.jpg)", "MODEL_CARD.md") == "[a](models.md) ![p](p.jpg)"
    assert docs_site.relinked("[a](../docs/models.md)", "data/README.md") == "[a](../models.md)"
    assert (
        docs_site.relinked("[a](../README.md) [b](https://x.org/a.md)", "house.md")
        == "[a](index.md) [b](https://x.org/a.md)"
    )
