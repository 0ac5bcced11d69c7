"""Serve Prefect's API on an inherited socket: the script that `temporary_server` runs.

`create_app` is not public interface; see prefect_internals.py.
"""

import sys

import uvicorn
from prefect.server.api.server import create_app

if __name__ == "__main__":
    uvicorn.run(create_app(ephemeral=True), fd=int(sys.argv[1]), log_level="error")
