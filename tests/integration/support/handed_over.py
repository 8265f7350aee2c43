"""Start a command as a service manager does that hands sockets over: `handed_over.py UNIX_SOCKET COMMAND...`.

Whoever listens on the unix socket plays the service manager: it sends the listening sockets as descriptors and, as
JSON, the variables that go with them, in which PID stands for this process's id.
"""

import json
import os
import socket
import sys

FIRST = 3


def main(address: str, command: list[str]) -> None:
    with socket.socket(socket.AF_UNIX) as manager:
        manager.connect(address)
        message, descriptors, _, _ = socket.recv_fds(manager, 65536, 16)
    # Out of the way first, since one of them may be where another has to go.
    above = [os.dup2(fd, 100 + number) for number, fd in enumerate(descriptors)]
    for number, fd in enumerate(above):
        os.dup2(fd, FIRST + number)  # inheritable, unlike those that came
    for fd in above:
        os.close(fd)
    variables = {name: value.replace("PID", str(os.getpid())) for name, value in json.loads(message).items()}
    os.execve(command[0], command, {**os.environ, **variables})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
