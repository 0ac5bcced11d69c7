"""A real browser for tests: Debian's Chromium, without a screen."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, sync_playwright

_ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
_PATIENCE = 60_000  # milliseconds: MLflow's pages load some megabytes of scripts


def require_chromium() -> str:
    """The program; without it the test is skipped, and fails where CI=true."""
    program = shutil.which("chromium")
    if program is None:
        reason = "Debian's chromium is not installed"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return program


@contextmanager
def browser_page() -> Iterator[Page]:
    """An empty page of a fresh browser; an error of the page's own scripts fails the test."""
    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=require_chromium(), args=_ARGUMENTS)
        context = browser.new_context(viewport={"width": 1600, "height": 1200})
        context.set_default_timeout(_PATIENCE)
        context.on("weberror", lambda error: errors.append(str(error.error)))
        yield context.new_page()
        browser.close()
    assert errors == []
