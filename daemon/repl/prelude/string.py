"""`string`, its constants and capwords. Runs inside the sandbox."""

from typing import Any


def rlmd_string__() -> Any:
    class String:
        def __init__(self) -> None:
            self.ascii_lowercase = "abcdefghijklmnopqrstuvwxyz"
            self.ascii_uppercase = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
            self.ascii_letters = self.ascii_lowercase + self.ascii_uppercase
            self.digits = "0123456789"
            self.hexdigits = "0123456789abcdefABCDEF"
            self.octdigits = "01234567"
            self.punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
            self.whitespace = " \t\n\r\x0b\x0c"
            self.printable = self.digits + self.ascii_letters + self.punctuation + self.whitespace

        def capwords(self, text: str, sep: Any = None) -> str:
            return (sep or " ").join([word.capitalize() for word in text.split(sep)])

    return String()


rlmd_string_module__ = rlmd_string__()
