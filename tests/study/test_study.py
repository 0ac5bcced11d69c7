"""Studies: the grid, what is refused, and what a digest covers."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from regress.contaminations import Clean, Single, Vertical
from regress.losses import L1, L2, Huber
from regress.orders import EasyToHard, Shuffled, Signed
from regress.problems import Linear, Ohm, Table
from regress.study import Study, Trial
from tests.helpers import refusal, values

LISTS = ("contaminations", "losses", "lrs", "sigmas", "orders", "batch_sizes")
NUMBERS = st.floats(0, 1e300, exclude_min=True)


def lists(of: st.SearchStrategy[Any], size: int = 3) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(of, min_size=1, max_size=size, unique=True).map(tuple)


STUDIES = st.builds(
    Study,
    name=st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True),
    problem=st.builds(Linear, rows=st.integers(1000, 2000)) | st.builds(Ohm),
    contaminations=lists(values("contaminations")),
    losses=lists(values("losses")),
    lrs=lists(NUMBERS),
    sigmas=lists(NUMBERS),
    orders=lists(values("orders")),
    batch_sizes=lists(st.integers(1, 1000)),
    epochs=st.integers(1, 10**6),
    reduction=st.sampled_from(["mean", "sum"]),
    tail=st.sampled_from(["weight", "keep", "drop"]),
    replicates=st.integers(1, 10**6),
    seed=st.integers(0, 2**64 - 1),
    dtype=st.sampled_from(["float32", "float64"]),
    tolerance=NUMBERS,
)


def study(**fields: Any) -> Study:
    return Study(**{"name": "some", **fields})


def refused(**fields: Any) -> str:
    """The sentence with which a study of these fields is refused; it starts with the field's name."""
    message = refusal(lambda: study(**fields))
    assert message.startswith(tuple(fields))
    return message


def trial(**fields: Any) -> Trial:
    every = {"contamination": "clean", "loss": "l2", "lr": 0.03, "sigma": 0.01, "order": "shuffled"}
    return Trial.model_validate({**every, "batch_size": 32, **fields})


def test_a_name_alone_is_a_study_of_defaults() -> None:
    # The notebook's settings, which docs/studies.md gives as the defaults.
    default = Study(name="some")
    assert default.problem == Linear((2.0, -3.4), 4.2, 0.01, 1000, 1000)
    assert default.contaminations == (Clean(),)
    assert default.losses == (L2(),)
    assert default.lrs == (0.03,)
    assert default.sigmas == (0.01,)
    assert default.orders == (Shuffled(),)
    assert default.batch_sizes == (32,)
    assert default.epochs == 10
    assert default.reduction == "mean"
    assert default.tail == "weight"
    assert default.replicates == 16
    assert default.seed == 0
    assert default.dtype == "float32"
    assert default.tolerance == 0.05
    assert default.register is False


@given(STUDIES)
def test_the_grid_holds_every_combination_once(made: Study) -> None:
    trials = made.trials
    size = 1
    for field in LISTS:
        size *= len(getattr(made, field))
    assert len(trials) == len(set(trials)) == len({trial.digest for trial in trials}) == size
    for field, one in zip(
        LISTS, ("contamination", "loss", "lr", "sigma", "order", "batch_size"), strict=True
    ):
        assert {getattr(trial, one) for trial in trials} == set(getattr(made, field))
    for field in set(Study.model_fields) & set(Trial.model_fields):
        assert {getattr(trial, field) for trial in trials} == {getattr(made, field)}


@given(STUDIES)
def test_a_study_comes_back_from_yaml(made: Study) -> None:
    text = yaml.safe_dump(made.model_dump(mode="json"))
    again = Study(**yaml.safe_load(text))
    assert again == made
    assert again.digest == made.digest


