"""rlmd: a daemon for minds.

    with rlmd.connect() as client:
        memory = client.agent("main").memory
        memory.set("people/bob", {"city": "Berlin"})
        print(client.agent("main").chat("Where does Bob live?"))

This module is the public face and loads nothing until it is used: `import rlmd` costs no gRPC, no
database and no sandbox.
"""

from __future__ import annotations
