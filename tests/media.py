"""Sounds and media files for the tests, made from nothing."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from echoic.types import Float32

_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
_PICTURES_PER_SECOND = 10


def sound(seconds: float, sample_rate: int, n_channels: int = 1, *, seed: int = 0) -> Float32:
    """Make something that every codec keeps well: chirps that differ between channels, and a little noise.

    Returns
    -------
    ndarray of float32, shape (n, n_channels)
    """
    rng = np.random.default_rng(seed)
    n = round(seconds * sample_rate)
    time = np.arange(n)[:, None] / sample_rate
    low = rng.uniform(150, 300, n_channels)
    phase = 2 * np.pi * (low * time + 0.5 * rng.uniform(900, 1500, n_channels) * time**2 / seconds)
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * rng.uniform(0.7, 1.5) * time)
    return (0.4 * swell * np.sin(phase) + rng.normal(0, 0.01, (n, n_channels))).astype(np.float32)


def mux(
    path: Path,
    container_format: str,
    codec: str,
    *tracks: Float32,
    sample_rate: int,
    start: float = 0.0,
    video: str = "",
    cover: bool = False,
    quality: int | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write a media file with more liberty than ``write_audio`` gives.

    Parameters
    ----------
    tracks : ndarray of float32, shape (n, n_channels)
        One sound track each.
    start : float
        Seconds by which the sound starts after the picture.
    video : str
        Codec of a picture track that lasts as long as the sound; none if empty.
    cover : bool
        Whether to attach a picture, as music files have it.
    quality : int, optional
        Asks for a variable bit rate.
    """
    with av.open(str(path), "w", format=container_format, container_options=container_options or {}) as out:
        sounds = []
        for samples in tracks:
            stream = out.add_stream(codec, rate=sample_rate)
            stream.codec_context.layout = _LAYOUTS[samples.shape[1]]
            stream.codec_context.options = {"strict": "experimental"}
            if quality is None:
                stream.codec_context.bit_rate = 128_000
            else:
                stream.codec_context.qscale = True
                stream.codec_context.global_quality = quality * 118  # FF_QP2LAMBDA
            sounds.append((stream, samples))
        pictures = None
        if video or cover:
            pictures = out.add_stream(video or "mjpeg", rate=_PICTURES_PER_SECOND)
            pictures.width = pictures.height = 64
            pictures.pix_fmt = "yuvj420p" if cover else "yuv420p"
            if cover:
                pictures.disposition = av.stream.Disposition.attached_pic
        n_pictures = 1 if cover else round(len(tracks[0]) / sample_rate * _PICTURES_PER_SECOND)
        for number in range(n_pictures if pictures is not None else 0):
            pixels = np.full((64, 64, 3), 8 * number % 256, np.uint8)
            picture = av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format=pictures.pix_fmt)
            picture.pts = number
            out.mux(pictures.encode(picture))
        if pictures is not None:
            out.mux(pictures.encode(None))
        for stream, samples in sounds:
            for at in range(0, len(samples), sample_rate):
                packed = np.ascontiguousarray(samples[at : at + sample_rate]).reshape(1, -1)
                frame = av.AudioFrame.from_ndarray(packed, "flt", _LAYOUTS[samples.shape[1]])
                frame.sample_rate = sample_rate
                frame.pts = at + round(start * sample_rate)
                frame.time_base = Fraction(1, sample_rate)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    return path


def write_film(path: Path, seconds: float = 2.0) -> Path:
    """Write pictures without any sound."""
    with av.open(str(path), "w") as out:
        pictures = out.add_stream("mpeg4", rate=_PICTURES_PER_SECOND)
        pictures.width = pictures.height = 64
        pictures.pix_fmt = "yuv420p"
        for number in range(round(seconds * _PICTURES_PER_SECOND)):
            picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 8 * number % 256, np.uint8), "rgb24")
            picture = picture.reformat(format="yuv420p")
            picture.pts = number
            out.mux(pictures.encode(picture))
        out.mux(pictures.encode(None))
    return path


def write_picture(path: Path, picture: np.ndarray, codec: str = "png") -> Path:
    """Write a picture, (height, width, 3) uint8; WebP by the codec of that name, and GIF."""
    write_pictures(path, [picture], codec, {"libwebp": "webp", "gif": "gif"}.get(codec, "image2pipe"))
    return path


def write_pictures(
    path: Path, pictures: list[np.ndarray], codec: str = "mpeg4", container_format: str = "mp4"
) -> Path:
    """Write pictures of one size, 10 a second."""
    with av.open(str(path), "w", format=container_format) as container:
        stream = container.add_stream(codec, rate=_PICTURES_PER_SECOND)
        stream.height, stream.width, _ = pictures[0].shape
        of_codec = {"png": "rgb24", "tiff": "rgb24", "bmp": "bgr24", "gif": "rgb8", "mjpeg": "yuvj420p"}
        stream.pix_fmt = of_codec.get(codec, "yuv420p")
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
    return path


def ogg_pages(data: bytes) -> list[bytes]:
    """Divide an Ogg file into its pages."""
    pages, at = [], 0
    while at < len(data):
        n_segments = data[at + 26]
        size = 27 + n_segments + sum(data[at + 27 : at + 27 + n_segments])
        pages.append(data[at : at + size])
        at += size
    return pages


def ogg_page(page: bytes, **fields: int) -> bytes:
    """Change ``serial``, ``flags`` or ``position`` of an Ogg page, and its checksum with it."""
    changed = bytearray(page)
    if "serial" in fields:
        changed[14:18] = fields["serial"].to_bytes(4, "little")
    if "flags" in fields:
        changed[5] = fields["flags"]
    if "position" in fields:
        changed[6:14] = fields["position"].to_bytes(8, "little", signed=True)
    changed[22:26] = bytes(4)
    checksum = 0
    for byte in changed:
        checksum ^= byte << 24
        for _ in range(8):
            checksum = (checksum << 1 ^ 0x104C11DB7) if checksum & 0x80000000 else checksum << 1
    changed[22:26] = checksum.to_bytes(4, "little")
    return bytes(changed)
