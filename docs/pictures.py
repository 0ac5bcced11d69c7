"""Takes the documentation's pictures from an execution of the default study.

python docs/pictures.py mlruns/1/RUN/artifacts/plots, or the address that `regress run` ended with, while
MLflow serves it: then that page is photographed.
"""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).parent / "images"
PICTURES = {"error-by-lr-and-sigma.png": "default.png", "order-effect.png": "default-orders.png"}


def take(plots: Path) -> None:
    for plot, picture in PICTURES.items():
        shutil.copy(plots / plot, IMAGES / picture)


def photograph(address: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1500, "height": 1230})
        page.goto(address)
        for aside in ("Close", "Hide banner"):  # the assistant's panel, the word on shared views
            page.get_by_role("button", name=aside).click()
        page.wait_for_function("document.querySelectorAll('.js-plotly-plot').length == 2")
        page.wait_for_timeout(3000)  # the lines are drawn in slices
        picture = Image.open(io.BytesIO(page.screenshot()))
        picture.quantize(256).save(IMAGES / "comparison.png", optimize=True)
        browser.close()


if __name__ == "__main__":
    (given,) = sys.argv[1:]
    if given.startswith("http"):
        photograph(given)
    else:
        take(Path(given))
