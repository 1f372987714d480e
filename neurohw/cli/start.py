# SPDX-License-Identifier: Apache-2.0
"""The entry point: it imports nothing heavy before it can answer an interrupt."""

import os
import signal
import sys
from typing import Any

INTERRUPTED = 130


def _open_streams() -> None:
    """Give closed standard streams a place, and never fail on a character that one cannot show.

    A file that is opened while number 1 is free gets that number, and programs write into it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+"))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _drop(stream: Any) -> None:
    """Send what a stream still holds nowhere, so that the end of the process is quiet."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _say(text: str, colour: str) -> None:
    from neurohw.console import errors

    errors.print(text, style=colour, highlight=False, soft_wrap=True)


def _words_of(error: OSError) -> str:
    """A system's error without its number: what failed, and on which file."""
    names = [str(name) for name in (error.filename, error.filename2) if name is not None]
    return f"{' -> '.join(names)}: {error.strerror}" if names else str(error.strerror or error)


def _failed(error: Exception) -> int | None:
    """Say what is wrong in one line; the exit code, None for an error that is ours."""
    from neurohw.errors import NeurohwError
    from neurohw.extras import missing_package

    if isinstance(error, ImportError):
        error = missing_package(error) or error
    if isinstance(error, NeurohwError):
        for one in getattr(error, "errors", (error,)):
            _say(f"error in {one.stage}: {one}" if one.stage else f"error: {one}", "red")
        return 1
    if isinstance(error, BrokenPipeError):
        _drop(sys.stdout)
        return 1
    if isinstance(error, OSError):
        _say(f"error: {_words_of(error)}", "red")
        return 1
    if isinstance(error, MemoryError):
        _say(f"error: not enough memory{f' ({error})' if str(error) else ''}", "red")
        return 1
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()  # type: ignore[attr-defined]
        return 2
    if hasattr(
        error, "format_message"
    ):  # of the command line's library, whose classes have moved between releases
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "neurohw"
        _say(f"error: {error.format_message()} (see `{path} --help`)", "red")
        return 2
    return None


def _run() -> int:
    # SIGTERM like Ctrl-C, and Ctrl-C even where a shell started the program in the background and
    # had it ignored: children are ended and temporary files removed on the way out
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    _open_streams()
    import typer

    from neurohw.cli.app import app

    try:
        code = int(app(standalone_mode=False) or 0)
        sys.stdout.flush()
        return code
    except typer.Abort:
        return INTERRUPTED
    except Exception as error:
        failed = _failed(error)
        if failed is None:
            raise
        return failed


def main() -> None:
    """Entry point: errors that a user can cure become one message; an interrupt says how to resume.

    Exit codes: 0, 1 for an error, 2 for a wrong command line, 130 for an interrupt.
    """
    try:
        code = _run()
    except KeyboardInterrupt:
        code = INTERRUPTED
    if code == INTERRUPTED:
        sys.stderr.write("\ninterrupted; the same command goes on where it stopped\n")
    try:
        sys.stdout.flush()
    except OSError:  # said already, or nobody is there to hear it
        _drop(sys.stdout)
    sys.exit(code)
