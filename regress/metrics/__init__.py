"""Metrics of trained models: one table, and what is computed from it."""
