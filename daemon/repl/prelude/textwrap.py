"""`textwrap`, as far as programs use it. Runs inside the sandbox."""

from typing import Any


def rlmd_textwrap__() -> Any:
    class Textwrap:
        def wrap(
            self, text: str, width: int = 70, initial_indent: str = "", subsequent_indent: str = ""
        ) -> list[str]:
            lines: list[str] = []
            line, empty = initial_indent, True
            for word in text.split():
                if not empty and len(line) + 1 + len(word) > width:
                    lines.append(line)
                    line, empty = subsequent_indent, True
                while len(line) + len(word) > width and empty and len(line) < width:
                    room = width - len(line)
                    lines.append(line + word[:room])
                    word, line = word[room:], subsequent_indent
                line = line + word if empty else line + " " + word
                empty = False
            return lines if empty else [*lines, line]

        def fill(
            self, text: str, width: int = 70, initial_indent: str = "", subsequent_indent: str = ""
        ) -> str:
            return "\n".join(self.wrap(text, width, initial_indent, subsequent_indent))

        def shorten(self, text: str, width: int, placeholder: str = " [...]") -> str:
            words = text.split()
            if len(" ".join(words)) <= width:
                return " ".join(words)
            while words and len(" ".join(words)) + len(placeholder) > width:
                words.pop()
            return (" ".join(words) + placeholder).strip()

        def dedent(self, text: str) -> str:
            lines = text.split("\n")
            margins = [len(line) - len(line.lstrip()) for line in lines if line.strip()]
            margin = min(margins, default=0)
            return "\n".join([line[margin:] if line.strip() else "" for line in lines])

        def indent(self, text: str, prefix: str, predicate: Any = None) -> str:
            def wanted(line: str) -> bool:
                return bool(line.strip()) if predicate is None else bool(predicate(line))

            return "".join([prefix + line if wanted(line) else line for line in text.splitlines(True)])

    return Textwrap()


rlmd_textwrap_module__ = rlmd_textwrap__()
