"""The entry point: it imports nothing heavy before it can answer an interrupt."""

import signal
import sys


def main() -> None:
    """Entry point: errors that a user can cure become one message; an interrupt says how to resume."""
    # SIGTERM like Ctrl-C, and Ctrl-C even where a shell started the program in the background and had it ignored:
    # children are ended and temporary files removed on the way out
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    import typer

    from neurohw.cli.app import app
    from neurohw.console import console
    from neurohw.errors import NeurohwError

    try:
        code = app(standalone_mode=False) or 0
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except NeurohwError as error:
        where = f"error in {error.stage}" if error.stage else "error"
        console.print(f"{where}: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)
    except Exception as error:
        if type(error).__module__.startswith(("click", "typer")) and hasattr(error, "show"):
            error.show()
            sys.exit(2)
        raise
    if code == 130:
        console.print("\ninterrupted; the same command goes on where it stopped", style="yellow")
    sys.exit(code)
