"""One studio and one Chromium for all of these tests, a fresh page for each, and no error or foreign host in any."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from studio_page import StudioPage
from studio_server import COLOURED, SHIPPED, TINY, Server, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
GRADIOS_OWN = "Method not implemented."  # what its client warns of each time that a stream has ended


def _chromium() -> str | None:
    told = os.environ.get("CALISKETCH_CHROMIUM") or "chromium"
    return shutil.which(told) or shutil.which("chromium-browser") or shutil.which("google-chrome")


def pytest_sessionstart() -> None:
    wanted = {"gradio": "the extra app", "gradio_client": "the extra app", "playwright": "playwright"}
    missing = {what for name, what in wanted.items() if importlib.util.find_spec(name) is None}
    remedies = [f"{what} (pip install {what.replace('the extra app', '-e .[app]')})" for what in sorted(missing)]
    if _chromium() is None:
        remedies.append("Chromium (on Debian: apt-get install chromium)")
    if remedies:
        raise pytest.UsageError(f"the tests in a browser need {', and '.join(remedies)}. Install and run them again.")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("server"), SHIPPED, COLOURED, TINY) as found:
        yield found


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_chromium(), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(server: Server, chromium: Browser) -> Iterator[Page]:
    """An empty page of its own; errors in it, and whatever it asks of another host, fail the test at its end."""
    with chromium.new_context(viewport={"width": 1300, "height": 900}) as context:
        faults: list[str] = []

        def watched(page: Page) -> None:
            page.on("pageerror", lambda error: faults.append(f"error in the page: {error}"))
            page.on(
                "console",
                lambda said: (
                    faults.append(f"console: {said.text}")
                    if said.type in ("error", "warning") and said.text != GRADIOS_OWN
                    else None
                ),
            )
            page.on(
                "request",
                lambda asked: (
                    faults.append(f"asked another host: {asked.url[:200]}")
                    if asked.url.startswith(("http", "ws")) and urlsplit(asked.url).hostname != "127.0.0.1"
                    else None
                ),
            )

        context.on("page", watched)
        page = context.new_page()
        page.set_default_timeout(60_000)  # a machine may be busy
        yield page
        page.wait_for_timeout(50)  # what was just said still comes in
        assert not faults


@pytest.fixture
def studio(page: Page, server: Server) -> StudioPage:
    """The studio, opened."""
    return opened(page, server)


def opened(page: Page, server: Server) -> StudioPage:
    page.goto(server.address)
    page.wait_for_selector("#sheet canvas.strokes")
    page.wait_for_selector("#panes .said")
    return StudioPage(page)
