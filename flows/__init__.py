"""Prefect flows and the `regress` command."""
