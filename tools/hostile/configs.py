"""Training configurations that make no sense, for tools/hostile.py: YAML files of wrong types, and files that attack.

A configuration is otherwise trusted as code is, since a `_target_` names what is called.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import yaml

from calisketch.commands import train as train_command
from calisketch.commands import train_config
from calisketch.training import Engine, Interrupted

GOOD = {"defaults": ["/experiment/smoke/cali_sketch"], "name": "hostile", "threads": 1, "data": {"size": 32}}
"""An experiment of a person's own, which the edits are made to."""


def write(folder: Path, seed: int = 0, share: float = 1.0) -> None:
    """Writes FOLDER/experiment/NAME.yaml and FOLDER/index.json: kind, name and what is expected of each."""
    (folder / "experiment").mkdir(parents=True)
    random = np.random.default_rng(seed)
    index = [["yaml", "good", "any"]]
    _write(folder, "good", GOOD)
    settings = [(key, value) for key, value in _settings() if random.random() < share]
    for key, value in settings:
        for name, wrong in _of_another_type(value).items():
            index.append(["yaml of wrong types", f"{key} as {name}", "refuse"])
            _write(folder, index[-1][1], _with(key, wrong))
        if isinstance(value, int | float) and not isinstance(value, bool):
            for extreme in (-1, 10**30, float("nan"), float("inf")):
                index.append(["yaml of extreme numbers", f"{key} as {extreme}", "any"])
                _write(folder, index[-1][1], _with(key, extreme))
    for name, text in attacks(folder / "touched").items():
        index.append(["yaml that attacks", name, "refuse"])
        (folder / "experiment" / f"{name}.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    (folder / "index.json").write_text(json.dumps(index))


def attempts(folder: Path) -> Iterator[tuple[str, str, Callable[[], str]]]:
    """(kind, name, what gives "refused" or "decoded"); a configuration is followed up to where training would begin."""
    for kind, name, expect in json.loads((folder / "index.json").read_text()):
        yield kind, name, lambda name=name, expect=expect: _compose(folder, name, expect)


def _compose(folder: Path, name: str, expect: str) -> str:
    said = io.StringIO()
    begun = Interrupted("training would begin")
    with mock.patch.object(Engine, "fit", side_effect=begun), contextlib.redirect_stderr(said):
        try:
            status = train_command.main(["--config-dir", str(folder), f"experiment='{name}'"])
        except SystemExit as error:
            status = int(error.code or 0)
    assert "Traceback" not in said.getvalue(), said.getvalue()[-300:]
    assert not (folder / "touched").exists(), "a configuration was executed"
    if status == 130:
        assert expect != "refuse", "taken, though it cannot be right"
        return "decoded"
    assert (status, bool(said.getvalue().strip())) == (1, True), f"exit status {status}: {said.getvalue()[-300:]!r}"
    assert name != "good", said.getvalue()[-300:]
    return "refused"


def attacks(target: Path) -> dict[str, str | bytes]:
    """Files that want to be executed, or that are no YAML. target: what a successful one would make."""
    head = "# @package _global_\ndefaults: [/experiment/smoke/cali_sketch]\n"
    return {
        "python object": f"{head}name: !!python/object/apply:os.system ['touch {target}']\n",
        "python name": f"{head}name: !!python/name:os.system\n",
        "deep": f"{head}name: {'[' * 3000}{']' * 3000}\n",
        "deep open": f"{head}name: {'[' * 3000}\n",
        "tab": f"{head}data:\n\tsize: 32\n",
        "twice": f"{head}seed: 1\nseed: 2\n",
        "list": "# @package _global_\n- a\n- b\n",
        "text": "# @package _global_\njust words\n",
        "binary": bytes(range(256)) * 4,
        "null": f"{head}name: a\0b\n",
        "latin": f"{head}name: caf\xe9\n".encode("latin-1"),
        "unknown": f"{head}seed: ${{nothing.there}}\n",
        "circle": f"{head}seed: ${{batch_size}}\nbatch_size: ${{seed}}\n",
        "unknown resolver": f"{head}seed: ${{shell:touch {target}}}\n",
        "no default": "# @package _global_\ndefaults: [nowhere]\n",
        "itself": "# @package _global_\ndefaults: [itself]\n",
        "digits": f"{head}seed: {'9' * 5000}\n",
        "unknown key": f"{head}learning_rat: 1\n",
    }


def _settings() -> Iterator[tuple[str, Any]]:
    """Dotted names of shipped settings with their values."""
    conf = train_config.conf_dir()
    for file, prefix in (("train.yaml", ""), ("data/photos.yaml", "data."), ("system/cali_sketch.yaml", "system.")):
        for key, value in train_config.leaves(yaml.safe_load((conf / file).read_text())):
            name = f"{prefix}{key}"
            if not name.startswith(("hydra", "defaults", "data.train", "data.validation")) and "_target_" not in name:
                yield name, value


def _of_another_type(value: Any) -> dict[str, Any]:
    """Values that no reading of the setting admits. Settings that may be null or are named by another are left out."""
    if value is None or (isinstance(value, str) and "${" in value):
        return {}
    wrong: dict[str, Any] = {"a mapping": {"a": 1}, "a list": [[1], {"b": 2}]}
    if not isinstance(value, str):
        wrong["a text"] = "much"
    return wrong


def _with(key: str, value: Any) -> dict[str, Any]:
    changed = json.loads(json.dumps(GOOD))
    node = changed
    *path, last = key.split(".")
    for part in path:
        node = node.setdefault(part, {})
    node[last] = value
    return changed


def _write(folder: Path, name: str, content: dict[str, Any]) -> None:
    text = "# @package _global_\n" + yaml.safe_dump(content, sort_keys=False)
    (folder / "experiment" / f"{name}.yaml").write_text(text)
