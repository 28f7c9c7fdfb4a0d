"""`statistics`, as far as programs use it. Runs inside the sandbox."""

from typing import Any


def rlmd_statistics__() -> Any:
    import math
    from collections import Counter

    class Statistics:
        def mean(self, data: Any) -> Any:
            xs = self._some(data)
            return sum(xs) / len(xs)

        def fmean(self, data: Any) -> float:
            return float(self.mean(data))

        def geometric_mean(self, data: Any) -> float:
            return math.exp(self.mean([math.log(x) for x in data]))

        def harmonic_mean(self, data: Any) -> Any:
            xs = self._some(data)
            return len(xs) / sum(1 / x for x in xs)

        def median(self, data: Any) -> Any:
            xs = sorted(self._some(data))
            half = len(xs) // 2
            return xs[half] if len(xs) % 2 else (xs[half - 1] + xs[half]) / 2

        def median_low(self, data: Any) -> Any:
            xs = sorted(self._some(data))
            return xs[(len(xs) - 1) // 2]

        def median_high(self, data: Any) -> Any:
            xs = sorted(self._some(data))
            return xs[len(xs) // 2]

        def mode(self, data: Any) -> Any:
            return self.multimode(self._some(data))[0]

        def multimode(self, data: Any) -> Any:
            counts = Counter(list(data))
            most = max(counts.values(), default=0)
            return [x for x, n in counts.items() if n == most]

        def pvariance(self, data: Any, mu: Any = None) -> Any:
            xs = self._some(data)
            middle = self.mean(xs) if mu is None else mu
            return sum((x - middle) ** 2 for x in xs) / len(xs)

        def variance(self, data: Any, xbar: Any = None) -> Any:
            xs = list(data)
            if len(xs) < 2:
                raise ValueError("variance requires at least two data points")
            middle = self.mean(xs) if xbar is None else xbar
            return sum((x - middle) ** 2 for x in xs) / (len(xs) - 1)

        def pstdev(self, data: Any, mu: Any = None) -> float:
            return math.sqrt(self.pvariance(data, mu))

        def stdev(self, data: Any, xbar: Any = None) -> float:
            return math.sqrt(self.variance(data, xbar))

        def quantiles(self, data: Any, n: int = 4) -> Any:
            xs = sorted(data)
            if len(xs) < 2:
                raise ValueError("must have at least two data points")
            cuts = []
            for i in range(1, n):
                at = min(max(i * (len(xs) + 1) // n, 1), len(xs) - 1)
                part = i * (len(xs) + 1) - at * n
                cuts.append((xs[at - 1] * (n - part) + xs[at] * part) / n)
            return cuts

        def correlation(self, x: Any, y: Any) -> Any:
            xs, ys = list(x), list(y)
            mx, my = self.mean(xs), self.mean(ys)
            over = sum((a - mx) * (b - my) for a, b in zip(xs, ys, strict=True))
            return over / math.sqrt(sum((a - mx) ** 2 for a in xs) * sum((b - my) ** 2 for b in ys))

        def _some(self, data: Any) -> Any:
            xs = list(data)
            if not xs:
                raise ValueError("no data points: at least one is needed")
            return xs

    return Statistics()


rlmd_statistics_module__ = rlmd_statistics__()
