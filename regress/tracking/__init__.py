"""Recording of executions in MLflow; no other package of `regress` imports MLflow."""
