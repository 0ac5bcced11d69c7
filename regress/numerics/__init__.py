"""Arithmetic whose bits do not depend on the processor: IEEE operations in one fixed sequence.

A C library, a BLAS and a vector library each choose by the processor how they compute a logarithm, a dot
product or an exponential, and round differently. What the numbers of a trial pass through is written here
in additions, multiplications, divisions and square roots, which every processor rounds alike.
"""
