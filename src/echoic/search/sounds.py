"""Finding the files that sound like an example, or that fit words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from echoic.encoders.base import mean_vector
from echoic.search.query import Examples, Filters, Query, check_k
from echoic.search.ranking import as_hits, rank_files, refine_query, thin
from echoic.storage.catalog import Catalog
from echoic.storage.spaces import Spaces
from echoic.types import Hit, Note

__all__ = ["find_sounds"]


def find_sounds(
    catalog: Catalog,
    spaces: Spaces,
    query: Query,
    k: int,
    filters: Filters,
    *,
    encoder: str | None = None,
    include_query: bool = False,
    noted: Callable[[Path | str, Note], None] = lambda *_: None,
) -> list[Hit]:
    """Find the ``k`` files that fit a query best; see :meth:`echoic.library.Library.search`.

    Words beside an example are one more thing that the hits should be like.
    """
    check_k(k)
    source, spec = spaces.chosen(encoder, takes="text" if query.texts else "audio")
    examples = Examples(spaces, source, spec, noted)
    scope = filters.scope(catalog, () if include_query else query.examples)
    main = None
    if query.path is not None:
        main = thin(examples.sound(query.path, query.start, query.end).vectors)
    wanted, unwanted = (
        [
            examples.words(one)[0] if isinstance(one, str) else mean_vector(examples.sound(one).vectors)
            for one in given
        ]
        for given in (query.like, query.unlike)
    )
    if query.text is not None:
        words = examples.words(query.text)
        if main is None:
            main = words
        else:
            wanted.append(words[0])
    queries = refine_query(main, wanted, unwanted)
    matches = rank_files(spaces.store(spec), queries, k, within=scope.within, without=scope.without)
    return as_hits(catalog, spec, matches, k)
