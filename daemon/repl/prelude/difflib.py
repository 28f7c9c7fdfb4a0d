"""`difflib`, as far as programs use it: ratios, close matches, unified diffs. Runs inside the sandbox."""

from typing import Any


def rlmd_difflib__() -> Any:
    class SequenceMatcher:
        def __init__(self, isjunk: Any = None, a: Any = "", b: Any = "", autojunk: bool = True) -> None:
            self.a = a
            self.b = b

        def _longest(self, alo: int, ahi: int, blo: int, bhi: int, places: Any) -> Any:
            best_i, best_j, best = alo, blo, 0
            lengths: dict[int, int] = {}
            for i in range(alo, ahi):
                now: dict[int, int] = {}
                for j in places.get(self.a[i], []):
                    if j < blo:
                        continue
                    if j >= bhi:
                        break
                    k = lengths.get(j - 1, 0) + 1
                    now[j] = k
                    if k > best:
                        best_i, best_j, best = i - k + 1, j - k + 1, k
                lengths = now
            return best_i, best_j, best

        def get_matching_blocks(self) -> Any:
            places: dict[Any, list[int]] = {}
            for j, item in enumerate(self.b):
                places.setdefault(item, []).append(j)
            todo = [(0, len(self.a), 0, len(self.b))]
            found = []
            while todo:
                alo, ahi, blo, bhi = todo.pop()
                i, j, k = self._longest(alo, ahi, blo, bhi, places)
                if k:
                    found.append((i, j, k))
                    todo.append((alo, i, blo, j))
                    todo.append((i + k, ahi, j + k, bhi))
            joined: list[Any] = []
            for i, j, k in sorted(found):
                if joined and joined[-1][0] + joined[-1][2] == i and joined[-1][1] + joined[-1][2] == j:
                    joined[-1] = (joined[-1][0], joined[-1][1], joined[-1][2] + k)
                else:
                    joined.append((i, j, k))
            return [*joined, (len(self.a), len(self.b), 0)]

        def ratio(self) -> float:
            total = len(self.a) + len(self.b)
            return 2 * sum([k for _, _, k in self.get_matching_blocks()]) / total if total else 1.0

        def quick_ratio(self) -> float:
            return self.ratio()

        def get_opcodes(self) -> Any:
            i = j = 0
            codes = []
            for a, b, size in self.get_matching_blocks():
                tag = "replace" if i < a and j < b else "delete" if i < a else "insert" if j < b else ""
                if tag:
                    codes.append((tag, i, a, j, b))
                i, j = a + size, b + size
                if size:
                    codes.append(("equal", a, i, b, j))
            return codes

    class Difflib:
        def __init__(self) -> None:
            self.SequenceMatcher = SequenceMatcher

        def get_close_matches(self, word: Any, possibilities: Any, n: int = 3, cutoff: float = 0.6) -> Any:
            scored = [(SequenceMatcher(None, other, word).ratio(), other) for other in possibilities]
            return [other for score, other in sorted(scored, reverse=True) if score >= cutoff][:n]

        def ndiff(self, a: Any, b: Any) -> list[str]:
            lines = []
            for tag, i1, i2, j1, j2 in SequenceMatcher(None, a, b).get_opcodes():
                if tag == "equal":
                    lines += ["  " + line for line in a[i1:i2]]
                else:
                    lines += ["- " + line for line in a[i1:i2]] + ["+ " + line for line in b[j1:j2]]
            return lines

        def unified_diff(
            self, a: Any, b: Any, fromfile: str = "", tofile: str = "", n: int = 3, lineterm: str = "\n"
        ) -> list[str]:
            codes = SequenceMatcher(None, a, b).get_opcodes()
            if all(code[0] == "equal" for code in codes):
                return []
            lines = [f"--- {fromfile}{lineterm}", f"+++ {tofile}{lineterm}"]
            for at, (tag, i1, i2, j1, j2) in enumerate(codes):
                if tag != "equal":
                    lines += ["-" + line for line in a[i1:i2]] + ["+" + line for line in b[j1:j2]]
                    continue
                head = a[i1 : i1 + n] if at else []
                tail = a[max(i1 + len(head), i2 - n) : i2] if at < len(codes) - 1 else []
                lines += [" " + line for line in head]
                if len(head) + len(tail) < i2 - i1:
                    lines.append(f"@@ -{i2 - len(tail) + 1} +{j2 - len(tail) + 1} @@{lineterm}")
                lines += [" " + line for line in tail]
            return lines

    return Difflib()


rlmd_difflib_module__ = rlmd_difflib__()