@given(STUDIES, st.randoms(use_true_random=False))
def test_the_order_of_lists_does_not_change_a_digest(made: Study, random: Any) -> None:
    turned = {field: random.sample(getattr(made, field), len(getattr(made, field))) for field in LISTS}
    again = made.model_copy(update={field: tuple(some) for field, some in turned.items()})
    assert again.digest == made.digest
    assert {trial.digest for trial in again.trials} == {trial.digest for trial in made.trials}


@given(STUDIES, st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True))
def test_a_name_does_not_change_a_digest(made: Study, name: str) -> None:
    assert made.model_copy(update={"name": name}).digest == made.digest


OTHER = {
    "problem": ["linear(noise=0.02)", "linear(rows=999)", "linear(w=[-3.4, 2.0])", "ohm", "planck"],
    "epochs": [11],
    "reduction": ["sum"],
    "tail": ["keep", "drop"],
    "replicates": [17],
    "seed": [1],
    "dtype": ["float64"],
    "tolerance": [0.06],
    "contamination": ["single", "single(row=4)", "vertical(fraction=0.1, shift=10)"],
    "loss": ["l1", "huber", "huber(delta=2)", "smooth-l1"],
    "lr": [0.030000000000000002, 0.3],
    "sigma": [0.0, 0.02],
    "order": ["sequential", "signed", "signed(surrogate=oracle)"],
    "batch_size": [31],
}


def test_every_field_that_determines_numbers_changes_a_digest() -> None:
    assert set(OTHER) == set(Trial.model_fields)
    others = [trial(**{field: value}) for field, some in OTHER.items() for value in some]
    digests = {trial().digest, *(other.digest for other in others)}
    assert len(digests) == 1 + len(others)
    assert all(re.fullmatch("[0-9a-f]{16}", digest) for digest in digests)


def test_one_value_written_in_two_ways_is_one_digest() -> None:
    assert trial(lr=1, sigma="0", loss=" huber( delta = 1 )").digest == (
        trial(lr=1.0, sigma=0.0, loss=Huber()).digest
    )


def test_a_table_s_digest_is_of_its_content(tmp_path: Path) -> None:
    rows = "".join(f"{i},{i * i}\n" for i in range(9))
    for name in ("one.csv", "other.csv"):
        (tmp_path / name).write_text(f"x,y\n{rows}")

    def digest(name: str) -> str:
        return trial(problem=Table(path=str(tmp_path / name), target="y")).digest

    assert digest("one.csv") == digest("other.csv")
    (tmp_path / "other.csv").write_text(f"x,y\n{rows}9,80\n")
    assert digest("one.csv") != digest("other.csv")


def test_a_data_set_and_its_target_named_are_one_digest() -> None:
    named = trial(problem="table(dataset=stackloss, target=STACKLOSS)")
    assert named.digest == trial(problem="table(dataset=stackloss)").digest


def test_an_unknown_field_is_refused() -> None:
    assert refused(lr=0.1) == "lr: a study has no such field; did you mean lrs?"
    refused(digest="0")


@pytest.mark.parametrize("field", ["lrs", "sigmas", "batch_sizes", "losses", "orders", "contaminations"])
def test_an_empty_list_is_refused(field: str) -> None:
    assert "empty" in refused(**{field: []})


@pytest.mark.parametrize(
    ("field", "twice"),
    [
        ("lrs", [0.1, 0.2, 0.1]),
        ("lrs", [1, 1.0]),
        ("sigmas", [0, 0.0]),
        ("sigmas", [0.0, -0.0]),
        ("batch_sizes", [8, 8]),
        ("losses", ["huber", "huber(delta=1)"]),
        ("orders", ["signed", "signed(surrogate=ols)"]),
        ("contaminations", ["clean", "clean()"]),
    ],
)
def test_a_value_given_twice_is_refused(field: str, twice: list[Any]) -> None:
    assert "twice" in refused(**{field: twice})


BAD_NUMBERS = [-1, "x", "", None, True, False, [1], {}, float("nan"), float("inf"), "nan", "inf"]


