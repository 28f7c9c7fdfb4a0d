"""The gaps of the sandbox as data: names that CPython has and it lacks, each with a way around.

Measured against pydantic-monty 1.4.0. Only names that models really use are listed: what is missing
here is found when the step runs, what is here wrongly would refuse a step that works.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_GATHER = "asyncio has only gather, sleep and run: start the calls in one await asyncio.gather(...)."
_DICT = "Build the dict yourself: {'name': x.name, ...}."
_NO_TYPE = "Leave the annotation out."
_RECORD = "Write a plain @dataclass without bases, or use dicts."
_PLAIN = "Write it as a plain function."
_DATES = "Use datetime.fromisoformat, timedelta and the fields .year .month .day .hour."

MISSING_NAMES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "asyncio": dict.fromkeys(
            ("create_task", "ensure_future", "wait", "wait_for", "as_completed", "to_thread", "timeout",
             "TaskGroup", "Task", "Queue", "Lock", "Event", "Semaphore", "BoundedSemaphore", "get_event_loop",
             "get_running_loop", "new_event_loop", "TimeoutError", "CancelledError", "shield"),
            _GATHER,
        ),
        "collections": {
            "OrderedDict": "A dict keeps its order.",
            "ChainMap": "Merge with {**a, **b}.",
            "abc": _NO_TYPE,
            "UserDict": "Use a dict.",
        },
        "dataclasses": {
            "asdict": _DICT,
            "astuple": "Build the tuple yourself.",
            "replace": "Make a new one with all its fields.",
            "fields": "Name the fields yourself.",
            "InitVar": "Pass it to a function that makes the object.",
            "make_dataclass": "Write the class.",
            "KW_ONLY": "Leave it out.",
        },
        "datetime": {"UTC": "Use datetime.timezone.utc.", "tzinfo": "Use datetime.timezone."},
        "datetime.datetime": dict.fromkeys(("fromtimestamp", "utcfromtimestamp", "utcnow"), _DATES),
        "functools": {
            "wraps": "Leave it out.",
            "cmp_to_key": "Sort with key=lambda x: (...).",
            "cached_property": _PLAIN,
            "singledispatch": _PLAIN,
            "total_ordering": "Sort with key=lambda x: (...).",
            "partialmethod": _PLAIN,
        },
        "json": {"JSONEncoder": "Turn the value into JSON first.", "JSONDecoder": "Use json.loads."},
        "re": {
            "subn": "Use re.sub, and len(re.findall(...)) for the count.",
            "VERBOSE": "Write (?x) at the front of the pattern.",
            "X": "Write (?x) at the front of the pattern.",
            "UNICODE": "Leave it out.",
            "U": "Leave it out.",
        },
        "sys": dict.fromkeys(("exit", "stdin", "getsizeof", "modules"), "Use done(value) to end the run."),
        "os": dict.fromkeys(("system", "popen", "getpid", "cpu_count"), "There is no operating system here."),
        "typing": dict.fromkeys(
            ("cast", "NewType", "overload", "runtime_checkable", "AnyStr",
             "Awaitable", "Coroutine", "TypeAlias", "DefaultDict", "Deque", "OrderedDict", "Counter",
             "Pattern", "Match", "AsyncIterator", "NotRequired", "Required", "final"),
            _NO_TYPE,
        )
        | {"NamedTuple": _RECORD, "TypedDict": _RECORD},
    }
)  # fmt: skip
"""Members that a module lacks, by module."""

_NO_WARNING = "Use Exception or ValueError."

_OTHERS = (
    "Devices, bots and people are channels: import channels; channels.NAME.tell(text), "
    "await channels.NAME.ask(question), await channels.NAME.FUNCTION(...). reply(text) answers who woke you."
)
_LATER = (
    "Use schedule.after('20m', text), schedule.at('2026-12-24 18:00', text), schedule.every('1d', text) or "
    "schedule.cron('0 9 * * *', text): each wakes you then, with the text as the event."
)
_HIVE = (
    "Import it: from hive import NAME; await NAME.ask(question), NAME.tell(text). Shared variables are those "
    "whose names begin with '@' and the hive's name, as in memory.get('@team/plan')."
)

NOT_OFFERED: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("people", "devices", "bots", "tools", "tell", "send", "notify"), _OTHERS),
        **dict.fromkeys(("scheduler", "remind", "reminder", "timer", "cron", "sched"), _LATER),
        **dict.fromkeys(("hive", "hives"), _HIVE),
    }
)
"""Modules and functions of agents elsewhere that models take for granted, and what to do without."""

_NO_NETWORK = "There is no network here: work with what is in memory, the log and the event."
_NO_FILES = (
    "There are no files here: keep data with memory.set(name, value) and read it with memory.get(name)."
)
_NO_THREADS = "Start calls at once with await asyncio.gather(*calls)."
_NO_TABLES = "Use lists, dicts, collections and statistics."

MISSING_MODULES: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            ("requests", "httpx", "aiohttp", "urllib", "http", "socket", "ssl", "smtplib"), _NO_NETWORK
        ),
        **dict.fromkeys(("shutil", "glob", "tempfile", "sqlite3", "pickle", "shelve", "zipfile"), _NO_FILES),
        **dict.fromkeys(("threading", "multiprocessing", "concurrent", "subprocess", "queue"), _NO_THREADS),
        **dict.fromkeys(("numpy", "pandas", "polars", "scipy"), _NO_TABLES),
        "enum": "Use plain texts or numbers as constants.",
        "abc": "Leave it out: there is no inheritance.",
        "logging": "Use print: it is shown to you.",
        "warnings": "Leave it out.",
        "traceback": "print(f'{type(error).__name__}: {error}') shows an error.",
        "contextlib": "Use try, except and finally.",
        "calendar": "Count with datetime.date and timedelta.",
        "zoneinfo": "event.time is in the owner's zone already; datetime.timezone has fixed offsets.",
        "dateutil": "Use datetime.fromisoformat and strptime.",
        "secrets": "Use random.",
        "rlmd": "Nothing is to be imported: memory, log, reply, done and llm are there.",
        "llm": "It is there already: await llm(...).",
        "rlm": "It is there already: await rlm(...).",
    }
)
"""Modules that models import and that do not exist, each with what to do instead."""

MISSING_BUILTINS: Mapping[str, str] = MappingProxyType(
    {
        "input": "Ask with await ask(question).",
        "super": "There is no inheritance: call the function you mean.",
        "globals": "Keep names in a dict of your own.",
        "vars": _DICT,
        "dir": "Name what you need.",
        "exit": "End the run with done(value).",
        "quit": "End the run with done(value).",
        "callable": "Test it with hasattr, or call it in a try.",
        "issubclass": "Use isinstance.",
        "bytearray": "Use bytes or a list.",
        "memoryview": "Slice the bytes.",
        "compile": "Use the code itself.",
        "delattr": "Set the attribute to None.",
        "help": "What exists is in your instructions.",
        "breakpoint": "Use print.",
        "__import__": "Use import.",
        "staticmethod": "Write a plain function outside the class.",
        "classmethod": "Write a plain function outside the class.",
        "aiter": "Loop over a list.",
        "anext": "Loop over a list.",
        "ascii": "Use repr.",
        "Warning": _NO_WARNING,
        "UserWarning": _NO_WARNING,
        "DeprecationWarning": _NO_WARNING,
        "ExceptionGroup": _NO_WARNING,
        "EOFError": _NO_WARNING,
    }
)
"""Builtins that do not exist, apart from those that a session defines when it opens."""

METHODS: Mapping[str, str] = MappingProxyType(
    {
        "timetuple": "For the day of the year: (d - date(d.year, 1, 1)).days + 1.",
        "utctimetuple": _DATES,
        "isocalendar": "strftime('%G-W%V') gives year and week.",
        "bit_length": "Use len(bin(n)) - 2.",
        "maketrans": "Replace characters with .replace or a dict.",
        "format_map": "Use .format(**values).",
    }
)
"""Methods of built-in values that do not exist, with names that nothing else bears."""

BUILTIN_TYPES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "str": frozenset[str](),
        "int": frozenset[str](),
        "float": frozenset({"fromhex"}),
        "list": frozenset[str](),
        "dict": frozenset({"fromkeys"}),
        "set": frozenset[str](),
        "tuple": frozenset[str](),
        "bytes": frozenset({"fromhex"}),
    }
)
"""Built-in types, with what can be taken from the type itself."""
