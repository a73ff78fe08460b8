"""A model folder from any checkpoint of a Cali-Sketch run, such as a stage's best one.

    python tools/save_model.py runs/cali_sketch/checkpoints/best-joint.safetensors models/best

A run writes its model at each stage's end by itself; this is for the states in between.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from calisketch import CaliSketch
from calisketch.pipeline import NETWORK_CLASSES
from calisketch.training import CheckpointError
from calisketch.training.checkpoint import find_checkpoint, load_checkpoint


def build(state: dict[str, Any], name: str) -> Any:
    """A generator with its averaged weights. Classes come from a table, never by the name that the file gives."""
    try:
        arguments = dict(state["config"]["system"][name]["generator"])
        network = NETWORK_CLASSES[arguments.pop("_target_").rpartition(".")[2]](**arguments)
        network.load_state_dict(state["ema"][name]["average"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"the checkpoint has no generator {name!r} of Cali-Sketch that fits: {error!r}"
        ) from error
    return network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="a checkpoint, or a run folder: its newest")
    parser.add_argument("out", type=Path, help="the model folder to write")
    options = parser.parse_args()
    try:
        path = find_checkpoint(options.checkpoint)
        state = load_checkpoint(path)
        networks, config = (build(state, "scn"), build(state, "isn")), state["config"]
        info = {
            "name": config["name"],
            "trained": f"{path.name}, step {state['step']} of {state['stage']}",
            "photos": state["data"].get("train"),
        }
        model = CaliSketch(*networks, config["data"]["size"], info)
        print(
            f"{path} -> {model.save_pretrained(options.out)}; trained networks: {', '.join(state['trained']) or 'none'}"
        )
    except (CheckpointError, OSError, ValueError, KeyError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
