"""The command `regress`: its subcommands, and what they print."""
