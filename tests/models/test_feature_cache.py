from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys

import numpy as np
import pytest

from vesalius.cases.view import View
from vesalius.errors import RecipeError, VesaliusError
from vesalius.models import encoders
from vesalius.models.feature_cache import (
    FILE,
    SALT,
    Content,
    FeatureCache,
    shared_features,
    sharing,
    user_cache,
    with_shared_features,
)
from vesalius.models.sentences import SentenceEncoder

MIB = 2**20


@pytest.fixture
def cache(tmp_path) -> FeatureCache:
    return FeatureCache(tmp_path / "features", 8 * MIB)


def numbered(number: int, view: str = "") -> Content:
    return Content(f"{number:064x}", view)


def vector(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def fresh_encoder() -> encoders.ImageEncoder:
    """Another process's encoder: it remembers nothing itself."""
    encoders._image_encoder.cache_clear()
    return encoders.image_encoder()


def test_what_was_written_is_read_by_encoder_view_and_content(cache) -> None:
    content = numbered(1, "(3, None)")
    cache.write("a", {content: vector(1, 2)})
    cache.write("b", {content: vector(3)})
    assert cache.read("a", [content])[content].tolist() == [1, 2]
    assert cache.read("b", [content])[content].tolist() == [3]
    others = [numbered(1), numbered(2, "(3, None)"), Content(content.sha256, is_text=True)]
    assert cache.read("a", others) == {}
    assert cache.read("c", [content]) == {}


def test_nobody_else_can_read_it_and_it_names_nothing(cache, tmp_path) -> None:
    content = numbered(7, "frame 3")
    cache.write("a", {content: vector(1)})
    files = list((tmp_path / "features").iterdir())
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in files}
    assert stat.S_IMODE((tmp_path / "features").stat().st_mode) == 0o700
    assert modes[SALT] == modes[FILE] == 0o600
    held = b"".join(path.read_bytes() for path in files)
    for known in (content.sha256.encode(), bytes.fromhex(content.sha256), b"frame 3"):
        assert known not in held


def test_another_cache_has_another_salt(tmp_path) -> None:
    keys = []
    for name in ("one", "two"):
        FeatureCache(tmp_path / name, MIB).write("a", {numbered(1): vector(1)})
        with sqlite3.connect(tmp_path / name / FILE) as database:
            keys.append(database.execute("SELECT content FROM features").fetchone()[0])
    assert keys[0] != keys[1]


def test_a_folder_that_was_open_is_closed(cache, tmp_path) -> None:
    (tmp_path / "features").mkdir(mode=0o755)
    cache.write("a", {numbered(1): vector(1)})
    assert stat.S_IMODE((tmp_path / "features").stat().st_mode) == 0o700


def test_the_longest_unused_goes_and_the_file_stays_below_its_bound(tmp_path) -> None:
    cache = FeatureCache(tmp_path, MIB)
    first, rest = numbered(0), [numbered(n) for n in range(1, 400)]
    cache.write("a", {first: np.zeros(1024, np.float32)})
    for content in rest:  # 1.6 MB in all
        cache.write("a", {content: np.zeros(1024, np.float32)})
        cache.read("a", [first])
    assert (tmp_path / FILE).stat().st_size <= MIB + 8192
    there = cache.read("a", [first, *rest])
    assert first in there
    assert rest[-1] in there
    assert rest[0] not in there
    assert len(there) > 100


def test_processes_write_at_once_and_all_is_there(tmp_path) -> None:
    code = """if True:
        import sys, numpy as np
        from pathlib import Path
        from vesalius.models.feature_cache import Content, FeatureCache
        cache = FeatureCache(Path(sys.argv[1]), 2**23)
        for n in range(40):
            name = f"{int(sys.argv[2]) * 1000 + n:064x}"
            cache.write("a", {Content(name): np.array([n], np.float32)})
    """
    command = [sys.executable, "-c", code, str(tmp_path / "features")]
    writers = [subprocess.Popen([*command, str(n)], stderr=subprocess.PIPE) for n in range(4)]
    for writer in writers:
        _, trouble = writer.communicate(timeout=120)
        assert (writer.returncode, trouble) == (0, b"")
    names = [numbered(w * 1000 + n) for w in range(4) for n in range(40)]
    assert len(FeatureCache(tmp_path / "features", 8 * MIB).read("a", names)) == 160


def test_forgetting_takes_every_view_and_encoder_and_all_texts(cache, tmp_path) -> None:
    marked = np.frombuffer(b"pixels of Mx Doe" * 64, np.float32)
    text = Content.of_text("is there a cyst?")
    cache.write("a", {numbered(1): marked, numbered(1, "frame"): marked, numbered(2): vector(2)})
    cache.write("b", {numbered(1): marked, text: vector(3)})
    assert cache.forget([numbered(1).sha256, numbered(9).sha256]) == 3
    assert cache.read("a", [numbered(1), numbered(1, "frame"), numbered(2)]).keys() == {numbered(2)}
    assert cache.read("b", [numbered(1), text]) == {}
    held = b"".join(path.read_bytes() for path in (tmp_path / "features").iterdir())
    assert b"Mx Doe" not in held


