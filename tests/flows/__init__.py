import prefect  # noqa: F401  # else a command run in this process would start a server before it imports it
