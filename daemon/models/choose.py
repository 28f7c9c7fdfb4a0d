"""Which model serves: an endpoint if one is configured, else the built-in rules."""

from __future__ import annotations

from urllib.parse import urlsplit

from rlmd.errors import InvalidInput

from .api import Model
from .builtin import BuiltinModel


def choose(*, api_key: str | None, base_url: str | None) -> Model:
    """The model for these settings. A key alone means OpenAI; an address alone, a server without keys.

    Raises:
        InvalidInput: no request can be made of the key or the address.
    """
    if api_key or base_url:
        _check(api_key or "", base_url or "")
        # A second and 23 MB, which only those pay who have a provider.
        from .fallback import FallbackModel
        from .openai import OpenAIModel

        return FallbackModel(OpenAIModel(api_key=api_key or None, base_url=base_url or None))
    return BuiltinModel()


def _check(api_key: str, base_url: str) -> None:
    if not api_key.isascii() or not api_key.isprintable():
        raise InvalidInput(
            "the key has characters that no key has.", field="OPENAI_API_KEY", remedy="Copy it again."
        )
    try:
        address = urlsplit(base_url)
        # Asking for a port that is none raises, too.
        fits = bool(address.hostname) and " " not in base_url and address.port != 0
    except ValueError:
        fits = False
    if base_url and not fits:
        raise InvalidInput(
            "this is no address of a server.",
            field="OPENAI_BASE_URL",
            remedy="Give one such as http://127.0.0.1:8000/v1.",
        )
