"""Drawing in a browser: the panes follow each stroke, and always show what is on the sheet."""

from __future__ import annotations

import numpy as np
import pytest
from studio_page import EYE, HEAD, MOUTH, PANES, StudioPage, same, wait_until
from studio_server import COLOURED, SHIPPED, TINY


def test_each_stroke_changes_the_panes_and_the_time_is_told(studio: StudioPage) -> None:
    assert studio.panes() == {}
    first = studio.after(lambda: studio.draw(HEAD))
    assert set(first) == set(PANES)
    assert (first["sketch"] < 128).sum() > 1000
    assert studio.said.startswith("calibrated and painted in ")
    assert studio.said.endswith(f" ms by {SHIPPED}")
    second = studio.after(lambda: studio.draw(EYE))
    assert same(first, second) == []
    eye = (second["sketch"] < 128) & (first["sketch"] >= 128)
    rows, columns = eye.nonzero()
    assert 0.3 < columns.mean() / 512 < 0.5
    assert 0.4 < rows.mean() / 512 < 0.48


def test_undo_and_redo_bring_back_the_very_panes(studio: StudioPage) -> None:
    assert studio.button("Undo").is_disabled()
    first = studio.after(lambda: studio.draw(HEAD))
    second = studio.after(lambda: studio.draw(MOUTH))
    assert same(studio.after(studio.button("Undo").click), first) == list(PANES)
    assert same(studio.after(studio.button("Redo").click), second) == list(PANES)
    assert studio.button("Redo").is_disabled()
    assert same(studio.after(lambda: studio.page.keyboard.press("Control+z")), first) == list(PANES)
    assert same(studio.after(lambda: studio.page.keyboard.press("Control+Shift+Z")), second) == list(PANES)


def test_the_eraser_takes_away_and_clear_takes_all(studio: StudioPage) -> None:
    whole = studio.after(lambda: studio.draw(HEAD))
    studio.button("Eraser").click()
    assert studio.button("Eraser").get_attribute("aria-pressed") == "true"
    rubbed = studio.after(lambda: studio.draw([(0.5, 0.05), (0.5, 0.3)]))
    gone, new = (rubbed["sketch"] > whole["sketch"]).sum(), (rubbed["sketch"] < whole["sketch"]).sum()
    assert gone > 20
    assert new == 0
    assert same(rubbed, whole) == []
    studio.button("Clear").click()
    wait_until(lambda: studio.panes() == {}, "empty panes")
    assert studio.said.startswith("nothing is drawn yet")
    assert same(studio.after(studio.button("Undo").click), rubbed) == list(PANES)


def test_an_empty_sheet_is_told_in_words(studio: StudioPage) -> None:
    assert studio.said == "Draw a face, open a sketch, or take an example."
    studio.button("Save the work (ZIP)").click()
    wait_until(lambda: studio.said == "There is nothing to save yet.", "a word on saving nothing")
    studio.button("Clear").click()
    wait_until(lambda: studio.said.startswith("nothing is drawn yet"), "a word on drawing nothing")
    assert studio.page.locator(".toast-body").count() == 0
    assert studio.panes() == {}


def test_a_wider_pen_draws_a_wider_stroke(studio: StudioPage) -> None:
    line = [(0.2, 0.5), (0.8, 0.5)]
    thin = studio.after(lambda: studio.draw(line))
    studio.page.get_by_label("Pen size in pixels").fill("20")
    wide = studio.after(lambda: studio.draw(line))
    assert ((thin["sketch"] < 128).any(1).sum(), (wide["sketch"] < 128).any(1).sum()) == (4, 20)


def test_strength_0_leaves_the_strokes_and_1_is_the_calibrated_sketch(studio: StudioPage) -> None:
    full = studio.after(lambda: studio.draw(HEAD))
    none = studio.after(lambda: studio.set_strength(0))
    half = studio.after(lambda: studio.set_strength(0.5))
    far = [np.abs(each["refined"].astype(int) - each["sketch"]).mean() for each in (none, half, full)]
    assert far[0] < 3, "but for the resampling to the model's side and back"
    assert far[0] + 3 < far[1] < far[2] - 3
    assert not np.array_equal(none["face"], full["face"])
    assert same(none, full) == ["sketch", "changes"], "what changed is told of the whole calibration"
    assert same(studio.after(lambda: studio.set_strength(1)), full) == list(PANES)


def test_the_panes_follow_the_strength_however_it_is_set(studio: StudioPage) -> None:
    full = studio.after(lambda: studio.draw(HEAD))
    weak = studio.after(lambda: studio.set_strength(0.3))
    assert "face" not in same(weak, full)
    assert same(studio.after(studio.page.locator("#strength button").click), full) == list(PANES), "back to 1"
    studio.after(lambda: studio.set_strength(0.3))
    studio.set_strength(5)  # becomes 1
    wait_until(lambda: same(studio.panes(), full) == list(PANES), "the panes of the strength that is shown")
    assert float(studio.page.locator("#strength input[type=number]").input_value()) == 1


