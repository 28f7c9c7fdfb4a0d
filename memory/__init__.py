"""What survives: users, agents, versioned variables, the log, runs and their journal, and search over it.

Start reading at store.py. Nothing here knows gRPC or models.
"""
