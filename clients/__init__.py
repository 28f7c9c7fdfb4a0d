"""What connects to a daemon: the Python library, the command line and the chat in the terminal.

    aio/        the library; the one place where it is written
    sync/       the same without async, made from it by scripts/unasync.py
    records, updates, values, decode, errors, address    what both share
    local       the daemon on this machine: find, start, stop
    importing/  files and exports of chats as variables
    cli/        the command line

Clients know the contract (`rlmd.proto`), the settings and the errors, and nothing of the daemon's inside.
"""
