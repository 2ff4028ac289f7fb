"""Python imports this at its start where this folder is on PYTHONPATH: no connection but to this machine itself.

The root conftest.py puts it there, so that the kernels and commands that tests start are cut off like the tests themselves.
"""

import pytest_socket

pytest_socket.socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)
