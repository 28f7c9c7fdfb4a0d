"""Which embedder the settings name. None is loaded here: each loads itself at its first use."""

from __future__ import annotations

from rlmd.memory.search import Embedder, LocalEmbedder, OpenAIEmbedder
from rlmd.settings import Settings

BUILT_IN = "built in (words and near spellings; no model)"
"""What is told where there is no embedder."""


def embedder_of(settings: Settings) -> Embedder | None:
    """None for the built-in search, which needs no vectors."""
    kind, _, name = settings.embedder.partition(":")
    match kind:
        case "local":
            return LocalEmbedder(name, cache=settings.models)
        case "openai":
            url = settings.openai_base_url or "https://api.openai.com/v1"
            return OpenAIEmbedder(url=url, model=name, key=settings.openai_api_key)
    return None
