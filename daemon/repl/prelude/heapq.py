"""`heapq` over lists: the least item is always first. Runs inside the sandbox."""

from typing import Any


def rlmd_heapq__() -> Any:
    from bisect import insort

    # A sorted list is a heap; insertion by bisection moves memory, which is fast at these sizes.
    class Heapq:
        def heapify(self, heap: Any) -> None:
            heap.sort()

        def heappush(self, heap: Any, item: Any) -> None:
            insort(heap, item)

        def heappop(self, heap: Any) -> Any:
            return heap.pop(0)

        def heappushpop(self, heap: Any, item: Any) -> Any:
            insort(heap, item)
            return heap.pop(0)

        def heapreplace(self, heap: Any, item: Any) -> Any:
            least = heap.pop(0)
            insort(heap, item)
            return least

        def nlargest(self, n: int, items: Any, key: Any = None) -> Any:
            return sorted(items, key=key, reverse=True)[:n]

        def nsmallest(self, n: int, items: Any, key: Any = None) -> Any:
            return sorted(items, key=key)[:n]

        def merge(self, *lists: Any, key: Any = None, reverse: bool = False) -> Any:
            return sorted([item for items in lists for item in items], key=key, reverse=reverse)

    return Heapq()


rlmd_heapq_module__ = rlmd_heapq__()
