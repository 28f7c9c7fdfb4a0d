"""Search by words and by meaning, over a derived index that may be deleted at any time."""

from .embedders import Embedder, OpenAIEmbedder
from .index import Index, IndexState, IndexStatus
from .local import LocalEmbedder
from .searcher import Part
from .source import Document, Shelf, Source, readable

__all__ = [
    "Document",
    "Embedder",
    "Index",
    "IndexState",
    "IndexStatus",
    "LocalEmbedder",
    "OpenAIEmbedder",
    "Part",
    "Shelf",
    "Source",
    "readable",
]
