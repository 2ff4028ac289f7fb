"""Python imports this at its start where this folder is on PYTHONPATH: no connection but to this machine itself.

The root conftest.py puts it there, so that the kernels and commands that tests start are cut off like the tests themselves.
What is asked for is written into the file that TL_CONNECTIONS names, also where it is caught: see tests/test_security.py.
"""

import os
import socket
import sys

import pytest_socket

OWN = ["127.0.0.1", "::1", "localhost"]
pytest_socket.socket_allow_hosts(OWN, allow_unix_socket=True)
guarded = socket.socket.connect


def note(host) -> None:
    host = host.decode() if isinstance(host, bytes) else host
    if host and host not in [*OWN, "0.0.0.0", "::", socket.gethostname()] and os.environ.get("TL_CONNECTIONS"):
        with open(os.environ["TL_CONNECTIONS"], "a", encoding="utf-8") as file:
            file.write(f"{host}\n")


def connect(self, address):
    if isinstance(address, tuple):
        note(address[0])
    return guarded(self, address)


socket.socket.connect = connect
sys.addaudithook(lambda event, words: note(words[0]) if event == "socket.getaddrinfo" else None)
