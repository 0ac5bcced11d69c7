"""Problems: the rows that they draw, errors in tables, and parameters in the units of the user."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from regress.errors import InputError
from regress.estimators.optimum import ols
from regress.problems import PROBLEMS, Data, Linear, Ohm, Planck, Problem, Table
from regress.problems.affine import Affine
from regress.problems.planck import WAVELENGTHS, radiance
from regress.problems.table import check_columns
from tests.helpers import between, equal, prefix, refusal, some_data

VARIANTS = (
    Linear(rows=20, val=10),
    Linear((1.0, 2.0, 3.0), -1.0, 2.0, rows=7, val=3),
    Ohm(rows=20, val=10),
    Ohm(intercept=False, rows=20, val=10),
    Planck(),
    Planck(form="scaled"),
    Table(dataset="stackloss"),
    Table(dataset="engel", holdout=0.5),
)
SEEDS = st.integers(0, 2**64 - 1)


def test_all_registered_problems_are_tested() -> None:
    assert {type(problem) for problem in VARIANTS} == set(PROBLEMS.values())


@pytest.mark.parametrize("problem", VARIANTS, ids=str)
@given(seed=SEEDS, replicates=st.integers(1, 3))
def test_rows_depend_on_seed_and_replicate_alone(problem: Problem, seed: int, replicates: int) -> None:
    data = problem.draw(seed, 3)
    assert equal(problem.draw(seed, replicates), prefix(data, replicates))
    assert equal(problem.draw(seed, 2, first=1), between(data, 1, 3))


@pytest.mark.parametrize("problem", VARIANTS, ids=str)
def test_replicates_and_seeds_have_different_rows(problem: Problem) -> None:
    data = problem.draw(0, 2)
    assert (data.train_y[0] != data.train_y[1]).any()
    assert (data.train_y != problem.draw(1, 2).train_y).any()


@pytest.mark.parametrize("problem", VARIANTS, ids=str)
def test_rows_and_truth_have_the_declared_shapes_and_dtype(problem: Problem) -> None:
    data = problem.draw(0, 2)
    assert data.rows == problem.train_rows
    assert not data.contaminated.any()
    assert (data.truth is not None) == problem.knows_truth
    assert len(problem.parameter_names) == problem.model.parameters
    if data.truth is not None:
        assert data.truth.shape == (2, problem.model.parameters)
    for array in (data.train_x, data.train_y, data.val_x, data.val_y):
        assert array.dtype == np.float64
        assert np.isfinite(array).all()


@pytest.mark.parametrize("problem", VARIANTS, ids=str)
def test_predictions_in_numpy_and_torch_agree(problem: Problem) -> None:
    data, model = problem.draw(0, 2), problem.model
    rng = np.random.default_rng(0)
    params = model.start(np.full(2, 4000.0), rng.normal(size=(2, model.draws)))
    rows = model.table(data.train_x, data.train_y, torch.float64)
    w = torch.from_numpy(params)[..., None].expand(-1, -1, 16)
    residual = model.residual(rows, model.state(w))[..., 7].numpy()
    expected = model.predict(data.train_x, params) - data.train_y
    np.testing.assert_allclose(residual, expected, rtol=1e-9, atol=1e-12 * np.abs(data.train_y).max())


@pytest.mark.parametrize("problem", VARIANTS, ids=str)
def test_the_pullback_is_the_gradient_of_the_prediction(problem: Problem) -> None:
    data, model = problem.draw(0, 2), problem.model
    rng = np.random.default_rng(0)
    params = model.start(np.full(2, 4000.0), rng.normal(size=(2, model.draws)))
    rows = model.table(data.train_x, data.train_y, torch.float64)
    state = model.state(torch.from_numpy(params)[..., None].expand(-1, -1, 16).contiguous())
    psi = torch.from_numpy(rng.normal(size=(2, data.rows, 16)))
    leaf = state.clone().requires_grad_()
    (expected,) = torch.autograd.grad(model.residual(rows, leaf), leaf, psi)
    torch.testing.assert_close(
        model.pullback(rows, state, psi), expected[:, : model.parameters], rtol=1e-9, atol=1e-9
    )


def test_linear_has_the_declared_coefficients_and_noise() -> None:
    problem = Linear((2.0, -3.4), 4.2, 0.5, rows=50_000, val=50_000)
    data = problem.draw(3, 1)
    assert data.truth is not None
    assert data.truth.tolist() == [[2.0, -3.4, 4.2]]
    for x, y in ((data.train_x[0], data.train_y[0]), (data.val_x[0], data.val_y[0])):
        noise = y - x @ [2.0, -3.4] - 4.2
        error = 5 / len(y) ** 0.5
        assert np.abs(x.mean(axis=0)).max() < error
        assert np.abs(np.cov(x.T) - np.eye(2)).max() < 2 * error
        assert abs(noise.mean()) < 0.5 * error
        assert abs(noise.std() - 0.5) < 0.5 * error
        assert np.abs(x.T @ noise).max() / len(y) < 0.5 * error


@given(SEEDS, st.integers(1, 30))
def test_noise_does_not_change_the_features(seed: int, rows: int) -> None:
    quiet, loud = (Linear(noise=noise, rows=rows).draw(seed, 1) for noise in (0.0, 9.0))
    np.testing.assert_array_equal(quiet.train_x, loud.train_x)
    np.testing.assert_allclose(quiet.train_y, quiet.train_x @ [2.0, -3.4] + 4.2, rtol=1e-12, atol=1e-12)


def test_ohm_is_a_line_through_the_origin() -> None:
    data = Ohm(rows=20_000).draw(0, 1)
    assert Ohm().draw(0, 1).truth.tolist() == [[5.1, 0.0]]  # type: ignore[union-attr]
    assert Ohm(intercept=False).draw(0, 1).truth.tolist() == [[5.1]]  # type: ignore[union-attr]
    noise = data.train_y[0] - 5.1 * data.train_x[0, :, 0]
    assert abs(noise.mean()) < 5 / 20_000**0.5
    assert abs(noise.std() - 1) < 5 / 20_000**0.5


@pytest.mark.parametrize(
    ("x", "y", "slope"),
    # NIST's statistical reference data sets NoInt1 and NoInt2, certified values.
    [
        (range(60, 71), range(130, 141), 2.07438016528926),
        ((4, 5, 6), (3, 4, 4), 0.727272727272727),
    ],
)
def test_a_line_through_the_origin_has_the_certified_slope(
    x: tuple[int, ...], y: tuple[int, ...], slope: float
) -> None:
    fit = Affine(1, intercept=False).least_squares(np.array(x, float)[:, None], np.array(y, float))
    assert fit == pytest.approx([slope], rel=1e-14)


def test_radiance_agrees_with_wien_s_displacement_law() -> None:
    # b = 2.897771955e-3 m K, CODATA 2018.
    for temperature in (300.0, 3000.0, 5020.0):
        peak = 2.897771955e-3 / temperature
        step = 1e-5 * peak
        around = radiance(np.array([peak - step, peak, peak + step]), temperature)
        slope, curvature = around[2] - around[0], around[0] - 2 * around[1] + around[2]
        assert abs(slope / (2 * curvature)) * 1e-5 < 1e-7


def test_the_integral_of_radiance_agrees_with_the_stefan_boltzmann_law() -> None:
    # 5.670374419e-8 W m-2 K-4, CODATA 2018; the constant of Planck is truncated.
    temperature = 5020.0
    log = np.linspace(np.log(1e-8), np.log(1.0), 200_001)
    wavelength = np.exp(log)
    total = np.pi * np.trapezoid(radiance(wavelength, temperature) * wavelength, log)
    assert total == pytest.approx(5.670374419e-8 * temperature**4, rel=1e-7)


def test_planck_splits_the_notebook_s_wavelengths() -> None:
    data = Planck(noise=0.05).draw(0, 200)
    np.testing.assert_allclose(data.train_x[0, [0, -1], 0], [300e-9, 1299e-9])
    np.testing.assert_allclose(data.val_x[0, [0, -1], 0], [1300e-9, 1999e-9])
    factor = data.train_y / radiance(WAVELENGTHS[:1000], 5020.0)
    np.testing.assert_allclose(factor, factor[:, :1].repeat(1000, axis=1), rtol=1e-12)
    assert 1.0 < factor.min() < 1.003
    assert 1.047 < factor.max() < 1.05


@pytest.mark.parametrize("form", ["raw", "scaled"])
def test_the_fit_of_planck_is_its_temperature_in_kelvin(form: str) -> None:
    problem = Planck(temperature=5020.0, noise=0.0, form=form)
    data = problem.draw(0, 1)
    fit = problem.model.least_squares(data.train_x[0], data.train_y[0])
    assert problem.in_user_units(fit) == pytest.approx([5020.0], rel=1e-8)
    assert data.truth is not None
    assert problem.in_user_units(data.truth) == pytest.approx(np.array([[5020.0]]), rel=1e-12)


def test_a_target_with_a_column_axis_is_refused() -> None:
    data = some_data(1, 6)
    column = data.train_y[..., None]
    with pytest.raises(ValueError, match="one target per row"):
        Data(data.train_x, column, data.val_x, data.val_y, None, data.contaminated)
    with pytest.raises(ValueError, match="one target per row"):
        Data(data.train_x, data.train_y, data.val_x, data.val_y[..., None], None, data.contaminated)
    for model in (Affine(2), Planck().model):
        with pytest.raises(ValueError, match="one target per row"):
            model.table(data.train_x, column, torch.float64)


TABLE = pd.DataFrame(
    {
        "x": [1.0, 2.0, 4.0, 8.0, 16.0, 0.1, 1 / 3],
        "y": [3, 1, 4, 1, 5, 9, 2],
        "z": [0.1, 1e-300, 2.5, -7.0, 1e10, 6.02214076e23, np.pi],
    }
)


def write_csv(folder: Path, frame: pd.DataFrame = TABLE, name: str = "table.csv") -> Path:
    frame.to_csv(folder / name, index=False)
    return folder / name


def write_table(folder: Path, text: str | bytes, name: str = "table.csv") -> Table:
    content = text if isinstance(text, bytes) else text.encode()
    (folder / name).write_bytes(content)
    return Table(path=str(folder / name), target="y")


def test_the_identity_of_a_table_depends_on_its_content_alone(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    TABLE.to_parquet(tmp_path / "table.parquet")
    TABLE.to_parquet(tmp_path / "indexed.parquet", index=False)
    paths = [
        write_csv(tmp_path),
        write_csv(tmp_path / "elsewhere", name="other.csv"),
        tmp_path / "table.parquet",
        tmp_path / "indexed.parquet",
    ]
    assert len({Table(path=str(path), target="y").identity for path in paths}) == 1


def test_csv_and_parquet_of_equal_numbers_are_the_same_table(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(500, 3)) * 10.0 ** rng.integers(-30, 30, (500, 1)))
    frame.columns = pd.Index(["x", "y", "z"])
    frame.to_parquet(tmp_path / "table.parquet")
    from_csv, from_parquet = (
        Table(path=str(path), target="y")
        for path in (write_csv(tmp_path, frame), tmp_path / "table.parquet")
    )
    np.testing.assert_array_equal(from_csv.columns.x, from_parquet.columns.x)
    assert from_csv.identity == from_parquet.identity


def test_the_identity_changes_with_the_content(tmp_path: Path) -> None:
    one_cell = TABLE.copy()
    one_cell.loc[3, "z"] = np.nextafter(-7.0, 0)
    frames = {
        "unchanged": TABLE,
        "one bit": one_cell,
        "without a row": TABLE.iloc[1:],
        "rows reversed": TABLE.iloc[::-1],
        "without a column": TABLE[["x", "y"]],
        "columns reversed": TABLE[["z", "y", "x"]],
        "renamed": TABLE.rename(columns={"x": "w"}),
    }
    tables = [
        Table(path=str(write_csv(tmp_path, frame, f"{i}.csv")), target="y")
        for i, frame in enumerate(frames.values())
    ]
    tables.append(Table(path=tables[0].path, target="x"))
    tables.append(Table(path=tables[0].path, target="y", holdout=0.3))
    assert len({table.identity for table in tables}) == len(tables)


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    table = Table(path=str(write_csv(tmp_path)), target="y")
    before = table.identity
    write_csv(tmp_path, TABLE * 2)
    assert table.identity != before


@pytest.mark.parametrize("dataset", ["stackloss", "engel"])
def test_a_table_is_standardised_as_a_whole(dataset: str) -> None:
    table = Table(dataset=dataset)
    data = table.draw(0, 2)
    for r in range(2):
        x = np.concatenate([data.train_x[r], data.val_x[r]])
        y = np.concatenate([data.train_y[r], data.val_y[r]])
        for column in (*x.T, y):
            assert abs(column.mean()) < 1e-12
            assert column.std() == pytest.approx(1, rel=1e-12)


@given(SEEDS, st.integers(1, 99))
def test_held_out_rows_are_the_declared_fraction_of_the_rows(seed: int, percent: int) -> None:
    table = Table(dataset="engel", holdout=percent / 100)
    data = table.draw(seed, 2)
    rows = len(table.columns.y)
    assert data.val_y.shape[1] == -(-percent * rows // 100)
    expected = np.sort((table.columns.y - table.columns.y.mean()) / table.columns.y.std())
    for r in range(2):
        np.testing.assert_array_equal(np.sort(np.concatenate([data.train_y[r], data.val_y[r]])), expected)


def test_the_held_out_fraction_is_decimal(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": np.arange(100.0) ** 2, "y": np.arange(100.0)})
    path = str(write_csv(tmp_path, frame))
    for percent in range(1, 100):
        table = Table(path=path, target="y", holdout=percent / 100)
        assert table.held_out_rows == percent
        assert table.train_rows == 100 - percent


@pytest.mark.parametrize("dataset", ["stackloss", "engel"])
def test_coefficients_are_converted_to_the_user_s_units(dataset: str) -> None:
    table = Table(dataset=dataset)
    columns = table.columns
    x = (columns.x - columns.x.mean(axis=0)) / columns.x.std(axis=0)
    y = (columns.y - columns.y.mean()) / columns.y.std()
    converted = table.in_user_units(ols(x, y))
    np.testing.assert_allclose(converted, ols(columns.x, columns.y), rtol=1e-9)
    several = np.tile(ols(x, y), (2, 3, 1))
    np.testing.assert_array_equal(table.in_user_units(several), np.tile(converted, (2, 3, 1)))


def test_residuals_are_converted_to_the_user_s_units() -> None:
    table = Table(dataset="stackloss")
    columns, data = table.columns, table.draw(0, 1)
    w = ols(data.train_x[0], data.train_y[0])
    converted = table.target_scale * (data.val_x[0] @ w[:-1] + w[-1] - data.val_y[0])
    b = table.in_user_units(w)
    x = data.val_x[0] * columns.x.std(axis=0) + columns.x.mean(axis=0)
    y = data.val_y[0] * columns.y.std() + columns.y.mean()
    np.testing.assert_allclose(converted, x @ b[:-1] + b[-1] - y, atol=1e-9)


def test_another_column_of_a_data_set_can_be_the_target() -> None:
    table = Table(dataset="stackloss", target="AIRFLOW")
    assert table.parameter_names == ("STACKLOSS", "WATERTEMP", "ACIDCONC", "intercept")
    assert Table(dataset="stackloss").parameter_names == ("AIRFLOW", "WATERTEMP", "ACIDCONC", "intercept")


ROWS = "".join(f"{i},{i * i}\n" for i in range(6))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"x,y\n{ROWS}abc,3\n", r"'abc' in row 7, column 'x'"),
        (f"x,y\n{ROWS}3,abc\n", r"'abc' in row 7, column 'y'"),
        (f"x,y\n{ROWS}inf,3\n", r"inf.* in row 7, column 'x'"),
        (f"x,y\n{ROWS}-inf,3\n", r"inf.* in row 7, column 'x'"),
        (f"x,y\n{ROWS}1e999,3\n", r"row 7, column 'x'"),
        (f"x,y\n{ROWS}nan,3\n", r"nothing in row 7, column 'x'"),
        (f"x,y\n{ROWS},3\n", r"nothing in row 7, column 'x'"),
        (f"x,y\n{ROWS}3\n", r"nothing in row 7, column 'y'"),
        (f"x,z\n{ROWS}", r"no target column 'y'"),
        (f"x,y1\n{ROWS}", r"no target column 'y'; did you mean y1\?"),
        ("x,y\n" + "1,2\n1,3\n" * 3, r"constant column 'x'"),
        ("x,y\n" + "1,2\n3,2\n" * 3, r"constant column 'y'"),
        ("y\n1\n2\n3\n4\n5\n", r"no column other than the target"),
        ("x,y\n1,2\n3,4\n5,7\n6,1\n", r"4 rows, expected at least 5"),
        ("x,y\n", r"0 rows, expected at least 5"),
        ("", r"cannot read the table"),
        (f"x,y\n{ROWS}1,2,3\n", r"cannot read the table"),
        (b"x,y\n\xe9,1\n" * 6, r"cannot read the table"),
        (bytes(range(256)), r"cannot read the table"),
    ],
)
def test_an_invalid_table_is_refused_in_one_sentence(
    text: str | bytes, sentence: str, tmp_path: Path
) -> None:
    table = write_table(tmp_path, text)
    message = refusal(lambda: table.columns)
    assert message.startswith("problem: ")
    assert "table.csv" in message
    assert re.search(sentence, message)


@pytest.mark.parametrize("header", ["x,x,y", "x,y,y"])
def test_duplicate_column_names_are_refused(header: str, tmp_path: Path) -> None:
    rows = "".join(f"{i},{i * i},{i**3}\n" for i in range(6))
    assert "two columns named" in refusal(lambda: write_table(tmp_path, f"{header}\n{rows}").columns)


def test_a_column_name_may_look_like_a_missing_value(tmp_path: Path) -> None:
    rows = "".join(f"{i},{i * i},{i**3},{i % 2}\n" for i in range(6))
    table = write_table(tmp_path, f"NA,nan,null,None\n{rows}")
    for target in ("NA", "nan", "null", "None"):
        others = tuple(name for name in ("NA", "nan", "null", "None") if name != target)
        assert Table(path=table.path, target=target).columns.features == others


def test_duplicate_column_names_are_refused_in_parquet(tmp_path: Path) -> None:
    column = pa.array(range(6))
    duplicated = pa.Table.from_arrays([column, column, column], names=["x", "x", "y"])
    pq.write_table(duplicated, tmp_path / "table.parquet")
    refusal(lambda: Table(path=str(tmp_path / "table.parquet"), target="y").columns)


def test_rows_longer_than_the_header_are_refused(tmp_path: Path) -> None:
    rows = "".join(f"{i},{i * i},{i**3}\n" for i in range(6))
    assert "cannot read the table" in refusal(lambda: write_table(tmp_path, f"x,y\n{rows}").columns)


@pytest.mark.parametrize(
    "column",
    [
        pd.date_range("2020-01-01", periods=6),
        pd.to_timedelta(range(6), unit="s"),
        pd.Series(["a", "b", "c"] * 2, dtype="category"),
        pd.Series([[1], [2], [3]] * 2),
        pd.array([1, None, 3, 4, 5, 6], dtype="Int64"),
        pd.Series([None] * 6),
    ],
    ids=["dates", "durations", "categories", "lists", "a missing whole number", "nothing"],
)
def test_a_column_without_numbers_is_refused(column: pd.Series, tmp_path: Path) -> None:
    pd.DataFrame({"x": column, "y": range(6)}).to_parquet(tmp_path / "table.parquet")
    table = Table(path=str(tmp_path / "table.parquet"), target="y")
    message = refusal(lambda: table.columns)
    assert "column 'x'" in message


@pytest.mark.parametrize(
    "values", [[1e308, -1e308] * 3, [i * 1e-200 for i in range(6)]], ids=["huge", "tiny"]
)
def test_a_column_without_a_finite_positive_standard_deviation_is_refused(values: list[float]) -> None:
    frame = pd.DataFrame({"x": values, "y": range(6)})
    assert "column 'x'" in refusal(check_columns, frame, "y", "a table")


@pytest.mark.parametrize("name", ["table.parquet", "table.csv"])
@pytest.mark.parametrize("content", [b"", b"PAR1 and then none of it", b"\x00" * 100])
def test_a_file_without_a_table_is_refused_in_one_sentence(
    name: str, content: bytes, tmp_path: Path
) -> None:
    table = write_table(tmp_path, content, name)
    assert name in refusal(lambda: table.columns)


def test_a_file_with_an_unknown_suffix_is_refused_in_one_sentence(tmp_path: Path) -> None:
    table = write_table(tmp_path, f"x,y\n{ROWS}", "table.xlsx")
    assert "'.xlsx', expected .csv or .parquet" in refusal(lambda: table.columns)


@pytest.mark.parametrize(
    "path",
    ["missing.csv", "missing/table.csv", "~nobody-of-that-name/table.csv", "a\0b.csv", "x" * 5000 + ".csv"],
    ids=["file", "folder", "user", "nul", "long"],
)
def test_a_path_without_a_file_is_refused_in_one_sentence(path: str) -> None:
    table = Table(path=path, target="y")
    assert refusal(lambda: table.columns).startswith("problem: ")


def test_a_folder_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "table.csv").mkdir()
    table = Table(path=str(tmp_path / "table.csv"), target="y")
    assert refusal(lambda: table.columns).startswith("problem: cannot read the table")


@pytest.mark.parametrize(
    "make",
    [
        Table,
        lambda: Table(path="a.csv"),
        lambda: Table(path="a.csv", target="y", dataset="engel"),
        lambda: Table(dataset="engel", holdout=0.0),
        lambda: Table(dataset="engel", holdout=1.0),
        lambda: Linear(w=()),
        lambda: Linear(noise=-1.0),
        lambda: Linear(w=(float("nan"),)),
        lambda: Planck(temperature=0.0),
        lambda: Planck(form="other"),
        lambda: Ohm(intercept=1),
    ],
)
def test_a_problem_with_invalid_arguments_is_refused(make: Callable[[], Problem]) -> None:
    with pytest.raises((ValueError, InputError)):
        make()
