"""Draws the pictures of the documentation from the default study: python docs/pictures.py"""

from pathlib import Path

from regress.compare import compare
from regress.load import load
from regress.plots import study_plots
from regress.shards import evaluate_shard, shards, train_shard

PICTURES = {"error-by-lr-and-sigma.png": "default.png", "order-effect.png": "default-orders.png"}


def main() -> None:
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
        (Path(__file__).parent / "images" / picture).write_bytes(plots[plot])


if __name__ == "__main__":
    main()
