"""Draws the pictures of the documentation from the default study: python docs/pictures.py

Given the address that `regress run` ended with, while MLflow serves it, photographs that page instead.
"""

import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from regress.compare import compare
from regress.load import load
from regress.plots import study_plots
from regress.shards import evaluate_shard, shards, train_shard

IMAGES = Path(__file__).parent / "images"
PICTURES = {"error-by-lr-and-sigma.png": "default.png", "order-effect.png": "default-orders.png"}


def draw() -> None:
    study = load("default")
    clean = study.problem.draw(study.seed, study.replicates)
    summaries = []
    for shard in shards(study):
        data = shard.contamination.apply(clean, study.problem.model, study.seed)
        order = shard.order.permutations(
            data, study.problem.model, study.seed, study.epochs, shard.schedule.batch_size
        )
        trajectory = train_shard(shard, data, order)
        summaries += evaluate_shard(shard, data, clean, trajectory).summaries
    comparison = compare(summaries, study.problem.ranking, study.seed)
    plots = study_plots(study, summaries, comparison.orders)
    for plot, picture in PICTURES.items():
        (IMAGES / picture).write_bytes(plots[plot])


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
    if len(sys.argv) > 1:
        photograph(sys.argv[1])
    else:
        draw()
