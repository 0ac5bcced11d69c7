"""Recorded executions, trained again: do their numbers still hold?"""