def test_a_setting_on_an_empty_sheet_says_nothing(studio: StudioPage) -> None:
    studio.set_strength(0.4)
    studio.choose_model(TINY)
    studio.page.wait_for_timeout(500)
    assert studio.said == "Draw a face, open a sketch, or take an example."
    assert studio.after(lambda: studio.draw(HEAD))["face"].any()
    assert studio.said.endswith(f" ms by {TINY}")


def test_another_model_paints_the_same_sketch_again(studio: StudioPage) -> None:
    first = studio.after(lambda: studio.draw(HEAD))
    second = studio.after(lambda: studio.choose_model(TINY))
    assert same(first, second) == ["sketch"]
    assert studio.said.endswith(f" ms by {TINY}")


def test_flat_colours_are_offered_where_a_model_takes_them_and_change_the_face_alone(studio: StudioPage) -> None:
    lines = studio.after(lambda: studio.draw(HEAD))
    assert studio.button("Flat colours").is_hidden()
    assert studio.button("Colours of a photo").is_hidden()
    plain = studio.after(lambda: studio.choose_model(COLOURED))
    assert np.array_equal(plain["sketch"], lines["sketch"])
    studio.button("Flat colours").click()
    studio.page.get_by_label("Colour of the flat colours").fill("#c01040")
    coloured = studio.after(lambda: studio.draw([(0.4, 0.5), (0.6, 0.5), (0.5, 0.6)]))
    assert same(plain, coloured) == ["sketch", "refined", "changes"]
    assert same(studio.after(studio.button("Undo").click), plain) == list(PANES)
    assert same(studio.after(studio.button("Redo").click), coloured) == list(PANES)
    assert studio.button("Colours of a photo").is_visible()


BOTH = """() => {  // a finger beside the pen
  const sheet = document.querySelector("#sheet canvas.strokes"), box = sheet.getBoundingClientRect();
  const at = (kind, pointerId, x, y) => sheet.dispatchEvent(new PointerEvent(kind, {
    bubbles: true, cancelable: true, pointerId, button: 0,
    clientX: box.left + x * box.width, clientY: box.top + y * box.height,
  }));
  at("pointerdown", 1, 0.2, 0.3); at("pointerdown", 2, 0.9, 0.9); at("pointermove", 2, 0.8, 0.95);
  at("pointermove", 1, 0.5, 0.3); at("pointerup", 2, 0.8, 0.95); at("pointermove", 1, 0.7, 0.3);
  at("pointerup", 1, 0.7, 0.3);
}"""


def test_a_second_finger_draws_nothing(studio: StudioPage) -> None:
    shown = studio.after(lambda: studio.page.evaluate(BOTH))
    rows, columns = (shown["sketch"] < 128).nonzero()
    assert np.ptp(rows) < 8
    assert (columns.min() / 512, columns.max() / 512) == (pytest.approx(0.2, abs=0.02), pytest.approx(0.7, abs=0.02))
    studio.after(studio.button("Undo").click)
    assert studio.button("Undo").is_disabled(), "it was one stroke"


def test_undo_by_keys_leaves_the_focus_where_it_is_seen(studio: StudioPage) -> None:
    studio.after(lambda: studio.draw(HEAD))
    studio.page.locator("#sheet canvas.strokes").focus()
    studio.page.keyboard.press("Shift+Tab")
    while studio.page.evaluate("document.activeElement.innerText") != "Undo":
        studio.page.keyboard.press("Shift+Tab")
    studio.after(lambda: studio.page.keyboard.press("Enter"))
    outline = """() => [document.activeElement.className.includes("strokes"),
        parseFloat(getComputedStyle(document.activeElement).outlineWidth) > 0]"""
    assert studio.page.evaluate(outline) == [True, True]


QUICK = """(strokes) => {  // one after the other, faster than any hand
  const sheet = document.querySelector("#sheet canvas.strokes"), box = sheet.getBoundingClientRect();
  const at = (kind, x, y) => sheet.dispatchEvent(new PointerEvent(kind, {
    bubbles: true, cancelable: true, pointerId: 1, button: 0,
    clientX: box.left + x * box.width, clientY: box.top + y * box.height,
  }));
  for (let number = 0; number < strokes; number++) {
    at("pointerdown", 0.2, 0.1 + 0.05 * number);
    at("pointermove", 0.8, 0.12 + 0.05 * number);
    at("pointerup", 0.8, 0.12 + 0.05 * number);
  }
}"""


def test_of_quick_strokes_only_the_last_state_is_waited_for(studio: StudioPage) -> None:
    asked: list[str] = []
    studio.page.on("request", lambda request: asked.append(request.url) if "queue/join" in request.url else None)
    strokes = 14
    studio.page.evaluate(QUICK, strokes)
    wait_until(studio.followed, "the last stroke to be shown")
    studio.page.wait_for_timeout(400)
    assert studio.followed(), "nothing older comes after it"
    assert 1 <= len(asked) < strokes
    assert (studio.panes()["sketch"][:, 256] < 128).sum() >= strokes
