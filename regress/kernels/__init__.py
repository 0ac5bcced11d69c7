"""Compiled training and metrics of linear models.

A model's numbers follow from one fixed sequence of IEEE additions, multiplications and divisions: no fused
multiply-add, no reassociation, no BLAS. Models are computed side by side in the slots of a vector, whose
operations round every slot as if it were alone; so a model's bits depend neither on its slot, nor on its
neighbours, threads, or the width of the processor's vector registers.

Importing this package imports nothing of Numba; `regress.kernels.compiler` does, when it compiles.
"""

WIDTH = 16  # slots of a vector
