"""Studies from YAML and from the command line."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from regress.contaminations import Vertical
from regress.errors import InputError
from regress.losses import L1, L2, Huber
from regress.orders import EasyToHard, Shuffled, Signed
from regress.problems import Linear
from regress.study import Study
from regress.study.load import load, question, shipped, split
from tests.helpers import refusal, values


def written(folder: Path, text: str | bytes, name: str = "mine.yaml") -> str:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(folder / name)


@pytest.mark.parametrize("name", shipped())
def test_what_ships_loads_and_asks_a_question(name: str) -> None:
    study = load(name)
    assert study.name == name
    assert question(shipped()[name]).endswith("?")


@pytest.mark.parametrize("name", shipped())
def test_what_ships_states_only_what_differs_from_the_defaults(name: str) -> None:
    fields = yaml.safe_load(shipped()[name]) or {}
    default = Study(name=name)
    for field in fields:
        assert getattr(load(name), field) != getattr(default, field)


def test_the_default_comes_first_and_is_the_readme_s() -> None:
    assert next(iter(shipped())) == "default"
    assert len(load("default").trials) == 3 * 3 * 4 * 3 * 3


def test_a_file_is_a_study_of_its_own_name(tmp_path: Path) -> None:
    study = load(written(tmp_path, "lrs: [.1, 1e-3]\nlosses:\n  - l1\n  - huber(delta=2)\n"))
    assert study == Study(name="mine", lrs=(0.1, 0.001), losses=(L1(), Huber(2.0)))
    assert load(written(tmp_path, "name: other\n")).name == "other"
    assert load(written(tmp_path, "", "empty.yml")) == Study(name="empty")


def test_a_field_is_set_over_the_file_s(tmp_path: Path) -> None:
    path = written(tmp_path, "lrs: [.1]\nepochs: 3\n")
    study = load(path, ["lrs=.2,.3", "name=other", "problem=linear(w=[1, 2, 3], b=0)", "dtype=float64"])
    assert study.lrs == (0.2, 0.3)
    assert study.name == "other"
    assert study.epochs == 3
    assert study.problem == Linear((1.0, 2.0, 3.0), 0.0)
    assert study.dtype == "float64"


@pytest.mark.parametrize(
    ("assignment", "field", "value"),
    [
        ("losses=l2,l1", "losses", (L2(), L1())),
        ("losses = l2 , huber(delta=2)", "losses", (L2(), Huber(2.0))),
        ("losses=[l2, l1]", "losses", (L2(), L1())),
        ("contaminations=vertical(fraction=.1, shift=10)", "contaminations", (Vertical(0.1, 10.0),)),
        ("orders=shuffled,signed(surrogate=oracle)", "orders", (Shuffled(), Signed("oracle"))),
        ("orders=easy-to-hard", "orders", (EasyToHard(),)),
        ("lrs=1e-3", "lrs", (0.001,)),
        ("batch_sizes=8,16", "batch_sizes", (8, 16)),
        ("epochs=3", "epochs", 3),
        ("seed=18446744073709551615", "seed", 2**64 - 1),
        ("tail=keep", "tail", "keep"),
    ],
)
def test_an_assignment_is_read_as_in_yaml(assignment: str, field: str, value: Any) -> None:
    assert getattr(load("default", [assignment]), field) == value


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("epochs", "--set: "),
        ("=3", "--set: "),
        ("", "--set: "),
        ("lrs=", "lrs: "),
        ("lrs=.1,", "lrs"),
        ("lrs=.1;.2", "lrs"),
        ("lr=.1", "lr: a study has no such field; did you mean lrs?"),
        ("losses=hubber", "losses: 'hubber' is unknown; did you mean huber?"),
        ("losses=huber(delta=1", "losses: "),
        ("epochs=true", "epochs: "),
        ("name=a/b", "name: "),
    ],
)
def test_a_bad_assignment_gets_one_sentence(assignment: str, said: str) -> None:
    assert refusal(load, "default", [assignment]).startswith(said)


@pytest.mark.parametrize("kind", ["contaminations", "losses", "orders", "problem"])
@given(data=st.data())
def test_lines_split_outside_brackets_and_quotes(kind: str, data: st.DataObject) -> None:
    lines = [str(value) for value in data.draw(st.lists(values(kind), min_size=1, max_size=4))]
    assert split(", ".join(lines)) == lines
    assert split(f"[{','.join(lines)}]") == lines


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        ("  ", []),
        ("[]", []),
        ("a", ["a"]),
        (" a , b ", ["a", "b"]),
        ("[a, b]", ["a", "b"]),
        ("a,", ["a", ""]),
        ("f(x=[1, 2], y=3), g", ["f(x=[1, 2], y=3)", "g"]),
        ('f(x="a, b"), g', ['f(x="a, b")', "g"]),
        ("f(x='a, b)'), g", ["f(x='a, b)')", "g"]),
        (r'f(x="a\", b"), g', [r'f(x="a\", b")', "g"]),
        (r'f(x="a\\"), g', [r'f(x="a\\")', "g"]),
    ],
)
def test_splitting_by_hand(text: str, parts: list[str]) -> None:
    assert split(text) == parts


@pytest.mark.parametrize(
    "text",
    [
        "lrs: [.1]\nlrs: [.2]\n",
        "name: a\nepochs: 3\nname: b\n",
        "lrs: [.1]\n'lrs': [.2]\n",
        '"lrs": []\nlrs: [1]',
    ],
)
def test_a_field_set_twice_is_refused(text: str, tmp_path: Path) -> None:
    assert "twice" in refusal(load, written(tmp_path, text))


@pytest.mark.parametrize(
    "text",
    [
        "- l1\n",
        "l1\n",
        "3\n",
        "lrs: [\n",
        "lrs: [.1\nlosses: l1]\n",
        "\tlrs: [.1]\n",
        "lrs: &a [.1]\nlrs2: *b\n",
        "{a: 1}: 2\n",
        "[a, b]: 1\n",
        "--- {}\n--- {}\n",
        "name: !!python/object/apply:os.getcwd []\n",
        "name: !unknown x\n",
        "name: 2020-13-45\n",
        "seed: !!int x\n",
        "note: 2020-02-30\n",
        "name: a\x00b\n",
        "name: \x07\n",
        b"\xff\xfe\xfa",
        "1: 2\n",
        "null: 2\n",
        "lrs: {.1: .2}\n",
        "losses: [huber(delta=1, delta=2)]\n",
        "unknown: 1\n",
    ],
    ids=repr,
)
def test_what_is_no_study_gets_one_sentence(text: str | bytes, tmp_path: Path) -> None:
    refusal(load, written(tmp_path, text))


def test_yaml_splits_a_list_at_commas_and_says_so(tmp_path: Path) -> None:
    path = written(tmp_path, "contaminations: [vertical(fraction=.1, shift=10)]\n")
    assert "quote a line that holds commas" in refusal(load, path)


@given(text=st.text(max_size=40) | st.text(alphabet="[]{}:,-!&*'\"#|>%@ \nanlrs1.", max_size=40))
def test_any_text_is_a_study_or_gets_one_sentence(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = written(tmp_path_factory.getbasetemp(), text)
    try:
        assert load(path).name
    except InputError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("study", "said"),
    [
        ("defualt", "did you mean default?"),
        ("", "neither a path to YAML nor shipped"),
        ("missing.yaml", "cannot read"),
        ("missing/mine.yml", "cannot read"),
        ("mine.toml", "neither a path to YAML nor shipped"),
        ("a\0b.yaml", ""),
        ("~nobody-of-that-name/mine.yaml", ""),
        ("x" * 5000 + ".yaml", ""),
    ],
    ids=["misspelt", "empty", "file", "folder", "kind", "nul", "user", "long"],
)
def test_a_study_that_is_not_there_gets_one_sentence(study: str, said: str) -> None:
    message = refusal(load, study)
    assert message.startswith("study: ")
    assert said in message


def test_a_folder_gets_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").mkdir()
    assert "cannot read" in refusal(load, str(tmp_path / "mine.yaml"))