def test_nothing_to_forget_makes_no_folder(cache, tmp_path) -> None:
    assert cache.forget([numbered(1).sha256]) == 0
    assert not (tmp_path / "features").exists()


def test_without_its_salt_it_begins_anew(cache, tmp_path) -> None:
    cache.write("a", {numbered(1): vector(1)})
    (tmp_path / "features" / SALT).unlink()
    assert cache.read("a", [numbered(1)]) == {}
    with sqlite3.connect(tmp_path / "features" / FILE) as database:
        assert database.execute("SELECT COUNT(*) FROM features").fetchone() == (0,)


def test_a_broken_file_is_told_once_and_fails_no_fit(cache, tmp_path, caplog) -> None:
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / FILE).write_bytes(b"no database" * 1000)
    assert cache.read("a", [numbered(1)]) == {}
    cache.write("a", {numbered(1): vector(1)})
    assert [record.message.count("features are not shared") for record in caplog.records] == [1]
    with pytest.raises(VesaliusError, match=r"cannot be forgotten.*remove the folder"):
        cache.forget([numbered(1).sha256])


def test_the_size_is_a_number_of_mebibytes_and_0_is_none(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("VESALIUS_CACHE", str(tmp_path))
    monkeypatch.setenv("VESALIUS_FEATURES_MB", "0")
    assert user_cache() is None
    monkeypatch.setenv("VESALIUS_FEATURES_MB", "")
    assert user_cache() is not None
    monkeypatch.setenv("VESALIUS_FEATURES_MB", "half")
    with pytest.raises(RecipeError, match=r"VESALIUS_FEATURES_MB: 'half'.*whole MiB"):
        user_cache()


def test_only_a_step_shares(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("VESALIUS_CACHE", str(tmp_path))
    monkeypatch.setenv("VESALIUS_FEATURES_MB", "1")
    assert shared_features() is None
    assert isinstance(with_shared_features(shared_features)(), FeatureCache)
    with sharing(FeatureCache(tmp_path, MIB)), sharing(None):
        assert shared_features() is None
    assert shared_features() is None


def test_a_picture_is_encoded_once_for_all_processes(cache, draw, monkeypatch) -> None:
    disc, bar = draw("disc", size=23), draw("bar", "bar", size=23)
    with sharing(cache):
        before = fresh_encoder().embed([disc, bar])
        monkeypatch.setattr(encoders.ImageEncoder, "_encode", None)  # it must not be called
        after = fresh_encoder().embed([draw("renamed", "bar", size=23), disc])
    assert np.array_equal(after, before[::-1])


def test_a_frame_and_a_window_have_vectors_of_their_own(cache, draw) -> None:
    picture, encoder = draw("one", size=27), fresh_encoder()
    with sharing(cache):
        encoder.embed([picture])
    encoder = fresh_encoder()
    views = [picture.at(View(0)), picture.at(View(None, (40.0, 80.0)))]
    contents = [Content.of_picture(one) for one in (picture, *views)]
    with sharing(cache):
        there = encoder.memory.read(contents)
    assert there.keys() == {contents[0]}
    assert len(set(contents)) == 3


def test_a_text_is_encoded_once(cache, monkeypatch) -> None:
    with sharing(cache):
        before = SentenceEncoder().embed(["is there a cyst?", "where?"])
        monkeypatch.setattr(SentenceEncoder, "_encode", None)
        after = SentenceEncoder().embed(["where?", "is there a cyst?", "where?"])
    assert np.array_equal(after, before[[1, 0, 1]])


def test_other_weights_are_another_encoder() -> None:
    one, other = SentenceEncoder(), SentenceEncoder()
    assert one.digest == other.digest
    other = SentenceEncoder()
    next(other._network.parameters()).data[0, 0] += 1
    assert one.digest != other.digest


def test_outside_of_a_step_nothing_is_written_or_read(cache, draw, tmp_path, monkeypatch) -> None:
    fresh_encoder().embed([draw("one", size=31)])
    SentenceEncoder().embed(["where?"])
    assert not (tmp_path / "features").exists()
    with sharing(cache):
        fresh_encoder().embed([draw("one", size=31)])
    encoded = []
    encode = encoders.ImageEncoder._encode
    monkeypatch.setattr(
        encoders.ImageEncoder,
        "_encode",
        lambda self, some: encoded.extend(some) or encode(self, some),
    )
    fresh_encoder().embed([draw("one", size=31)])
    assert len(encoded) == 1
