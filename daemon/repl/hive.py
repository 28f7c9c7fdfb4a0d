"""The module `hive` of a program: the other members of the hives that its agent is in.

    from hive import researcher               a member: await researcher.ask(...), researcher.tell(...)
    import hive; await hive.ask_all(...)      all of the only hive
    from hive import team; await team.vote()  all of one of several

It is written anew as `channels` is, from the same list of who is there, in which a hive is `@team`.
"""

from __future__ import annotations

import keyword
from collections import Counter
from collections.abc import Mapping, Sequence

from .channels import Listing

NAME = "hive"
MARK = "@"
"""Before the name of a hive in a list of who is there: no channel begins so."""
TO_ONE = {"ask": "rlmd_hive_ask__", "tell": "rlmd_hive_tell__"}
TO_ALL = {
    "ask_all": "rlmd_hive_ask_all__",
    "vote": "rlmd_hive_vote__",
    "tell_all": "rlmd_hive_tell_all__",
    "log": "rlmd_hive_log__",
}
"""Methods of a member, and of a hive, with the functions of the host behind them; see `surface.INNER`."""
_MODULE = "rlmd_hive_module__"


def hives(listing: Listing) -> dict[str, Sequence[str]]:
    """The members of each hive, by its name."""
    return {name[len(MARK) :]: members for name, members in listing.items() if name.startswith(MARK)}


def names(listing: Listing) -> dict[str, tuple[str, str]]:
    """What a program can import: hives, and members whose names are in one hive alone, with that.

    A hive's member is empty.
    """
    there = hives(listing)
    count = Counter(member for members in there.values() for member in members)
    found = {member: (hive, member) for hive, members in there.items() for member in members}
    alone = {identifier(member): place for member, place in found.items() if count[member] == 1}
    return {**alone, **{identifier(hive): (hive, "") for hive in there}}


def source(listing: Listing) -> str:
    """Code that makes the module and ends in it. Names in it are checked."""
    classes: list[str] = []
    made: dict[tuple[str, str], str] = {}
    for hive, members in hives(listing).items():
        for member in members:
            # Numbers, because names of two hives and their members may come to the same.
            made[hive, member] = name = f"member{len(made)}"
            classes.append(_class(name, TO_ONE, f"{hive!r}, {member!r}, "))
        own = {identifier(member): made[hive, member] for member in members}
        made[hive, ""] = name = f"hive{len(made)}"
        classes.append(_class(name, TO_ALL, f"{hive!r}, ", own))
    top = {name: made[place] for name, place in names(listing).items()}
    classes.append(_class(NAME, TO_ALL, "'', ", top))
    body = "".join(classes)
    return f"def rlmd_hives__():\n{body}    return {NAME}()\n{_MODULE} = rlmd_hives__()\n{_MODULE}\n"


def missing(listing: Listing, wanted: Sequence[str]) -> str:
    """What is wrong with importing these names; empty if all are there."""
    there = {*names(listing), *TO_ALL}
    unknown = [name for name in wanted if name not in there and name != "*"]
    if not unknown:
        return ""
    several = [
        f"{identifier(hive)}.{name}" for name in unknown for hive, of in hives(listing).items() if name in of
    ]
    if several:
        return f"there are several members {unknown[0]}: import the hive, and call {' or '.join(several)}"
    members = ", ".join(sorted(names(listing))) or "nobody: this agent is in no hive"
    return f"there is no member {' or '.join(unknown)}. There are: {members}"


def _class(name: str, methods: Mapping[str, str], given: str, members: Mapping[str, str] = {}) -> str:
    made = "".join(f"            self.{member} = {kind}()\n" for member, kind in members.items())
    made = made or "            pass\n"
    return f"    class {name}:\n        def __init__(self):\n{made}" + "".join(
        f"        def {method}(self, *args, **kwargs):\n            return {host}({given}*args, **kwargs)\n"
        for method, host in methods.items()
    )


def identifier(name: str) -> str:
    """A name as programs write it."""
    name = name.replace("-", "_")
    return f"{name}_" if keyword.iskeyword(name) else name
