"""What is found under a path, and what is passed over."""

from __future__ import annotations

import errno
import inspect
import os
import sys
from collections import Counter
from pathlib import Path

import av
import pytest
from av.format import ContainerFormat

from echoic.audio.container import _ACCEPTED
from echoic.scanning import SUBTITLES, SUFFIXES, Found, Problem, scan, suffix_of


def make(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1234")


def names_of(items, folder):
    return [os.path.relpath(item.path, folder) for item in items]


def test_audio_and_video_at_any_depth_in_order(tmp_path):
    make(tmp_path, "b.WAV", "a/z.mp3", "a/c/film.mkv", "a/notes.txt", "cover.jpg", "no-suffix")
    items = list(scan([tmp_path]))
    assert names_of(items, tmp_path) == ["a/c/film.mkv", "a/z.mp3", "b.WAV"]
    assert all(isinstance(item, Found) and item.size == 4 and item.mtime_ns > 0 for item in items)


def test_hidden_files_and_folders_are_passed_over(tmp_path):
    make(tmp_path, "._a.wav", ".git/b.wav", "c.wav")
    assert names_of(scan([tmp_path]), tmp_path) == ["c.wav"]


def test_a_file_named_outright_is_taken_whatever_it_is_called(tmp_path):
    make(tmp_path, "odd.dat", ".hidden.wav")
    items = scan([tmp_path / "odd.dat", tmp_path / ".hidden.wav"])
    assert names_of(items, tmp_path) == ["odd.dat", ".hidden.wav"]


def test_each_file_comes_once(tmp_path):
    make(tmp_path, "a/x.wav", "y.wav")
    items = scan([tmp_path / "a" / "x.wav", tmp_path, tmp_path / "a" / ".." / "y.wav"])
    assert names_of(items, tmp_path) == ["a/x.wav", "y.wav"]


def test_paths_become_absolute_and_links_are_kept(tmp_path, monkeypatch):
    make(tmp_path, "real/x.wav")
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    assert [item.path for item in scan([Path("link")])] == [str(tmp_path / "link" / "x.wav")]


def test_links_that_lead_in_circles_end(tmp_path):
    make(tmp_path, "a/x.wav")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    assert names_of(scan([tmp_path]), tmp_path) == ["a/x.wav"]


def test_folders_lie_deeper_in_each_other_than_python_goes(tmp_path, monkeypatch):
    depth = 300  # deeper, and what removes the folder would itself go too deep
    folder = tmp_path.joinpath(*["a"] * depth)
    folder.mkdir(parents=True)
    (folder / "x.wav").touch()
    usual = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 200)
    try:
        (item,) = scan([tmp_path])
    finally:
        sys.setrecursionlimit(usual)
    assert item.path == str(folder / "x.wav")


def test_a_link_to_itself_is_a_problem_of_that_file(tmp_path):
    make(tmp_path, "x.wav")
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    found, problem = scan([tmp_path])
    assert isinstance(found, Found)
    assert isinstance(problem, Problem)
    assert "loop.wav" in problem.message


def test_a_link_to_a_file_that_is_found_in_its_place_is_passed_over(tmp_path):
    make(tmp_path, "music/z/x.wav", "elsewhere/y.wav", "elsewhere/z.dat")
    (tmp_path / "music" / "a.wav").symlink_to("z/x.wav")
    (tmp_path / "music" / "b.wav").symlink_to("../elsewhere/y.wav")
    (tmp_path / "music" / "c.wav").symlink_to("b.wav")
    (tmp_path / "music" / "d.wav").symlink_to("../elsewhere/z.dat")
    (tmp_path / "music" / "e.txt").symlink_to("z/x.wav")
    assert names_of(scan([tmp_path / "music"]), tmp_path / "music") == ["z/x.wav", "b.wav", "d.wav"]
    (tmp_path / "music" / "folder").symlink_to("../elsewhere")
    items = names_of(scan([tmp_path / "music"]), tmp_path / "music")
    assert items == ["z/x.wav", "folder/y.wav", "d.wav"]


def test_links_that_are_named_outright_stay_and_so_do_hard_links(tmp_path):
    make(tmp_path, "a.wav")
    (tmp_path / "b.wav").hardlink_to(tmp_path / "a.wav")
    (tmp_path / "link.dat").symlink_to("a.wav")
    (tmp_path / "link.wav").symlink_to("a.wav")
    named = [tmp_path / "link.dat", tmp_path / "link.wav", tmp_path]
    assert names_of(scan(named), tmp_path) == ["link.dat", "link.wav", "a.wav", "b.wav"]