@pytest.mark.parametrize("field", ["lrs", "sigmas", "batch_sizes"])
@pytest.mark.parametrize("value", BAD_NUMBERS, ids=repr)
def test_what_is_no_number_is_refused_in_a_list(field: str, value: Any) -> None:
    refused(**{field: [value]})


@pytest.mark.parametrize("field", ["epochs", "replicates", "seed", "tolerance"])
@pytest.mark.parametrize("value", BAD_NUMBERS, ids=repr)
def test_what_is_no_number_is_refused(field: str, value: Any) -> None:
    refused(**{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lrs", [0]),
        ("tolerance", 0),
        ("epochs", 0),
        ("epochs", 2.5),
        ("replicates", 0),
        ("batch_sizes", [0]),
        ("batch_sizes", [2.5]),
        ("seed", 2**64),
        ("seed", 0.5),
        ("reduction", "median"),
        ("reduction", True),
        ("tail", "kep"),
        ("dtype", "float16"),
        ("dtype", 32),
        ("losses", ["huber(delta=-1)"]),
        ("losses", ["huber(delta=0)"]),
        ("losses", ["l3"]),
        ("losses", [2]),
        ("losses", ["shuffled"]),
        ("contaminations", ["vertical(fraction=1, shift=1)"]),
        ("contaminations", ["vertical(fraction=-0.1, shift=1)"]),
        ("contaminations", ["vertical(fraction=1.1, shift=1)"]),
        ("orders", ["random"]),
        ("problem", "quadratic"),
        ("problem", "linear(noise=-1)"),
        ("problem", ["linear"]),
        ("problem", None),
        ("problem", "table(path=missing.csv, target=y)"),
        ("lrs", 0.1),
        ("losses", "l2"),
        ("losses", None),
    ],
)
def test_a_field_out_of_range_is_refused(field: str, value: Any) -> None:
    refused(**{field: value})


def test_a_list_is_asked_for_in_the_user_s_words() -> None:
    assert "tuple" not in refused(lrs=0.1)
    assert "tuple" not in refused(losses="l2")


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/b",
        "/a",
        "a\\b",
        "../a",
        "A",
        "a b",
        "a\n",
        "-a",
        "é",
        "a" * 81,
        "a:b",
        "~",
        1,
        None,
    ],
)
def test_a_name_that_is_no_file_name_is_refused(name: Any) -> None:
    message = refusal(lambda: Study(**{"name": name}))
    assert message.startswith("name: ")


def test_a_study_needs_no_fields() -> None:
    assert Study().name == "study"


def test_pydantic_validates_a_study_inside_another_model() -> None:
    adapter = TypeAdapter(list[Study])
    assert adapter.validate_python([{"lrs": [0.1]}, Study()]) == [Study(lrs=(0.1,)), Study()]
    with pytest.raises(ValidationError) as caught:
        adapter.validate_python([{"lrs": [0.1]}, {"epochs": 0}])
    assert caught.value.errors()[0]["loc"] == (1, "epochs")


def test_a_batch_larger_than_the_training_rows_is_refused() -> None:
    assert study(problem="linear(rows=40)", batch_sizes=[40]).batch_sizes == (40,)
    assert "40 training rows" in refused(batch_sizes=[41], problem="linear(rows=40)")
    # Of 21 rows 5 are held out.
    assert "16 training rows" in refused(batch_sizes=[17], problem="table(dataset=stackloss)")


def test_an_outlier_beyond_the_training_rows_is_refused() -> None:
    assert study(contaminations=["single(row=999)"]).contaminations == (Single(999),)
    assert "1001 training rows" in refused(contaminations=["single(row=1000)"])


def test_a_table_has_no_oracle() -> None:
    table = {"problem": "table(dataset=stackloss)", "batch_sizes": [4]}
    assert study(orders=["signed", "easy-to-hard"], **table).orders == (Signed(), EasyToHard())
    message = refused(orders=["signed(surrogate=oracle)"], **table)
    assert "surrogate=ols" in message
    assert study(orders=["signed(surrogate=oracle)"]).orders == (Signed("oracle"),)


