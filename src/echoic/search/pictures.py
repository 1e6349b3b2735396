"""Finding the files that sound like what a picture shows."""

from __future__ import annotations

from pathlib import Path

from echoic.arguments import check_part
from echoic.encoders.base import PictureEncoder, check_vectors
from echoic.errors import EncoderError
from echoic.search.query import Filters, check_k
from echoic.search.ranking import as_hits, rank_files
from echoic.storage.catalog import Catalog
from echoic.storage.spaces import Spaces
from echoic.types import Hit

__all__ = ["find_pictured"]


def find_pictured(
    catalog: Catalog,
    spaces: Spaces,
    picture: Path,
    k: int,
    filters: Filters,
    *,
    start: float | None = None,
    end: float | None = None,
    encoder: str | None = None,
    include_query: bool = False,
) -> list[Hit]:
    """Find the ``k`` files that fit a picture or film best; see :meth:`echoic.library.Library.pictured`."""
    from echoic.audio.pictures import read_pictures

    check_k(k)
    check_part(start, end)
    source, spec = spaces.chosen(encoder, takes="picture")
    looking = spaces.encoder(source, spec)
    if not isinstance(looking, PictureEncoder):
        raise EncoderError(f"encoder {spec.name} is said to take pictures, and does not; install it anew")
    scope = filters.scope(catalog, () if include_query else (picture,))
    vectors = looking.encode_pictures(read_pictures(picture, looking.n_frames, start, end))
    matches = rank_files(
        spaces.store(spec),
        check_vectors(spec, 1, vectors),
        k,
        within=scope.within,
        without=scope.without,
    )
    return as_hits(catalog, spec, matches, k)
