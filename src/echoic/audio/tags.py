"""Tags: what is written in a file about its sound, and how two of them compare.

A tag has a name and values. Most formats keep the values of a name in one text, and taggers part them as
they please; :func:`tag_values` is the one rule by which such a text is read, in files and in queries alike.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

__all__ = ["folded", "is_mark", "tag_values"]

# Sentences, which may hold a semicolon: one value. All other names are lists, parted by semicolons; so does
# ffmpeg join comments that a file repeats.
_PROSE = frozenset(
    "album comment copyright description disclaimer license lyrics purl subtitle synopsis title url".split()
)
# Taggers part these by commas as well, and genres by slashes too: an artist may be AC/DC, a keyword 24/7.
_SEPARATORS = {"genre": r"[;,/|\\]", "keywords": "[;,]", "mood": "[;,]", "style": "[;,]"}

# What programs note about their own work rather than about the sound.
_MARK = re.compile(
    r"encoder|encod(er|ing)[ _]?(options|settings|params|tool)|major_brand|minor_version|compatible_brands"
    r"|handler_name|vendor_id|itunnorm|itunsmpb|_statistics_.*|(bps|duration|number_of_(bytes|frames))(-\w+)?"
)

# The genres of ID3v1, by number; from 80 on they are Winamp's, as ffmpeg spells them.
_GENRES = (
    """
Blues|Classic Rock|Country|Dance|Disco|Funk|Grunge|Hip-Hop|Jazz|Metal|New Age|Oldies|Other|Pop|R&B|Rap
Reggae|Rock|Techno|Industrial|Alternative|Ska|Death Metal|Pranks|Soundtrack|Euro-Techno|Ambient|Trip-Hop
Vocal|Jazz+Funk|Fusion|Trance|Classical|Instrumental|Acid|House|Game|Sound Clip|Gospel|Noise|AlternRock|Bass
Soul|Punk|Space|Meditative|Instrumental Pop|Instrumental Rock|Ethnic|Gothic|Darkwave|Techno-Industrial
Electronic|Pop-Folk|Eurodance|Dream|Southern Rock|Comedy|Cult|Gangsta|Top 40|Christian Rap|Pop/Funk|Jungle
Native American|Cabaret|New Wave|Psychedelic|Rave|Showtunes|Trailer|Lo-Fi|Tribal|Acid Punk|Acid Jazz|Polka
Retro|Musical|Rock & Roll|Hard Rock|Folk|Folk-Rock|National Folk|Swing|Fast Fusion|Bebop|Latin|Revival
Celtic|Bluegrass|Avantgarde|Gothic Rock|Progressive Rock|Psychedelic Rock|Symphonic Rock|Slow Rock|Big Band
Chorus|Easy Listening|Acoustic|Humour|Speech|Chanson|Opera|Chamber Music|Sonata|Symphony|Booty Bass|Primus
Porn Groove|Satire|Slow Jam|Club|Tango|Samba|Folklore|Ballad|Power Ballad|Rhythmic Soul|Freestyle|Duet
Punk Rock|Drum Solo|A Cappella|Euro-House|Dance Hall|Goa|Drum & Bass|Club-House|Hardcore Techno|Terror|Indie
BritPop|Afro-Punk|Polsk Punk|Beat|Christian Gangsta Rap|Heavy Metal|Black Metal|Crossover
Contemporary Christian|Christian Rock|Merengue|Salsa|Thrash Metal|Anime|Jpop|Synthpop|Abstract|Art Rock
Baroque|Bhangra|Big Beat|Breakbeat|Chillout|Downtempo|Dub|EBM|Eclectic|Electro|Electroclash|Emo|Experimental
Garage|Global|IDM|Illbient|Industro-Goth|Jam Band|Krautrock|Leftfield|Lounge|Math Rock|New Romantic
Nu-Breakz|Post-Punk|Post-Rock|Psytrance|Shoegaze|Space Rock|Trop Rock|World Music|Neoclassical|Audiobook
Audio Theatre|Neue Deutsche Welle|Podcast|Indie Rock|G-Funk|Dubstep|Garage Rock|Psybient
""".strip()
    .replace("\n", "|")
    .split("|")
)
_REFERENCE = re.compile(r"\((\d{1,3}|RX|CR)\)")


def folded(text: str) -> str:
    """Return what two texts have in common that differ only in case, in how accents are coded, and in spaces.

    The canonical caseless match of the Unicode standard, section 3.13.
    """
    plain = unicodedata.normalize("NFD", " ".join(text.split())).casefold()
    return unicodedata.normalize("NFC", plain)


def is_mark(name: str, value: str = "") -> bool:
    """Tell whether a tag, its name folded, is what a program noted about its own work: the encoder it was."""
    return _MARK.fullmatch(name) is not None or (name, value) == ("language", "und")


def tag_values(name: str, text: str) -> list[str]:
    """Take the text of a tag apart into its values.

    Parameters
    ----------
    name : str
        Folded. Genres are parted at ``; , / | \\``, moods, styles and keywords at ``;`` and ``,``, sentences
        such as titles nowhere, and all else at ``;``.
    text : str
        As it stands in the file or was typed.

    Returns
    -------
    list of str
        None of them empty. A genre that ID3v1 numbers, ``(8)`` or ``8``, is spelt out.

    Examples
    --------
    >>> tag_values("genre", "Jazz; Funk/Soul"), tag_values("genre", "(8)")
    (['Jazz', 'Funk', 'Soul'], ['Jazz'])
    >>> tag_values("artist", "AC/DC; Abba")
    ['AC/DC', 'Abba']
    """
    if name in _PROSE or name.startswith("lyrics"):
        parts = [text]
    else:
        separator = _SEPARATORS.get(name, ";")
        parts = re.split(separator, text)
        if name == "genre":
            genres = [genre for part in parts for genre in _genres(part)]
            parts = [part for genre in genres for part in re.split(separator, genre)]  # one is Pop/Funk
    values = (" ".join(part.split()) for part in parts)
    return list(dict.fromkeys(value for value in values if value))


def _genres(text: str) -> Iterator[str]:
    """Read a genre as ID3 has it: ``Jazz``, ``8``, ``(8)``, ``(8)(4)Eurodisco``, ``((8) in brackets``."""
    rest = text.strip()
    while number := _REFERENCE.match(rest):
        yield _by_number(number[1])
        rest = rest[number.end() :].strip()
    yield _by_number(rest.removeprefix("(") if rest.startswith("((") else rest)


def _by_number(genre: str) -> str:
    if genre.isascii() and genre.isdecimal() and len(genre) < 10 and int(genre) < len(_GENRES):
        return _GENRES[int(genre)]
    return {"RX": "Remix", "CR": "Cover"}.get(genre, genre)
