"""`uuid.uuid4`, from the step's seeded randomness. Runs inside the sandbox."""

from typing import Any


def rlmd_uuid__() -> Any:
    import random

    class UUID:
        def __init__(self, hex: str) -> None:
            self.hex = hex.replace("-", "").lower()
            self.int = int(self.hex, 16)

        def __str__(self) -> str:
            h = self.hex
            return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"

        def __repr__(self) -> str:
            return f"UUID('{self}')"

        def __eq__(self, other: Any) -> bool:
            return str(self) == str(other)

        def __hash__(self) -> int:
            return hash(self.hex)

    class Uuid:
        def __init__(self) -> None:
            self.UUID = UUID

        def uuid4(self) -> Any:
            digits = f"{random.getrandbits(128):032x}"
            return UUID(digits[:12] + "4" + digits[13:16] + "89ab"[int(digits[16], 16) % 4] + digits[17:])

    return Uuid()


rlmd_uuid_module__ = rlmd_uuid__()
