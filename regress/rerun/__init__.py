"""Reruns: retraining recorded executions and checking whether their numbers still hold."""
