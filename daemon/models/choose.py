"""Which model serves: an endpoint if one is configured, else the built-in rules."""

from __future__ import annotations

from .api import Model
from .builtin import BuiltinModel
from .openai import OpenAIModel


def choose(*, api_key: str | None, base_url: str | None) -> Model:
    """The model for these settings. A key alone means OpenAI; an address alone, a server without keys."""
    if api_key or base_url:
        return OpenAIModel(api_key=api_key or None, base_url=base_url or None)
    return BuiltinModel()
