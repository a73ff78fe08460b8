"""Nothing that this project reads can run code: shown over the source.

What is meant: files and messages. Python's own pools of processes (`multiprocessing`, `concurrent.futures`, a
DataLoader's workers, Hydra's launchers) hand objects over by pickling them, from and to processes that we started
ourselves; that is no way in for anybody. What third-party packages keep for themselves (W&B, submitit's job files) is
not looked at here.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    path for folder in ("calisketch", "tools", "tests", "examples") for path in (ROOT / folder).rglob("*.py")
)
CONFIGS = sorted((ROOT / "conf").rglob("*.yaml"))

MODULES = {"pickle", "_pickle", "cPickle", "pickletools", "dill", "cloudpickle", "shelve", "marshal", "jsonpickle"}
NEVER = {
    "torch.save", "torch.jit.load", "torch.package.PackageImporter", "torch.hub.load", "torch.serialization.load",
    "torch.hub.load_state_dict_from_url", "joblib.load", "joblib.dump", "pandas.read_pickle",
    "numpy.lib.format.read_array",
    "yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.unsafe_load_all", "yaml.full_load", "yaml.full_load_all",
    "eval", "exec", "compile", "__import__", "builtins.eval", "builtins.exec",
}  # fmt: skip
METHODS = {  # of any object: collectives of torch.distributed and of Lightning that pickle what they send
    "broadcast_object_list", "all_gather_object", "gather_object", "scatter_object_list", "send_object_list",
    "recv_object_list", "read_pickle", "to_pickle",
}  # fmt: skip
ONLY_WEIGHTS = {
    "calisketch/evaluation/measures/distribution.py",
    "calisketch/networks/hed.py",
    "calisketch/networks/vgg.py",
    "tests/evaluation/test_distribution.py",  # against the published network, read the same way
}
"""Where a published `.pth` is read: torch.load with weights_only=True, nowhere else."""
MAKES_STRANGERS_FILES = {
    "tests/evaluation/test_distribution.py",
    "tests/networks/test_hed.py",
    "tests/networks/test_vgg.py",
}
"""Tests that write a `.pth` as its publisher would, one with code in it, to see it refused."""


def _names(tree: ast.AST) -> dict[str, str]:
    """What each imported name stands for: {"t": "torch", "load": "torch.load"}."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                root = alias.name.split(".")[0]
                names[alias.asname or root] = alias.name if alias.asname else root
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _dotted(node: ast.expr, names: dict[str, str]) -> str:
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, names)}.{node.attr}"
    return "?"


def _argument(call: ast.Call, name: str) -> object:
    """The constant that a keyword is given; None if it is not given, an object of its own if it is no constant."""
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value.value if isinstance(keyword.value, ast.Constant) else object()
    return None


def _imports(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []


def findings(source: str, place: str = "calisketch/somewhere.py") -> list[str]:
    """Every way in which a module could unpickle or run what it reads, as "line: what"."""
    tree = ast.parse(source)
    names, found = _names(tree), []
    for node in ast.walk(tree):
        found += [f"{node.lineno}: {name}" for name in _imports(node) if name.split(".")[0] in MODULES]  # type: ignore[attr-defined]
        if isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load):
            name = _dotted(node, names)
            allowed = name == "torch.save" and place in MAKES_STRANGERS_FILES
            if (name in NEVER or name.split(".")[-1] in METHODS) and not allowed:
                found.append(f"{node.lineno}: {name}")
            if name == "torch.load" and place not in ONLY_WEIGHTS:
                found.append(f"{node.lineno}: torch.load outside {sorted(ONLY_WEIGHTS)}")
        if isinstance(node, ast.Call):
            name = _dotted(node.func, names)
            if name == "torch.load" and _argument(node, "weights_only") is not True:
                found.append(f"{node.lineno}: torch.load without weights_only=True")
            if _argument(node, "allow_pickle") not in (None, False):
                found.append(f"{node.lineno}: allow_pickle in {name}")
            if _argument(node, "pickle_module") is not None:
                found.append(f"{node.lineno}: pickle_module in {name}")
            if name.endswith("fabric.broadcast"):  # Lightning's pickles; torch.distributed.broadcast sends a tensor
                found.append(f"{node.lineno}: {name}")
            if name.startswith("webdataset.") and name.endswith((".decode", ".WebDataset", ".autodecode")):
                found.append(f"{node.lineno}: {name} unpickles members by their ending; read them one by one")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_unpickles_or_runs_what_it_reads(path: Path) -> None:
    assert findings(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix()) == []


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_configuration_makes_a_python_object_of_its_own(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "!!python" not in text
    for target in re.findall(r"_target_:\s*(\S+)", text):
        assert target.startswith("calisketch."), "a configuration makes parts of this package only"


def test_the_places_that_are_allowed_something_are_there() -> None:
    for place in ONLY_WEIGHTS | MAKES_STRANGERS_FILES:
        assert (ROOT / place).is_file()


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import cloudpickle as c",
        "import torch as t; t.save({}, 'x')",
        "from torch import load as read; read('x')",
        "import torch; torch.load('x', weights_only=False)",
        "import torch; torch.load('x')",
        "import torch; torch.load('x', **options)",
        "import torch; reader = torch.load",
        "import numpy as np; np.load('x', allow_pickle=True)",
        "import numpy; numpy.load('x', allow_pickle=yes)",
        "import yaml; yaml.load(text, Loader=yaml.Loader)",
        "import joblib; joblib.load('x')",
        "eval(text)",
        "import torch.distributed as dist; dist.broadcast_object_list([1])",
        "from torch.distributed import all_gather_object",
        "self.fabric.broadcast(state)",
        "import torch; torch.hub.load('a/b', 'c')",
        "import webdataset as wds; wds.WebDataset(url).decode('pil')",
    ],
)
def test_each_way_in_is_noticed(source: str) -> None:
    from_import = "all_gather_object"
    assert findings(source + (f"\n{from_import}([], 1)" if from_import in source else "")) != []


def test_what_is_harmless_is_left_alone() -> None:
    harmless = "import torch, re, numpy\nmodel.eval()\nre.compile('x')\nmodel.compile()\nnumpy.load('x')\n"
    assert findings(harmless) == []
    assert findings("import torch; torch.load('x', weights_only=True)", "calisketch/networks/hed.py") == []
