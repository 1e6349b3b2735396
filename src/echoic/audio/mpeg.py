"""Frames of MPEG audio, which have no header over them all: how long each is.

The tables are those of ISO/IEC 11172-3 and 13818-3 (MP1 to MP3), and 13818-7, annex 1.A (AAC with ADTS).
"""

from __future__ import annotations

__all__ = ["frame_size"]

# kbit/s, by what four bits say; in MPEG 2 the second layer has those of the third.
_LAYER_1 = (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448)
_LAYER_2 = (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384)
_LAYER_3 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_LAYER_1_OF_2 = (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256)
_LAYER_3_OF_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES = (44_100, 48_000, 32_000)  # Hz, of MPEG 1
_AAC_HEAD = 7  # bytes


def frame_size(head: bytes) -> int:
    """Return the bytes of a frame, header and all, by its first six; 0 if they tell none.

    Examples
    --------
    >>> frame_size(bytes.fromhex("fffb90640000"))  # 128 kbit/s at 44.1 kHz
    417
    """
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0
    layer = 4 - (head[1] >> 1 & 3)
    if layer == 4:
        size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
        return size if size >= _AAC_HEAD else 0
    version, rate, bits = head[1] >> 3 & 3, head[2] >> 2 & 3, head[2] >> 4
    if version == 1 or rate == 3 or bits in (0, 15):
        return 0
    is_first = version == 3
    hz = _RATES[rate] >> {3: 0, 2: 1, 0: 2}[version]
    padding = head[2] >> 1 & 1
    if layer == 1:
        return (12_000 * (_LAYER_1 if is_first else _LAYER_1_OF_2)[bits] // hz + padding) * 4
    kilobits = ((_LAYER_2 if layer == 2 else _LAYER_3) if is_first else _LAYER_3_OF_2)[bits]
    return (144_000 if is_first or layer == 2 else 72_000) * kilobits // hz + padding
