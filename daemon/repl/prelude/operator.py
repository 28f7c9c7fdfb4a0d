"""`operator`, as far as programs use it. Runs inside the sandbox."""

from typing import Any


def rlmd_operator__() -> Any:
    def path(value: Any, dotted: str) -> Any:
        for name in dotted.split("."):
            value = getattr(value, name)
        return value

    class Operator:
        def itemgetter(self, *keys: Any) -> Any:
            if len(keys) == 1:
                return lambda value: value[keys[0]]
            return lambda value: tuple([value[key] for key in keys])

        def attrgetter(self, *names: str) -> Any:
            if len(names) == 1:
                return lambda value: path(value, names[0])
            return lambda value: tuple([path(value, name) for name in names])

        def add(self, a: Any, b: Any) -> Any:
            return a + b

        def sub(self, a: Any, b: Any) -> Any:
            return a - b

        def mul(self, a: Any, b: Any) -> Any:
            return a * b

        def truediv(self, a: Any, b: Any) -> Any:
            return a / b

        def floordiv(self, a: Any, b: Any) -> Any:
            return a // b

        def mod(self, a: Any, b: Any) -> Any:
            return a % b

        def neg(self, a: Any) -> Any:
            return -a

        def eq(self, a: Any, b: Any) -> bool:
            return bool(a == b)

        def ne(self, a: Any, b: Any) -> bool:
            return bool(a != b)

        def lt(self, a: Any, b: Any) -> bool:
            return bool(a < b)

        def le(self, a: Any, b: Any) -> bool:
            return bool(a <= b)

        def gt(self, a: Any, b: Any) -> bool:
            return bool(a > b)

        def ge(self, a: Any, b: Any) -> bool:
            return bool(a >= b)

        def or_(self, a: Any, b: Any) -> Any:
            return a | b

        def and_(self, a: Any, b: Any) -> Any:
            return a & b

        def contains(self, a: Any, b: Any) -> bool:
            return b in a

    return Operator()


rlmd_operator_module__ = rlmd_operator__()
