"""Portable arithmetic: the same bits on every processor, from IEEE operations in one fixed sequence.

C libraries, BLAS and vector libraries select their implementation of a logarithm, a dot product or an
exponential by the processor, and these implementations round differently. Everything that enters a trial's
results is therefore computed here from additions, multiplications, divisions and square roots, which
IEEE 754 rounds identically on every processor.
"""
