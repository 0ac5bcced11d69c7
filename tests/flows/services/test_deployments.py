"""prefect.yaml and automations.yaml: all that they say is understood, and nothing is dropped in silence."""

import asyncio
from copy import deepcopy
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from mlflow import MlflowClient
from prefect.cli.deploy._models import PrefectYamlModel
from prefect.client.schemas.objects import ConcurrencyLimitStrategy
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.steps.core import run_steps
from prefect.events import actions
from prefect.events.schemas.automations import AutomationCore, EventTrigger
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools import validate as check_by_schema
from prefect.utilities.templating import apply_values
from pydantic import ValidationError

from flows.runtime.shipped_studies import studies
from flows.services.automations import AUTOMATIONS
from flows.services.deployments import DEPLOYMENTS
from flows.services.settings import POOL
from regress.errors import InputError
from regress.study import Study
from regress.study.load import load, shipped

ROOT = Path(__file__).parents[3]


def content() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(DEPLOYMENTS.read_text())
    return loaded


def rendered(content: dict[str, Any]) -> list[dict[str, Any]]:
    """The deployments as Prefect makes them of the file: strictly read, its build steps run."""
    content = {key: value for key, value in deepcopy(content).items() if key != "definitions"}
    PrefectYamlModel.model_validate(content, extra="forbid")
    outputs = asyncio.run(run_steps(content["build"], print_function=lambda _: None))
    return [apply_values(deployment, outputs) for deployment in content["deployments"]]


def check(deployment: dict[str, Any]) -> str:
    """Raises where Prefect would drop something, or a run would be refused; the deployment's full name."""
    flow = load_flow_from_entrypoint(deployment["entrypoint"])
    schema = parameter_schema(flow).model_dump_for_openapi()
    for schedule in deployment.get("schedules", [{}]):
        parameters = deployment.get("parameters", {}) | schedule.pop("parameters", {})
        flow.validate_parameters(parameters)
        assert not check_by_schema(parameters, schema)
        if schedule:
            assert schedule["timezone"]
            CronSchedule.model_validate(schedule, extra="forbid")
    if "concurrency_limit" in deployment:
        strategy = deployment["concurrency_limit"]["collision_strategy"]
        assert strategy in set(ConcurrencyLimitStrategy)
    assert deployment["work_pool"] == {"name": POOL}
    assert deployment["description"]
    assert deployment["tags"]
    return f"{flow.name}/{deployment['name']}"


def test_every_deployment_is_understood_in_full() -> None:
    names = [check(deployment) for deployment in rendered(content())]
    assert len(set(names)) == len(names)
    scheduled = {"notebook/weekly"}
    if (ROOT / "flows" / "reproduce.py").exists():
        scheduled.add("reproduce/nightly")
    assert {name for name in names if not name.startswith("robustness/")} == scheduled


@pytest.mark.parametrize("name", shipped())
def test_each_study_that_ships_has_its_deployment_with_its_fields(name: str) -> None:
    own = [d for d in rendered(content()) if d["name"] == name]
    (deployment,) = own
    assert deployment["entrypoint"] == "flows.robustness:robustness"
    assert Study(**deployment["parameters"]["study"]) == load(name)
    assert set(deployment["parameters"]["study"]) == set(Study.model_fields)
    assert deployment["description"] == studies()[name]["question"]


CRON = {"cron": "30 4 * * 0", "timezone": "UTC"}
BROKEN: dict[str, tuple[str, dict[str, Any]]] = {
    "an unknown key": ("default", {"parametres": {}}),
    "an unknown key of a work pool": ("weekly", {"work_pool": {"name": POOL, "queue": "night"}}),
    "a schedule with another key": ("weekly", {"schedules": [CRON | {"timezon": "UTC"}]}),
    "a schedule without a time zone": ("weekly", {"schedules": [{"cron": "30 4 * * 0"}]}),
    "an unknown time zone": ("weekly", {"schedules": [CRON | {"timezone": "Mars/Olympus"}]}),
    "a limit without a strategy": ("weekly", {"concurrency_limit": {"limit": 1}}),
    "a parameter that the flow has not": ("weekly", {"parameters": {"seeds": 10}}),
    "one of a schedule's": ("weekly", {"schedules": [CRON | {"parameters": {"seeds": 10}}]}),
    "a parameter of another type": ("weekly", {"parameters": {"replicates": "many"}}),
    "a study with another field": ("default", {"parameters": {"study": {"name": "default", "epoch": 3}}}),
    "a study that does not ship": ("default", {"description": "{{ studies.nowhere.question }}"}),
    "an entrypoint that is not there": ("default", {"entrypoint": "flows.robustness:robust"}),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_prefect_would_drop_or_refuse_is_caught(case: str) -> None:
    name, fault = BROKEN[case]
    faulty = content()
    next(deployment for deployment in faulty["deployments"] if deployment["name"] == name).update(fault)
    with pytest.raises(Exception):  # noqa: B017 each layer has errors of its own
        for deployment in rendered(faulty):
            check(deployment)


def test_a_deployment_refuses_a_table_relative_to_some_folder(
    workplace: Path, prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.robustness import robustness

    Path("my.csv").write_text("x,y\n" + "".join(f"{i},{2 * i + i % 3}\n" for i in range(9)))
    study = Study(**{"name": "mine", "problem": 'table(path="my.csv", target="y")', "batch_sizes": [4]})
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "00000000-0000-0000-0000-000000000000")
    with pytest.raises(InputError, match=r"the table my\.csv would be looked for in the worker's folder"):
        robustness(study)
    assert MlflowClient().get_experiment_by_name("mine") is None


@pytest.mark.parametrize("file", [DEPLOYMENTS, AUTOMATIONS], ids=lambda file: file.name)
def test_the_packaged_definitions_are_those_at_the_root(file: Path) -> None:
    assert file.read_bytes() == (ROOT / file.name).read_bytes()


def test_every_automation_is_understood_in_full() -> None:
    automations = yaml.safe_load(AUTOMATIONS.read_text())["automations"]
    kinds = {kind.model_fields["type"].default: kind for kind in get_args(actions.ActionTypes)}
    for automation in automations:
        EventTrigger.model_validate(automation["trigger"], extra="forbid")
        for action in automation["actions"]:
            with pytest.raises(ValidationError) as missing:
                kinds[action["type"]].model_validate(action, extra="forbid")
            assert [error["loc"] for error in missing.value.errors()] == [("block_document_id",)]
        AutomationCore.model_validate(automation | {"actions": [{"type": "do-nothing"}]}, extra="forbid")
    assert len({automation["name"] for automation in automations}) == len(automations)
