"""Prefect tasks, one file a step: each calls regress and says what it does."""
