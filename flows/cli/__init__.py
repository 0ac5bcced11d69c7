"""The `regress` command."""
