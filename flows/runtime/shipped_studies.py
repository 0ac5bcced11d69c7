"""A build step of prefect.yaml that provides the shipped studies, so that deployments hold no copies."""

from functools import cache
from typing import Any

from regress.study.load import load, question, shipped


@cache  # Prefect runs the build step once for each deployment
def studies() -> dict[str, Any]:
    """Return the fields and the question of each shipped study, by name."""
    return {
        name: {"fields": load(name).model_dump(mode="json"), "question": question(text)}
        for name, text in shipped().items()
    }
