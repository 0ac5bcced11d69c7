"""Prefect tasks, one file for each step; each calls a function of `regress`."""
