"""The reaper: ends every process of a harness that died, however it died.

A harness that is killed with SIGKILL cannot stop its servers. So it starts this small process first and holds one end
of its standard input; each child carries a marker in its environment. When the pipe closes, and the harness did not
say goodbye, the reaper ends every process that carries the marker (grandchildren too, whoever their parent now is)
and removes the runtime folder with its sockets.

A marker in the environment has no gap between starting a process and noting its id, and needs no kernel feature:
parent-death signals do not reach grandchildren, and process groups are left by whoever calls setsid. Servers that write
their title over their environment (Valkey, PostgreSQL) lose the marker a moment after their start, so every process is
noted in the runtime folder as well, and ended with its descendants.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

MARKER = "AUTHSCALE_MARKER"
_NOTE = "process-"
_END_NOTE, _END_S = "end-", 120.0
_GROUP_NOTE = "group-"
_GOODBYE = b"goodbye\n"
_TERM_S = 1.0
_POLL_S = 0.01


class Reaper:
    """Context of one harness process: a runtime folder for sockets, and the promise that nothing outlives it.

    Attributes:
        folder: a new folder with a short path (a Unix socket's path holds some 100 bytes), removed at the end.
        environment: what each child's environment must hold.

    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="authscale-"))
        self.environment = {MARKER: secrets.token_hex(16)}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "topology.reaper", self.environment[MARKER], str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            # a session of its own: what ends the harness's process group must not end the reaper
            start_new_session=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end_all(self.environment[MARKER], self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._process:
            self._process.communicate(_GOODBYE)

    def note(self, pid: int) -> None:
        """Keep a started process on record; its start time tells it from a later process with the same id."""
        try:
            (self.folder / f"{_NOTE}{pid}").write_text(repr(psutil.Process(pid).create_time()))
        except psutil.NoSuchProcess:
            return

    def note_group(self, group: Path) -> None:
        """Keep a control group on record, to be removed once its processes have ended."""
        (self.folder / f"{_GROUP_NOTE}{group.name}").write_text(str(group))

    def note_end(self, argv: Sequence[str]) -> Path:
        """Keep a command on record that ends what is no process of ours, such as containers, should we die.

        Returns the note, to be removed once that has ended.
        """
        note = self.folder / f"{_END_NOTE}{secrets.token_hex(4)}"
        note.write_text(json.dumps(argv))
        return note


def end_all(marker: str, folder: Path) -> None:
    """End every process that carries the marker or is noted: TERM, a second, KILL."""
    processes = _marked(marker) | _noted(folder)
    for process in processes:
        _signal(process, signal.SIGTERM)
        _signal(process, signal.SIGCONT)  # one that is frozen cannot end
    _, alive = psutil.wait_procs(list(processes), timeout=_TERM_S)
    for process in {*alive, *_marked(marker), *_noted(folder)}:
        _signal(process, signal.SIGKILL)
    for note in folder.glob(f"{_GROUP_NOTE}*"):
        _remove(Path(note.read_text()))
    for note in folder.glob(f"{_END_NOTE}*"):
        _run(json.loads(note.read_text()))


def _run(argv: Sequence[str]) -> None:
    """To its end, whatever that is: what it should end may have ended before."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_END_S, check=False)


def _remove(group: Path) -> None:
    """Remove a control group, which the kernel allows once the last of its processes is gone for good."""
    deadline = time.monotonic() + _TERM_S
    while group.exists() and time.monotonic() < deadline:
        try:
            group.rmdir()
        except OSError:
            time.sleep(_POLL_S)


def _noted(folder: Path) -> set[psutil.Process]:
    found: set[psutil.Process] = set()
    for note in folder.glob(f"{_NOTE}*"):
        try:
            process = psutil.Process(int(note.name.removeprefix(_NOTE)))
            if repr(process.create_time()) == note.read_text():
                found |= {process, *process.children(recursive=True)}
        except (psutil.Error, OSError):
            continue
    return found


def _marked(marker: str) -> set[psutil.Process]:
    found = set()
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARKER) == marker and process.pid != os.getpid():
                found.add(process)
        except (psutil.Error, OSError):  # somebody else's, or gone meanwhile
            continue
    return found


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def main(marker: str, folder: str) -> None:
    """Wait for the harness to say goodbye or die."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if sys.stdin.buffer.read() == _GOODBYE:
        return
    end_all(marker, Path(folder))
    time.sleep(0.2)  # a child that was being started in that moment has its environment by now
    end_all(marker, Path(folder))
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
