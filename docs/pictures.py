"""Update the pictures in the documentation from an execution of the default study.

Run `python docs/pictures.py FOLDER` with the execution's folder of plots, or `python docs/pictures.py URL`
with the address that `regress run` printed, while MLflow serves it.
"""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).parent / "images"
PICTURES = {"error-by-lr-and-sigma.png": "default.png", "order-effect.png": "default-orders.png"}


def copy_plots(plots: Path) -> None:
    """Copy the figures that the documentation shows."""
    for plot, picture in PICTURES.items():
        shutil.copy(plots / plot, IMAGES / picture)


def take_screenshot(address: str) -> None:
    """Save a screenshot of the comparison page in MLflow."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1500, "height": 1230})
        page.goto(address)
        for button in ("Close", "Hide banner"):  # the assistant's panel and the banner on shared views
            page.get_by_role("button", name=button).click()
        page.wait_for_function("document.querySelectorAll('.js-plotly-plot').length == 2")
        page.wait_for_timeout(3000)  # the lines are drawn in slices
        picture = Image.open(io.BytesIO(page.screenshot()))
        picture.quantize(256).save(IMAGES / "comparison.png", optimize=True)
        browser.close()


if __name__ == "__main__":
    (source,) = sys.argv[1:]
    if source.startswith("http"):
        take_screenshot(source)
    else:
        copy_plots(Path(source))