TABLE = {"problem": "table(dataset=stackloss)", "batch_sizes": [4]}


def test_a_table_s_winner_is_registered_unless_the_study_says_otherwise() -> None:
    assert study().register is False
    assert study(**TABLE).register is True
    for chosen in (True, False):
        assert study(register=chosen).register is chosen
        assert study(**TABLE, register=str(chosen).lower()).register is chosen
    assert study(**TABLE).model_dump(mode="json")["register"] is True


@given(STUDIES.filter(lambda made: isinstance(made.problem, Linear)))
def test_registering_does_not_change_a_digest(made: Study) -> None:
    registered = Study(**made.model_dump(mode="json") | {"register": True})
    assert registered.register
    assert registered.trials == made.trials
    assert registered.digest == made.digest


@pytest.mark.parametrize("value", [2, "maybe", None, [True], "", 0.5])
def test_what_is_no_switch_is_refused(value: Any) -> None:
    refused(register=value)


def test_a_temperature_cannot_be_registered() -> None:
    body = {"problem": "planck(form=scaled)", "sigmas": [3000]}
    assert study(**body).register is False
    assert "no linear model" in refused(**body, register=True)
    assert study(problem="ohm", register=True).register is True


def test_no_body_starts_at_no_temperature() -> None:
    assert "kelvin" in refused(sigmas=[3000, 0], problem="planck")


def test_values_may_stand_for_their_lines() -> None:
    made = study(losses=[L1(), "huber"], problem=Linear(), contaminations=[Vertical(0.1, 10.0)])
    assert made.losses == (L1(), Huber())


def test_a_study_cannot_be_changed() -> None:
    made = study()
    with pytest.raises(ValueError, match="frozen"):
        made.epochs = 3  # type: ignore[misc]


def test_the_json_schema_holds_patterns_minima_and_defaults() -> None:
    schema = Study.model_json_schema()
    assert schema["additionalProperties"] is False
    assert "required" not in schema
    fields = schema["properties"]
    assert set(fields) == set(Study.model_fields)
    assert fields["epochs"]["minimum"] == fields["replicates"]["minimum"] == 1
    assert fields["seed"]["minimum"] == 0
    assert fields["tolerance"]["exclusiveMinimum"] == 0
    assert fields["lrs"]["items"]["exclusiveMinimum"] == 0
    assert fields["sigmas"]["items"]["minimum"] == 0
    assert fields["batch_sizes"]["items"]["minimum"] == 1
    assert fields["reduction"]["enum"] == ["mean", "sum"]
    assert fields["tail"]["enum"] == ["weight", "keep", "drop"]
    assert fields["register"]["type"] == "boolean"
    assert fields["dtype"]["enum"] == ["float32", "float64"]
    assert all(fields[field]["minItems"] == 1 for field in LISTS)
    assert all(fields[field]["description"] for field in fields)
    for field, line in (("losses", "huber(delta=2.0)"), ("orders", "signed"), ("contaminations", "clean")):
        assert fields[field]["items"]["type"] == "string"
        assert re.search(fields[field]["items"]["pattern"], line)
        assert not re.search(fields[field]["items"]["pattern"], "unknown")
    assert re.search(fields["problem"]["pattern"], "linear(w=[1, 2])")
    assert re.search(fields["name"]["pattern"], "a-study.1")
    assert not re.search(fields["name"]["pattern"], "a/study")


def test_the_schema_s_defaults_are_the_study_s() -> None:
    fields = Study.model_json_schema()["properties"]
    defaults = {name: field["default"] for name, field in fields.items() if "default" in field}
    assert set(defaults) == set(Study.model_fields)
    assert Study(**defaults) == Study()
