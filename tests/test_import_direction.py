"""The arrows of the architecture: a module imports only from its own layer or a lower one."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "calisketch"

CONFIGURED = {f"commands.{name}" for name in ("train_config", "hydra_entry", "prepare", "train", "evaluate", "compare")}
LAYERS = [
    {"_torchvision_shim", "checks", "options", "remedies", "stage", "whole_files"},
    {"weights"},
    {"boundary"},
    {"networks"},
    {"inference"},
    {"sketching"},  # its edge maps wrap networks.hed
    {"compression"},
    {"losses", "datasets", "evaluation"},
    {"calibration_targets"},
    {"scn", "isn"},
    {"systems", "training"},  # neither imports the other: they meet at stage
    {"pipeline", "fitting", "export"},
    {"relatives"},
    {"studio"},
    {"commands"},
    {"__init__", "__main__"},
]
LAYER_OF = {name: level for level, names in enumerate(LAYERS) for name in names}
FORBIDDEN = {("systems", "training"), ("training", "systems")}
# Within a topic: rooms, and modules beside them, from the lowest layer up. Two of one layer do not know each other.
INNER = {
    "datasets": [
        {"manifest", "tars", "border"},
        {"entries", "shard_journal"},
        {"preparing", "reading", "drawn"},
        {"__init__"},
    ],
    "evaluation": [{"device"}, {"measures"}, {"reports"}, {"running"}, {"__init__"}],
}
HEAVY = {"hydra", "omegaconf", "lightning_fabric", "wandb", "pytorch_fid", "tqdm", "matplotlib", "gradio"}
HEAVY |= {"onnx", "onnxscript", "onnxruntime", "openvino"}


def _topic(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _room(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def _imports(path: Path) -> list[tuple[str, bool]]:
    """Dotted absolute names that a file imports, and whether at module level."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    at_top = {id(node) for node in tree.body}
    parts = ["calisketch", *path.relative_to(PACKAGE).with_suffix("").parts]
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) in at_top) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = parts[: len(parts) - node.level] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found += [(f"{module}.{alias.name}", id(node) in at_top) for alias in node.names]
    return found


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_arrow_runs_back_up(path: Path) -> None:
    here = _topic(path)
    assert here in LAYER_OF, f"{here} has no place in the architecture; give it one in LAYERS"
    for name, _ in _imports(path):
        target = name.split(".")
        if target[0] != "calisketch" or len(target) < 2 or target[1] not in LAYER_OF:
            continue
        assert LAYER_OF[target[1]] <= LAYER_OF[here], f"{path.name} ({here}) imports {name}"
        assert (here, target[1]) not in FORBIDDEN, f"{path.name} ({here}) imports {name}"


@pytest.mark.parametrize(
    "path", [path for path in MODULES if _topic(path) in INNER], ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_within_a_topic_no_arrow_runs_back_up_or_across(path: Path) -> None:
    topic, here = _room(path).split(".")[:2]
    layer_of = {name: level for level, names in enumerate(INNER[topic]) for name in names}
    assert here in layer_of, f"{here} has no place in {topic}; give it one in INNER"
    for name, _ in _imports(path):
        target = name.split(".")
        if target[:2] == ["calisketch", topic] and len(target) > 2 and target[2] in layer_of.keys() - {here}:
            assert layer_of[target[2]] < layer_of[here], f"{path.name} ({topic}.{here}) imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_commands_and_tools_import_hydra(path: Path) -> None:
    if _room(path) not in CONFIGURED:
        assert not [name for name, _ in _imports(path) if name.split(".")[0] in {"hydra", "omegaconf"}]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_packages_of_an_extra_are_imported_late_outside_training(path: Path) -> None:
    late = _topic(path) not in {"training", "export", "studio"} and _room(path) not in CONFIGURED
    if late:
        assert not [name for name, top in _imports(path) if top and name.split(".")[0] in HEAVY]