@pytest.fixture
def closed(tmp_path, monkeypatch):
    """A folder that lets nobody see more than the names of what is in it; not even root, as real ones do."""
    folder = tmp_path / "closed"
    folder.mkdir()
    real_stat = os.stat

    def stat(path, *args, **options):
        if folder in Path(os.path.realpath(path)).parents:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return real_stat(path, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", stat)
        yield folder


def test_a_link_into_a_closed_folder_spoils_nothing_else(tmp_path, closed):
    make(tmp_path, "music/a.wav", "music/z.wav", "closed/x.wav")
    (tmp_path / "music" / "album").symlink_to(closed / "album")
    (tmp_path / "music" / "b.wav").symlink_to(closed / "x.wav")
    items = list(scan([tmp_path / "music"]))
    assert names_of(items, tmp_path / "music") == ["a.wav", "z.wav", "album", "b.wav"]
    assert [type(item) for item in items] == [Found, Found, Problem, Problem]
    assert "may not be read; allow it" in items[2].message


def test_what_lies_in_a_closed_folder_is_a_problem_if_it_may_be_audio(tmp_path, closed):
    make(tmp_path, "closed/a.wav", "closed/notes.txt", "closed/deep/b.wav")
    items = list(scan([tmp_path]))
    assert names_of(items, tmp_path) == ["closed/a.wav", "closed/deep"]
    assert all(isinstance(item, Problem) for item in items)


def test_what_is_missing_is_a_problem(tmp_path):
    (item,) = scan([tmp_path / "gone"])
    assert isinstance(item, Problem)
    assert str(tmp_path / "gone") in item.message


@pytest.mark.skipif(os.name != "posix", reason="other systems have no names that are not text")
def test_names_that_are_no_text(tmp_path):
    name = b"caf\xe9\n.wav"
    (tmp_path / os.fsdecode(name)).touch()
    (item,) = scan([tmp_path])
    assert os.fsencode(Path(item.path).name) == name


def suffixes_of_ffmpeg():
    """What ffmpeg calls files of the formats that are read."""
    found = set()
    for name in av.formats_available:
        for mode in ("r", "w"):
            try:
                described = ContainerFormat(name, mode)
            except ValueError:  # it only reads, or only writes
                continue
            if {*name.split(",")} & {*_ACCEPTED}:
                found |= {f".{suffix.strip().lower()}" for suffix in described.extensions}
    return found


# Of the suffixes that ffmpeg knows, those of pictures and films without sound, of text, of lists of files, of
# samples without a header, and those that mean something else on most disks.
WITHOUT_SOUND = frozenset(
    ".264 .265 .266 .302 .a64 .adf .afd .al .ans .apc .apm .apng .apv .art .asc .aud .avc .avif .avs"
    " .avs2 .avs3 .bit .bitpacked .bmp .c2 .cavs .cdg .cdxl .cgi .chk .cif .cpk .cvg .dat .daud .derf"
    " .dfpwm .diz .dnxhd .dnxhr .dpx .drc .evc .exr .ffmeta .fits .flm .g728 .gif .h261 .h263 .h264 .h265"
    " .h266 .h26l .hdr .heic .heif .hevc .hxvs .ice .ico .idf .ifv .im1 .im24 .im8 .imx .ipu .ivf .j2c"
    " .j2k .jls .jp2 .jpeg .jpg .js .jxl .jxs .ljpg .m1v .m2v .m3u8 .mjpeg .mjpg .mmf .mpd .mpo .nc .nfo"
    " .obu .pam .pbm .pcm .pcx .pdv .pfm .pgm .pgmyuv .phm .pix .png .ppm .qcif .qoi .ras .rco .rcv .rgb"
    " .rs .sb .sbg .sdns .sdr2 .ser .sgi .son .str .sun .sunras .sw .swf .tga .tif .tiff .tun .txt .ub .ul"
    " .uw .v .v210 .vb .vbn .vc1 .vc2 .vt .vvc .way .wbmp .webp .xbm .xface .xl .xml .xwd .y .y4m .yuv"
    " .yuv10".split()
)


def test_all_that_ffmpeg_knows_by_its_suffix_is_taken():
    assert suffixes_of_ffmpeg() - SUFFIXES - SUBTITLES - WITHOUT_SOUND == set()
    assert not SUFFIXES & SUBTITLES
    assert not SUFFIXES & WITHOUT_SOUND


def test_what_recorders_cameras_and_archives_write_is_taken():
    named = ".mxf .mod .tod .m2t .trp .tp .bwf .rf64 .qt .3g2 .mpa .m2a .mpga .dv .dif .divx .sph .nist .vro"
    assert {*named.split(), *".evo .rmvb .m4r .aax .adts .nut .snd .ogm .mpe .awb .3ga".split()} <= SUFFIXES


def test_what_is_passed_over_is_counted_by_suffix(tmp_path):
    make(tmp_path, "a.wav", "b.TXT", "c/d.txt", "c/e.jpg", "c/f", ".hidden.txt", ".git/g.txt", "h.srt")
    (tmp_path / "link.txt").symlink_to("b.TXT")
    counts = Counter()
    assert names_of(scan([tmp_path, tmp_path / "c"], passed_over=counts), tmp_path) == ["a.wav"]
    assert counts == {".txt": 2, ".jpg": 1, "": 1, ".srt": 1}


@pytest.mark.parametrize(
    "name", ["a.wav", "a.b.WAV", "a", "a.", ".wav", "..wav", "a..wav", ".a.wav", "a.b/c"]
)
def test_suffixes_are_those_of_pathlib_in_lower_case(name):
    for path in (name, f"/x.y/{name}"):
        assert suffix_of(path) == Path(path).suffix.lower()


def test_what_is_named_outright_is_not_passed_over(tmp_path):
    make(tmp_path, "a.dat", "b.dat")
    counts = Counter()
    assert names_of(scan([tmp_path, tmp_path / "b.dat"], passed_over=counts), tmp_path) == ["b.dat"]
    assert counts == {".dat": 1}


def test_subtitles_beside_a_film_are_passed_over_even_where_a_shell_names_them(tmp_path):
    make(tmp_path, "film.mkv", "film.srt", "film.VTT", "song.lrc", "film.idx", "film.sub")
    counts = Counter()
    assert names_of(scan(sorted(tmp_path.iterdir()), passed_over=counts), tmp_path) == ["film.mkv"]
    assert counts == {".srt": 1, ".vtt": 1, ".lrc": 1, ".idx": 1, ".sub": 1}
