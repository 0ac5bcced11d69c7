"""TCP ports of this machine."""

import socket
from contextlib import closing


def port_conflict(host: str, port: int) -> str | None:
    """Return why nothing can listen at `host`:`port`, or None if the port is free."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.strerror or str(error)
    return None


def next_free_port(host: str, first: int) -> int:
    """Return the first port from `first` on at which something can listen."""
    return next(port for port in range(first, 65536) if port_conflict(host, port) is None)
