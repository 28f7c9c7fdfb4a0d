"""`python -m rlmd.daemon [--data DIR] [--listen HOST:PORT]`: the daemon in the foreground."""

from __future__ import annotations

import argparse
import os
import signal
import sys


def run() -> int:
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Until the daemon handles it, Ctrl-C ends the process without a trace: nothing is open yet.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Late, so that it ends that way while modules are loaded, too.
    from rlmd.errors import RlmdError
    from rlmd.settings import Settings

    parser = argparse.ArgumentParser(
        prog="python -m rlmd.daemon", description="Run the daemon in the foreground."
    )
    parser.add_argument("--data", help="the data directory")
    parser.add_argument("--listen", help="also listen on TCP, on loopback: 127.0.0.1:PORT")
    arguments = parser.parse_args()
    try:
        settings = Settings.load(vars(arguments), os.environ).settings
    except RlmdError as error:
        print(f"rlmd: {error}", file=sys.stderr)
        return 2
    # Late, because it loads everything: a wrong flag is told at once.
    from .main import main

    return main(settings)


if __name__ == "__main__":
    sys.exit(run())
