"""Time in the daemon: what is due is found, becomes runs, and its fate is recorded."""
