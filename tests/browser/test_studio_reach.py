"""Without a mouse, without seeing the page, on a small screen: all of it is reachable, named and in sight."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from studio_page import EYE, HEAD, PANES, StudioPage, same, wait_until
from studio_server import COLOURED

if TYPE_CHECKING:
    from playwright.sync_api import Page

NAME_OF_FOCUSED = """() => {
    const focused = document.activeElement;
    if (!focused || focused === document.body) return "";
    const label = focused.labels && focused.labels.length ? focused.labels[0].innerText : "";
    return (focused.getAttribute("aria-label") || label || focused.innerText || focused.value || "").trim();
}"""
CONTROLS = {
    "button", "checkbox", "radio", "slider", "spinbutton", "combobox", "tab", "link", "textbox", "ColorWell",
    "application", "canvas", "radiogroup", "toolbar", "tablist", "option", "menuitem", "listbox", "searchbox",
}  # fmt: skip
ELSEWHERE = {"tablist", "listbox"}  # Gradio's own, which hold named entries


def nodes(page: Page) -> list[tuple[str, str]]:
    """(role, name) of what Chromium tells a screen reader."""
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")
    seen: list[dict[str, Any]] = [node for node in tree["nodes"] if not node.get("ignored")]
    return [(node["role"]["value"], node.get("name", {}).get("value", "").strip()) for node in seen if "role" in node]


def tabbed(page: Page, most: int = 70) -> list[str]:
    """Names of what the Tab key reaches, in its order, from the top."""
    names = []
    page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    for _ in range(most):
        page.keyboard.press("Tab")
        name = page.evaluate(NAME_OF_FOCUSED)
        names.append(name)
    return names


def test_the_tab_key_reaches_everything(studio: StudioPage) -> None:
    studio.after(lambda: studio.draw(HEAD))
    studio.after(lambda: studio.draw(EYE))
    studio.after(studio.button("Undo").click)
    studio.after(lambda: studio.choose_model(COLOURED))
    reached = tabbed(studio.page)
    wanted = [
        "Draw", "Batch", "Pen", "Eraser", "Pen size", "Undo", "Redo", "Clear", "Lines", "Flat colours",
        "Colour of the flat colours", "Drawing sheet", "Tracing photo", "Photo strength", "Guide",
        "Open a sketch", "Open a work", "Colours of a photo", "woman-bob", "Save the work", "Download as face.png",
        "Strength of the calibration", "Model",
    ]  # fmt: skip
    missing = [name for name in wanted if not any(name in each for each in reached)]
    assert missing == [], reached
    studio.page.get_by_role("tab", name="Batch").focus()
    studio.page.keyboard.press("Enter")
    studio.page.locator("#batch-start").wait_for(state="visible")
    reached = tabbed(studio.page, 12)
    assert any("upload" in name.lower() for name in reached), reached
    assert any("Calibrate and paint all" in name for name in reached), reached


def test_a_stroke_is_drawn_with_the_arrow_keys_and_space(studio: StudioPage) -> None:
    keys = studio.page.keyboard
    studio.page.locator("#sheet canvas.strokes").focus()
    for _ in range(3):
        keys.press("Shift+ArrowUp")

    def stroke() -> None:
        keys.down(" ")
        for key in ("ArrowRight", "ArrowRight", "Shift+ArrowRight", "Shift+ArrowDown"):
            keys.press(key)
        keys.up(" ")

    first = studio.after(stroke)
    rows, columns = (first["sketch"] < 128).nonzero()
    assert (columns.min(), columns.max()) == (pytest.approx(254, abs=3), pytest.approx(294, abs=3))
    assert (rows.min(), rows.max()) == (pytest.approx(182, abs=3), pytest.approx(210, abs=3))
    keys.press("e")
    assert studio.button("Eraser").get_attribute("aria-pressed") == "true"
    keys.press("b")
    assert studio.button("Pen").get_attribute("aria-pressed") == "true"
    second = studio.after(lambda: (keys.press("Shift+ArrowLeft"), stroke()))
    assert same(first, second) == []
    assert same(studio.after(lambda: keys.press("Control+z")), first) == list(PANES)


def test_examples_are_taken_and_saved_by_keys_alone(studio: StudioPage) -> None:
    studio.button("woman-bob").focus()
    shown = studio.after(lambda: studio.page.keyboard.press(" "))
    assert set(shown) == set(PANES)
    studio.button("Save the work (ZIP)").focus()
    name, data = studio.downloaded(lambda: studio.page.keyboard.press("Enter"))
    assert name == "calisketch-work.zip"
    assert data[:2] == b"PK"


def test_every_control_has_a_name(studio: StudioPage) -> None:
    studio.after(lambda: studio.draw(HEAD))
    studio.after(lambda: studio.choose_model(COLOURED))
    for tab in ("Draw", "Batch"):
        studio.page.get_by_role("tab", name=tab).click()
        studio.page.locator("#sheet" if tab == "Draw" else "#batch-start").wait_for(state="visible")
        found = nodes(studio.page)
        assert len([role for role, _ in found if role == "button"]) >= 2
        assert [role for role, name in found if role in CONTROLS - ELSEWHERE and not name] == []
    studio.page.get_by_role("tab", name="Draw").click()
    images = [image.get_attribute("alt") for image in studio.page.locator("#panes img").all()]
    assert len(images) == 4
    assert all(images)
    assert studio.page.locator("html").get_attribute("lang")
    assert studio.page.title() == "calisketch studio"


def test_what_is_said_of_each_answer_is_read_aloud(studio: StudioPage) -> None:
    status = studio.page.locator("#panes [role=status]")
    studio.after(lambda: studio.draw(HEAD))
    assert status.inner_text() == studio.said
    assert studio.said.startswith("calibrated and painted in ")


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1300, 900)])
def test_it_fits_the_screen(studio: StudioPage, tmp_path: Path, width: int, height: int) -> None:
    page = studio.page
    page.set_viewport_size({"width": width, "height": height})
    studio.after(lambda: studio.button("woman-bob").click())
    for name in ("Draw", "Batch"):
        page.get_by_role("tab", name=name).click()
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, "no scrolling sideways"
        page.screenshot(path=tmp_path / f"{name}-{width}.png", full_page=True)
    page.get_by_role("tab", name="Draw").click()
    sheet = page.locator("#sheet canvas.strokes").bounding_box()
    panes = [page.locator(f"#panes figure[data-pane={pane}] img").bounding_box() for pane in PANES]
    assert sheet is not None
    assert sheet["width"] >= 0.75 * min(width, 512)
    assert sheet["width"] == pytest.approx(sheet["height"], abs=1)
    for box in panes:
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert box["width"] >= 0.35 * min(width, 420), "two of them side by side"
    if width > 1000:
        assert panes[0] is not None
        assert panes[0]["x"] > sheet["x"] + sheet["width"], "beside the sheet"
        assert panes[0]["y"] < height


def test_strokes_lie_under_the_pen_on_a_narrow_screen(studio: StudioPage) -> None:
    studio.page.set_viewport_size({"width": 390, "height": 844})
    shown = studio.after(lambda: studio.draw(HEAD))
    rows, columns = np.nonzero(shown["sketch"] < 128)
    assert (columns.min() / 512, columns.max() / 512) == (pytest.approx(0.23, abs=0.02), pytest.approx(0.77, abs=0.02))
    assert (rows.min() / 512, rows.max() / 512) == (pytest.approx(0.17, abs=0.02), pytest.approx(0.89, abs=0.02))
    where = studio.page.evaluate("window.scrollY")
    studio.after(lambda: studio.draw(EYE))
    wait_until(lambda: studio.page.evaluate("window.scrollY") == where, "the page to lie still while it is drawn on")
