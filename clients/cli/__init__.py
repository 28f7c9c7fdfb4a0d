"""The command line, `rlmd`: one module a command group, loaded only when it is called."""
