"""A model folder from any checkpoint of a run, such as a stage's best one.

    python tools/save_model.py runs/paper/cali_sketch/checkpoints/best-joint.safetensors models/best

A run writes its model at each stage's end by itself; this is for the states in between. It also prints the line with
which others load the model from the web; for a folder that is there already, `python -m calisketch publish` does.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from calisketch import systems
from calisketch.commands.train import styles_of
from calisketch.networks import GENERATORS
from calisketch.relatives.any_model import load_model
from calisketch.training import CheckpointError
from calisketch.training.checkpoint import find_checkpoint, load_checkpoint
from calisketch.weights import address as hub
from calisketch.weights import folder as model_folder

SYSTEMS = {
    name: getattr(systems, name).name for name in systems.__all__ if name.endswith("System") and name != "System"
}
IN_THE_FOLDER = {"pix2pix": "isn"}  # a network's name there, where it is another than its stage's


def build(state: dict[str, Any], name: str) -> Any:
    """A generator with its averaged weights. Classes come from a table, never by the name that the file gives."""
    try:
        arguments = dict(state["config"]["system"][name]["generator"])
        network = GENERATORS[arguments.pop("_target_").rpartition(".")[2]](**arguments)
        network.load_state_dict(state["ema"][name]["average"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"the checkpoint has no generator {name!r} of this library that fits: {error!r}"
        ) from error
    return network


def info_of(state: dict[str, Any], checkpoint: str) -> dict[str, Any]:
    """What a run's own model folder says, of this checkpoint."""
    config = state["config"]
    times = (2 if config["data"].get("mirrored") else 1) * config["data"]["train"].get("variants", 1)
    own = {key: value for key, value in config["system"].get("x_gan", {}).items() if key in ("task", "point_loss")}
    return {
        **own,
        "name": config["name"],
        "system": SYSTEMS.get(config["system"]["_target_"].rpartition(".")[2]),
        "trained": f"{checkpoint}, step {state['step']} of {state['stage']}",
        "steps": {**state["lengths"], state["stage"]: state["step"]},
        "photos": state["data"]["train"] // times,
        "mirrored": bool(config["data"].get("mirrored")),
        "styles": styles_of(config["data"]["draw"] or {}),
        "precision": config["precision"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="a checkpoint, or a run folder: its newest")
    parser.add_argument("out", type=Path, help="the model folder to write")
    options = parser.parse_args()
    try:
        path = find_checkpoint(options.checkpoint)
        state = load_checkpoint(path)
        networks = {IN_THE_FOLDER.get(name, name): build(state, name) for name in state["ema"]}
        model_folder.save(options.out, networks, state["config"]["data"]["size"], info_of(state, path.name))
        print(f"{path} -> {options.out}; trained networks: {', '.join(state['trained']) or 'none'}")
        loader = type(load_model(options.out)).__name__
        print(hub.how_to_publish(options.out, loader))
    except (CheckpointError, OSError, ValueError, KeyError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
