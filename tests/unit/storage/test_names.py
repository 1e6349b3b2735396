from __future__ import annotations

import pytest

from echoic.storage.vectors.names import unique_name, without_password


def test_different_texts_have_different_names() -> None:
    texts = ["clap@2", "clap 2", "clap_2", "", "é", "日本", "x" * 500, "x" * 501]
    names = [unique_name(text) for text in texts]
    assert len(set(names)) == len(texts)
    assert all(name.isascii() and name.isidentifier() and len(name) < 80 for name in names)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://root:secret@host:19530/db", "https://host:19530/db"),
        ("http://root:s/e@c?r[e#t@host", "http://host"),
        ("root:secret@host:19530", "host:19530"),
        ("http://host:19530", "http://host:19530"),
        ("/mnt/me@work/vectors.db", "/mnt/me@work/vectors.db"),
        ("embedded", "embedded"),
    ],
)
def test_an_address_is_shown_without_who_logs_in(uri: str, shown: str) -> None:
    assert without_password(uri) == shown
