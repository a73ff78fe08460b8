"""How long a person waits in the studio: from the end of a stroke until both panes show it, measured in the browser.

    python tools/benchmark/studio.py --out outputs/studio-latency

Strokes are drawn with the mouse in headless Chromium, each after the one before is shown. Needs the extra app,
Playwright for Python and Chromium (CALISKETCH_CHROMIUM says which).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import re
import shutil
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from calisketch import CaliSketch
from calisketch.inference.computing import Precision
from calisketch.networks import EncoderDecoder
from calisketch.studio.serve import studio
from calisketch.weights.names import DEFAULT_MODEL

if TYPE_CHECKING:
    from playwright.sync_api import Page

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WATCH = """() => {
    const panes = ["refined", "face"].map((name) => document.querySelector(`#panes figure[data-pane=${name}] img`));
    const said = document.querySelector("#panes .said");
    window.lifted = null; window.shown = null;
    document.querySelector("#sheet canvas.strokes").addEventListener(
        "pointerup", () => { window.lifted = performance.now(); window.shown = null; }, true);
    new MutationObserver(async () => {
        await Promise.all(panes.map((image) => image.decode()));
        window.shown = performance.now();
    }).observe(said, {attributes: true, attributeFilter: ["data-number"]});
}"""


def models(
    folders: list[str], width: int, paper_width: int | None, precisions: list[Precision]
) -> dict[str, CaliSketch]:
    """Trained models, and untrained ones of 256 pixels: what they paint takes as long as a trained one's face."""
    found = {Path(folder).name: CaliSketch.from_pretrained(folder) for folder in [DEFAULT_MODEL, *folders]}
    for each in [width, *([] if paper_width is None else [paper_width])]:
        torch.manual_seed(0)
        scn = EncoderDecoder(1, 1, each, 8, dilation=2, skips=True, head="sigmoid")
        isn = EncoderDecoder(1, 3, each, 8, dilation=2, skips=True, head="tanh")
        found[f"untrained, width {each}"] = CaliSketch(scn, isn, 256)
    run = [(name, model.to(precision=precision)) for name, model in found.items() for precision in precisions]
    return {f"{name} ({model.size} px, {model.precision})": model for name, model in run}


def strokes(count: int) -> list[list[tuple[float, float]]]:
    """A head, and short strokes within it; in sides of the sheet."""
    turns = np.linspace(0, 2 * math.pi, 25)
    head = [(0.5 + 0.27 * math.sin(turn), 0.53 - 0.36 * math.cos(turn)) for turn in turns]
    random = np.random.default_rng(0)
    short = []
    for _ in range(count):
        x, y = random.uniform(0.33, 0.62), random.uniform(0.3, 0.75)
        short.append([(x, y), (x + 0.03, y + 0.02), (x + 0.06, y - 0.01)])
    return [head, *short]


def measured(page: Page, count: int) -> list[dict[str, float]]:
    """Milliseconds of each stroke but the first: "shown", in the browser; "server", as the server tells them."""
    found = []
    for number, points in enumerate(strokes(count)):
        box = page.locator("#sheet canvas.strokes").bounding_box()
        assert box is not None
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place, steps=4)
        page.mouse.up()
        page.wait_for_function("window.lifted !== null && window.shown !== null && window.shown > window.lifted")
        told = re.search(r"(\d+) ms", page.locator("#panes .said").inner_text())
        if number and told:
            shown = float(page.evaluate("window.shown - window.lifted"))
            found.append({"shown": round(shown, 1), "server": float(told[1])})
        page.wait_for_timeout(100)
    return found


def row(name: str, times: list[dict[str, float]]) -> dict[str, Any]:
    """Median and 90 % of the times, in ms."""
    shown, server = ([each[kind] for each in times] for kind in ("shown", "server"))
    return {
        "model": name,
        "strokes": len(times),
        "shown_median_ms": round(median(shown)),
        "shown_90_ms": round(float(np.quantile(shown, 0.9))),
        "server_median_ms": round(median(server)),
        "server_90_ms": round(float(np.quantile(server, 0.9))),
        "each": times,
    }


def table(rows: list[dict[str, Any]], told: str) -> str:
    lines = [
        told,
        "",
        "| model | strokes | mouse-up to both panes, median | 90 % | of which the server, median | 90 % |",
        "|---|---|---|---|---|---|",
    ]
    for each in rows:
        times = (each[f"{kind}_{which}_ms"] for kind in ("shown", "server") for which in ("median", "90"))
        lines.append(f"| {each['model']} | {each['strokes']} | " + " | ".join(f"{time} ms" for time in times) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="*", default=[], help="model folders to measure beside the default model")
    parser.add_argument("--strokes", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", nargs="*", default=["auto"], choices=("auto", "fp32", "bf16"))
    parser.add_argument("--width", type=int, default=32, help="of the untrained model at 256 px")
    parser.add_argument("--paper-width", type=int, help="of a further one; the paper's networks have 64")
    parser.add_argument("--out", type=Path, help="a folder for studio-latency.json and .md")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    offered = models(given.model, given.width, given.paper_width, given.precision)
    rows = []
    with studio(dict(offered)) as address, sync_playwright() as playwright:
        chromium = shutil.which(os.environ.get("CALISKETCH_CHROMIUM") or "chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        version = browser.version
        for name in offered:
            page = browser.new_page(viewport={"width": 1300, "height": 900})
            page.set_default_timeout(120_000)
            page.goto(address)
            page.wait_for_selector("#sheet canvas.strokes")
            page.locator("#model input").click()
            page.get_by_role("option", name=name, exact=True).click()
            page.evaluate(WATCH)
            rows.append(row(name, measured(page, given.strokes)))
            page.close()
        browser.close()
    load = os.getloadavg()[0]
    where = (
        f"{given.threads} threads, torch {torch.__version__}, Chromium {version}, {platform.machine()}, load {load:.1f}"
    )
    print(table(rows, where))
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "studio-latency.json").write_text(json.dumps({"where": where, "rows": rows}, indent=2) + "\n")
        (given.out / "studio-latency.md").write_text(table(rows, where))


if __name__ == "__main__":
    main()
