"""Prefect around a run: its temporary server, session, states and tags."""
