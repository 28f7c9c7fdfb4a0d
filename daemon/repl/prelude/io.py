"""`io.StringIO`, so that csv and the like can read and write texts. Runs inside the sandbox."""

from typing import Any


def rlmd_io__() -> Any:
    class StringIO:
        def __init__(self, initial_value: str = "", newline: Any = "\n") -> None:
            self._text = initial_value
            self._at = 0

        def write(self, text: str) -> int:
            self._text = self._text[: self._at] + text + self._text[self._at + len(text) :]
            self._at += len(text)
            return len(text)

        def getvalue(self) -> str:
            return self._text

        def read(self, size: int = -1) -> str:
            end = len(self._text) if size is None or size < 0 else self._at + size
            text = self._text[self._at : end]
            self._at += len(text)
            return text

        def readline(self) -> str:
            cut = self._text.find("\n", self._at)
            return self.read(-1 if cut < 0 else cut + 1 - self._at)

        def readlines(self) -> list[str]:
            return self.read().splitlines(True)

        def writelines(self, lines: Any) -> None:
            for line in lines:
                self.write(line)

        def seek(self, at: int, whence: int = 0) -> int:
            self._at = at if whence == 0 else len(self._text) + at if whence == 2 else self._at + at
            return self._at

        def tell(self) -> int:
            return self._at

        def close(self) -> None:
            pass

        def __iter__(self) -> Any:
            return iter(self.readlines())

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *error: Any) -> None:
            pass

    class Io:
        def __init__(self) -> None:
            self.StringIO = StringIO

    return Io()


rlmd_io_module__ = rlmd_io__()
