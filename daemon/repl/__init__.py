"""The sandbox: where programs that a model writes are run, and the border that their calls cross.

Read `api.py` first (what crosses), then `surface.py` (what programs may call), `session.py` (a step)
and `drive.py` (its calls). `lint.py` and `check.py` look at a step before it runs.
"""
