"""Where the command `tinyvision` begins: outside of the package, whose import takes a tenth of a second.

Ctrl-C in that time would end in a traceback through NumPy; here it simply ends the program, as the shell expects.
"""

import _signal as signal  # built in; the module around it takes five milliseconds more to import
import sys


def main() -> int:
    """Import the package, then run its command line."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from tinyvision.cli import main as run

    signal.signal(signal.SIGINT, handler)
    return run()


if __name__ == "__main__":
    sys.exit(main())
