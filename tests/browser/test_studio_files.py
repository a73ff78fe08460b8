"""What goes onto the page and comes off it: sketches, works, photos, batches."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import opened
from PIL import Image
from studio_page import HEAD, MOUTH, PANES, StudioPage, picture, same, wait_until
from studio_server import COLOURED, SHIPPED, TINY, Server

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PAGE = EXAMPLES / "photographed-page.jpg"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    ramp = np.linspace(0, 255, 240, dtype=np.uint8)
    rgb = np.stack([np.tile(ramp, (320, 1)), np.full((320, 240), 90, np.uint8), np.tile(ramp[::-1], (320, 1))], axis=2)
    Image.fromarray(rgb).save(tmp_path / "person.png")
    return tmp_path / "person.png"


def test_an_example_comes_onto_the_sheet_and_can_be_drawn_on(studio: StudioPage) -> None:
    shown = studio.after(lambda: studio.button("woman-bob").click())
    assert 0.01 < (shown["sketch"] < 128).mean() < 0.3
    more = studio.after(lambda: studio.draw(MOUTH))
    assert (more["sketch"] <= shown["sketch"]).all()
    assert same(shown, more) == []
    assert same(studio.after(studio.button("Undo").click), shown) == list(PANES)


def test_the_same_example_can_be_taken_again(studio: StudioPage) -> None:
    shown = studio.after(studio.button("man-fringe").click)
    studio.after(studio.button("Clear").click)
    assert same(studio.after(studio.button("man-fringe").click), shown) == list(PANES)


def test_a_photographed_page_comes_onto_the_sheet_clean(studio: StudioPage) -> None:
    shown = studio.after(lambda: studio.open_file("Open a sketch", PAGE))
    assert set(shown) == set(PANES)
    assert np.median(shown["sketch"]) == 255
    rows, columns = (shown["sketch"] < 128).nonzero()
    assert 200 < rows.max() - rows.min() <= 512
    assert abs(columns.mean() - 256) < 60


def test_the_colours_of_a_photo_become_the_flat_layer(studio: StudioPage, photo: Path) -> None:
    studio.after(lambda: studio.draw(HEAD))
    plain = studio.after(lambda: studio.choose_model(COLOURED))
    shown = studio.after(lambda: studio.open_file("Colours of a photo", photo))
    layer = studio.layer("colours")
    assert (layer[..., 3] == 255).all()
    assert layer[256, 40, 0] < layer[256, 470, 0]
    assert layer[256, 40, 2] > layer[256, 470, 2]
    assert same(plain, shown) == ["sketch", "refined", "changes"]


def test_a_tracing_photo_is_seen_and_never_sent(studio: StudioPage, photo: Path) -> None:
    before = studio.after(lambda: studio.draw(HEAD))
    sent: list[tuple[str, bytes]] = []
    studio.page.on("request", lambda request: sent.append((request.url, request.post_data_buffer or b"")))
    trace = studio.page.locator("#sheet img.trace")
    assert trace.is_hidden()
    studio.page.get_by_label("Tracing photo: is shown").set_input_files(photo)
    trace.wait_for(state="visible")
    seen = np.asarray(Image.open(io.BytesIO(studio.page.locator("#sheet .sheet").screenshot())).convert("RGB"))
    middle, height = seen.shape[1] // 2, seen.shape[0] // 3
    assert np.ptp(seen[height, middle - 5 : middle + 5].astype(int), axis=1).max() > 20, "the photo's colours show"
    studio.after(lambda: studio.draw(MOUTH))
    assert same(studio.after(studio.button("Undo").click), before) == list(PANES)
    studio.downloaded(studio.button("Save the work (ZIP)").click)
    bodies = b"\n".join(body for _, body in sent)
    assert not [url for url, _ in sent if "upload" in url]
    addresses = re.findall(r"data:[\w/]+;base64,[\w+/=]+", bodies.decode())
    assert any(b"data:image/png" in body for _, body in sent), "the strokes are sent"
    assert bodies.count(b"image/jpeg") == 0
    assert photo.read_bytes()[40:80] not in bodies
    assert bodies.count(b"data:") == len(addresses) >= 3, "the strokes are sent: drawn, undone, saved"
    for address in addresses:
        layer = picture(address)
        assert (layer.format, layer.mode) == ("PNG", "RGBA")
        assert not np.asarray(layer)[..., :3].any(), "nothing but black lines"
    assert max(map(len, bodies.split(b'"'))) == max(map(len, addresses)), "and nothing else of their length"
    studio.button("Remove photo").click()
    assert trace.is_hidden()
    assert "Tracing photo" in studio.page.evaluate("document.activeElement.getAttribute('aria-label')")


@pytest.mark.parametrize("pane", PANES)
def test_a_pane_is_saved_as_it_is_shown(studio: StudioPage, pane: str) -> None:
    studio.after(lambda: studio.draw(HEAD))
    name, data = studio.downloaded(studio.page.get_by_role("link", name=f"Download as {pane}.png").click)
    assert name == f"{pane}.png"
    canvas = """async (selector) => {
        const image = document.querySelector(selector), canvas = document.createElement("canvas");
        await image.decode();
        canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
        canvas.getContext("2d").drawImage(image, 0, 0);
        return canvas.toDataURL("image/png");
    }"""
    shown = picture(studio.page.evaluate(canvas, f"#panes figure[data-pane={pane}] img"))
    with Image.open(io.BytesIO(data)) as saved:
        assert saved.format == "PNG"
        assert np.array_equal(np.asarray(saved.convert("RGB")), np.asarray(shown.convert("RGB")))


def test_a_work_is_saved_and_loads_back_into_a_fresh_page(studio: StudioPage, server: Server, tmp_path: Path) -> None:
    studio.after(lambda: studio.draw(HEAD))
    studio.after(lambda: studio.choose_model(COLOURED))
    studio.after(lambda: studio.set_strength(0.6))
    studio.button("Flat colours").click()
    shown = studio.after(lambda: studio.draw([(0.4, 0.5), (0.6, 0.5)]))
    name, data = studio.downloaded(studio.button("Save the work (ZIP)").click)
    assert name == "calisketch-work.zip"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        for pane in PANES:
            assert np.array_equal(np.asarray(Image.open(io.BytesIO(archive.read(f"{pane}.png")))), shown[pane])
        settings = json.loads(archive.read("settings.json"))
    assert (settings["model"], settings["strength"]) == (COLOURED, 0.6)
    (tmp_path / name).write_bytes(data)

    other = opened(studio.page.context.new_page(), server)
    other.page.evaluate(
        """() => { window.heard = []; new MutationObserver(() => window.heard.push(
            document.querySelector("#panes .said").textContent)).observe(
            document.querySelector("#panes .said"), {childList: true}); }"""
    )
    other.open_file("Open a work (ZIP)", tmp_path / name)
    wait_until(lambda: same(other.panes(), shown) == list(PANES), "the same panes")
    assert other.page.locator("#model input").input_value() == COLOURED
    assert float(other.page.locator("#strength input[type=number]").input_value()) == 0.6
    assert other.said.endswith(f"by {COLOURED}")
    assert not [said for said in other.page.evaluate("window.heard") if "nothing is drawn" in said]


def test_a_work_of_the_drawing_that_is_there_brings_its_strength(studio: StudioPage, tmp_path: Path) -> None:
    shown = studio.after(lambda: studio.draw(HEAD))
    _, data = studio.downloaded(studio.button("Save the work (ZIP)").click)
    (tmp_path / "work.zip").write_bytes(data)
    weaker = studio.after(lambda: studio.set_strength(0.3))
    assert "face" not in same(shown, weaker)
    studio.open_file("Open a work (ZIP)", tmp_path / "work.zip")
    wait_until(lambda: same(studio.panes(), shown) == list(PANES), "the panes of the work")


def test_what_is_no_sketch_and_no_work_is_told_in_words_and_the_page_goes_on(
    studio: StudioPage, tmp_path: Path
) -> None:
    (tmp_path / "text.png").write_text("no picture at all")
    with zipfile.ZipFile(tmp_path / "foreign.zip", "w") as archive:
        archive.writestr("../evil.txt", "x")
    (tmp_path / "cut.zip").write_bytes((tmp_path / "foreign.zip").read_bytes()[:30])
    Image.new("L", (6000, 6000), 255).save(tmp_path / "large.png")
    Image.new("L", (300, 300), 255).save(tmp_path / "blank.png")
    before = studio.after(lambda: studio.draw(HEAD))
    for button, file, reason in (
        ("Open a sketch", "text.png", "text.png is not an image that can be read here"),
        ("Open a sketch", "large.png", "24 million"),
        ("Open a sketch", "blank.png", "blank"),
        ("Open a work (ZIP)", "foreign.zip", "the work has no sketch.png"),
        ("Open a work (ZIP)", "cut.zip", "ZIP"),
    ):
        studio.open_file(button, tmp_path / file)
        said = studio.message()
        assert reason in said, file
        assert str(tmp_path) not in said
        assert "calisketch-studio-" not in said
    assert same(studio.panes(), before) == list(PANES)
    assert same(before, studio.after(lambda: studio.draw(MOUTH))) == []


def test_a_batch_gives_a_zip_a_contact_sheet_and_what_went_wrong(studio: StudioPage, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.write(EXAMPLES / "man-glasses.png", "inside/man-glasses.png")
    (tmp_path / "broken.png").write_bytes(PAGE.read_bytes()[:100])
    studio.choose_model(TINY)
    studio.page.get_by_role("tab", name="Batch").click()
    files = [EXAMPLES / "woman-bob.png", EXAMPLES / "man-fringe.png", tmp_path / "more.zip", tmp_path / "broken.png"]
    studio.page.locator("#batch-files input[type=file]").set_input_files(files)
    studio.page.locator("#batch-files").get_by_text("broken.png").or_(
        studio.page.locator("#batch-files .file-preview")
    ).first.wait_for()
    studio.button("Calibrate and paint all").click()
    said = studio.page.locator("#batch-said")
    said.get_by_text("3 sketches calibrated and painted.").wait_for()
    assert "broken.png" in said.inner_text()
    name, data = studio.downloaded(studio.page.locator("#batch-archive a[download]").first.click)
    assert name == "results.zip"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        wanted = {"woman-bob", "man-fringe", "man-glasses"}
        assert {Path(each).stem for each in names if each.startswith("faces/")} == wanted
        assert {Path(each).stem for each in names if each.startswith("refined/")} == wanted
        assert "broken.png" in archive.read("problems.txt").decode()
    sheet = studio.page.locator("#batch-sheet img")
    wait_until(lambda: sheet.evaluate("image => image.complete && image.naturalWidth") > 3 * 128, "the contact sheet")


def test_a_stroke_is_painted_while_a_batch_runs(studio: StudioPage, tmp_path: Path) -> None:
    studio.choose_model(TINY)
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for number in range(16):
            archive.write(EXAMPLES / "woman-bob.png", f"{number}.png")
    studio.page.get_by_role("tab", name="Batch").click()
    studio.page.locator("#batch-files input[type=file]").set_input_files(tmp_path / "many.zip")
    studio.page.locator("#batch-files .file-preview").first.wait_for()
    studio.button("Calibrate and paint all").click()
    studio.page.get_by_role("tab", name="Draw").click()
    assert set(studio.after(lambda: studio.draw(HEAD))) == set(PANES)
    said = studio.page.locator("#batch-said")
    assert re.search(r"\d+/16 sketches", said.text_content() or ""), "the batch is still at work, and tells how far"
    studio.page.get_by_role("tab", name="Batch").click()
    said.get_by_text("16 sketches calibrated and painted.").wait_for(timeout=120_000)


def test_a_batch_of_nothing_is_told_in_words(studio: StudioPage) -> None:
    assert studio.page.locator("#model input").input_value() == SHIPPED
    studio.page.get_by_role("tab", name="Batch").click()
    studio.button("Calibrate and paint all").click()
    assert "no sketches are given" in studio.message()
