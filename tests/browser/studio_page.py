"""The studio's page as a person uses it: draw, choose, look at the panes."""

from __future__ import annotations

import base64
import io
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from calisketch.studio.painter import on_white

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

PANES = ("sketch", "refined", "face", "changes")
Point = tuple[float, float]
Pictures = dict[str, np.ndarray]

HEAD: list[Point] = [(0.5 + 0.27 * math.sin(turn), 0.53 - 0.36 * math.cos(turn)) for turn in np.linspace(0, 6.2, 20)]
EYE: list[Point] = [(0.34, 0.45), (0.4, 0.42), (0.46, 0.46)]
MOUTH: list[Point] = [(0.4, 0.72), (0.5, 0.75), (0.6, 0.71)]


class StudioPage:
    """Args: page: where the studio has been opened."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    @property
    def number(self) -> int:
        """Of the last answer that the panes show."""
        return int(self.page.locator("#panes .said").get_attribute("data-number") or 0)

    @property
    def said(self) -> str:
        return self.page.locator("#panes .said").inner_text()

    def draw(self, points: Sequence[Point], steps: int = 3) -> None:
        """A stroke with the mouse; points in sides of the sheet."""
        sheet = self.page.locator("#sheet canvas.strokes")
        sheet.scroll_into_view_if_needed()
        box = sheet.bounding_box()
        assert box is not None
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*place, steps=steps)
        self.page.mouse.up()

    def layer(self, name: str = "strokes") -> np.ndarray:
        """(512, 512, 4) uint8, of the sheet."""
        address = self.page.eval_on_selector(f"#sheet canvas.{name}", "canvas => canvas.toDataURL('image/png')")
        return np.asarray(picture(address).convert("RGBA"))

    def drawn(self) -> np.ndarray:
        """The sheet's strokes on white, (512, 512); all white where there are none."""
        layer = self.layer()
        return np.asarray(on_white(Image.fromarray(layer))) if layer[..., 3].any() else np.full((512, 512), 255, "u1")

    def address(self, pane: str) -> str:
        return self.page.locator(f"#panes figure[data-pane={pane}] img").get_attribute("src") or ""

    def panes(self) -> Pictures:
        """What the panes show; none of those that are empty."""
        addresses = {pane: self.address(pane) for pane in PANES}
        return {
            name: np.asarray(picture(each)) for name, each in addresses.items() if each.startswith("data:image/png")
        }

    def followed(self) -> bool:
        """Whether the panes show what is on the sheet now."""
        shown = self.panes()
        return np.array_equal(shown.get("sketch", np.full((512, 512), 255, "u1")), self.drawn())

    def after(self, act: Callable[[], Any]) -> Pictures:
        """The panes once they show a new answer, of what is on the sheet then."""
        before = self.number
        act()
        wait_until(lambda: self.number != before, "a new answer")
        wait_until(self.followed, "the panes to show what is on the sheet")
        return self.panes()

    def choose_model(self, name: str) -> None:
        self.page.locator("#model input").click()
        self.page.get_by_role("option", name=name, exact=True).click()

    def set_strength(self, value: float) -> None:
        number = self.page.locator("#strength input[type=number]")
        number.fill(str(value))
        number.blur()

    def open_file(self, button: str, *files: Path) -> None:
        """Hand files to one of the buttons that open them."""
        self.page.get_by_test_id(f"{button}-upload-button").set_input_files(files)

    def downloaded(self, act: Callable[[], Any]) -> tuple[str, bytes]:
        """(suggested name, content) of what the browser saves."""
        with self.page.expect_download() as waiting:
            act()
        return waiting.value.suggested_filename, waiting.value.path().read_bytes()

    def message(self) -> str:
        """What the page says in a notice; it is closed again."""
        notice = self.page.locator(".toast-body").first
        notice.wait_for()
        text = notice.inner_text()
        notice.get_by_test_id("toast-close").click()
        notice.wait_for(state="detached")
        return text


def same(one: Pictures, other: Pictures) -> list[str]:
    """The panes that show the same in both."""
    return [name for name in PANES if name in one and name in other and np.array_equal(one[name], other[name])]


def picture(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.partition("base64,")[2])))


def wait_until(true: Callable[[], bool], what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.03)
