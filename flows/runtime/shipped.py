"""What ships, for prefect.yaml: a build step reads the studies, so that no deployment holds a copy."""

from functools import cache
from typing import Any

from regress.study.load import load, question, shipped


@cache  # Prefect runs the step once for each deployment
def studies() -> dict[str, Any]:
    """Each study that ships, by name: all of its fields, and the question that it asks."""
    return {
        name: {"fields": load(name).model_dump(mode="json"), "question": question(text)}
        for name, text in shipped().items()
    }
