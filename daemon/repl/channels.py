"""The module `channels` of a program: one object for each channel, with what it offers as methods.

It is written anew when a step imports it and the channels have changed, and served as the prelude is. A
method does no more than to call the host, which knows what is offered now, whatever was when it was written.
"""

from __future__ import annotations

import keyword
from collections.abc import Mapping, Sequence
from types import MappingProxyType

Listing = Mapping[str, Sequence[str]]
"""Names of the functions of each channel, by its name; and of the other members of each hive, by `@` and its
name (see hive.py)."""
NOBODY: Listing = MappingProxyType({})

NAME = "channels"
CALL, TELL, ASK = "rlmd_call__", "rlmd_tell__", "rlmd_ask__"
"""The functions of the host behind the methods; see `surface.INNER`."""
NAMED = "rlmd_channel__"
"""The attribute by which a channel that crosses is known."""
TELLING = "tell"
"""The method of each channel whose needless `await` is left out; see `source`."""
_MODULE = "rlmd_channels_module__"


def names(listing: Listing) -> dict[str, str]:
    """The channels by the names under which a program imports them: `my-phone` is `my_phone`."""
    # Names of hives begin with another sign.
    listing = {channel: own for channel, own in listing.items() if channel[0].isalpha()}
    found = {channel.replace("-", "_"): channel for channel in listing}
    # A channel that has a name of Python's is not hidden by one that is only written like it.
    found |= {channel: channel for channel in listing if channel.isidentifier()}
    return {name: channel for name, channel in found.items() if not keyword.iskeyword(name)}


def source(listing: Listing) -> str:
    """Code that makes the module and ends in it. Names and texts in it are checked, or quoted by `repr`."""
    named = names(listing)
    classes = "".join(_class(name, channel, listing[channel]) for name, channel in named.items())
    members = "".join(f"            self.{name} = {name}()\n" for name in named) or "            pass\n"
    return (
        f"def rlmd_channels__():\n{classes}"
        f"    class {NAME}:\n        def __init__(self):\n{members}"
        f"    return {NAME}()\n"
        f"{_MODULE} = rlmd_channels__()\n{_MODULE}\n"
    )


def _class(name: str, channel: str, functions: Sequence[str]) -> str:
    own = (
        f"    class {name}:\n"
        f"        def __init__(self):\n"
        f"            self.{NAMED} = {channel!r}\n"
        f"        def ask(self, *args, **kwargs):\n"
        f"            return {ASK}(*args, channel={channel!r}, **kwargs)\n"
        f"        def {TELLING}(self, *args, **kwargs):\n"
        f"            return {TELL}({channel!r}, *args, **kwargs)\n"
    )
    return own + "".join(
        f"        def {function}(self, *args, **kwargs):\n"
        f"            return {CALL}({channel!r}, {function!r}, [*args], kwargs)\n"
        for function in functions
    )


def missing(listing: Listing, wanted: Sequence[str]) -> str:
    """What is wrong with importing these names; empty if all are there."""
    named = names(listing)
    unknown = [name for name in wanted if name not in named and name != "*"]
    if not unknown:
        return ""
    there = ", ".join(sorted(named)) or "nobody yet"
    return f"there is no channel {' or '.join(unknown)}. There are: {there}"
