"""Problems: a data set and a model to fit it."""

from regress.problems.data import Data
from regress.problems.linear import Linear
from regress.problems.model import Model
from regress.problems.ohm import Ohm
from regress.problems.planck import Planck
from regress.problems.problem import Problem
from regress.problems.table import Table
from regress.values.registry import Registry, load_registry

PROBLEMS: Registry[Problem] = load_registry(Problem, "problems", [Linear, Ohm, Planck, Table])

__all__ = ["PROBLEMS", "Data", "Linear", "Model", "Ohm", "Planck", "Problem", "Table"]
