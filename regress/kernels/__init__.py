"""Compiled training and metrics of linear models.

A model's results follow from one fixed sequence of IEEE additions, multiplications and divisions: no fused
multiply-add, no reassociation, no BLAS. Each model occupies one slot of a vector, and vector operations
round every slot independently. A model's bits therefore depend neither on its slot nor on the models in the
other slots, the threads, or the width of the processor's vector registers.

Importing this package does not import Numba; `regress.kernels.compiler` imports it when it compiles.
"""

WIDTH = 16  # slots of a vector, each of which holds one model
