"""The estimators that trials are compared with."""
