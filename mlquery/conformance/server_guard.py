"""Guards one server: runs it until the standard input closes, ends it and removes its folder. Run as a program.

The standard input is a pipe that the parent holds, so that a parent that is killed ends its server too. Only the
standard library is needed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any

_GRACE_SECONDS = 20


def main(arguments: Sequence[str]) -> int:
    """Guard the command `arguments[3:]` over the folder `arguments[0]`; return its exit code.

    The command runs as the user and the group with the numbers `arguments[1:3]`, or as this process does if these are
    empty. What it writes is in the file `log` of the folder, which is left when the command ends by itself.
    """
    folder, user, group, *command = arguments
    account: dict[str, Any] = {"user": int(user), "group": int(group), "extra_groups": []} if user else {}
    with open(os.path.join(folder, "log"), "wb") as log:
        output: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        server: subprocess.Popen[bytes] = subprocess.Popen(command, cwd=folder, **output, **account)
    is_orphan = threading.Event()
    threading.Thread(target=_end_with_parent, args=(server, is_orphan), daemon=True).start()
    code = server.wait()
    if is_orphan.is_set():
        shutil.rmtree(folder, ignore_errors=True)
    return code


def _end_with_parent(server: subprocess.Popen[bytes], is_orphan: threading.Event) -> None:
    sys.stdin.buffer.read()
    is_orphan.set()
    server.send_signal(signal.SIGQUIT)  # to both servers: end at once, without waiting for clients
    try:
        server.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
