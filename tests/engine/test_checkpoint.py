"""Checkpoints: to the bit, whole at any moment of a kill, refused to other and to second runs."""

import itertools
import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colour_embed.config import Config, InputError
from colour_embed.engine import checkpoint
from colour_embed.engine.checkpoint import (
    Checkpoints,
    check_same,
    compare,
    fingerprint,
    running_lock,
)

ROOT = Path(__file__).parents[2]
DTYPES = ("float32", "int32", "uint32", "bool", "float64", "int64", "float16", "uint8")


def _start(program, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _same(one, other):
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and list(one) == list(other)
            and all(_same(one[key], other[key]) for key in one)
        )
    return (
        type(other) is np.ndarray
        and (one.dtype, one.shape) == (other.dtype, other.shape)
        and np.asarray(one).tobytes() == other.tobytes()
    )


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


# --------------------------------------------------------------------------------------------------
# What comes back


def test_nothing_comes_back_from_an_empty_folder(tmp_path):
    assert Checkpoints(tmp_path / "new" / "folder").restore() is None


@pytest.mark.filterwarnings("error")
def test_state_comes_back_to_the_bit(tmp_path, capfd):
    arrays = {
        "params": {
            "embedding": np.random.default_rng(0).normal(size=(646, 4, 3)).astype(np.float32),
            "transposed": np.arange(12, dtype=np.int32).reshape(3, 4).T,
            "every.second": np.arange(9, dtype=np.uint32)[::2],
            "every": {"second": np.array(True)},
        },
        # What a store that leaves out zeros, or compares by value, would lose.
        "negative_zeros": np.full(8, -0.0, np.float32),
        "zeros": np.zeros((2, 3), np.float32),
        "quiet_nans": np.array([0x7FC00001, 0xFFC12345, 0x7F800000], np.uint32).view(np.float32),
        "scalar": np.float32(0.1),
        "count": np.array(7, np.int32),
        "none": np.zeros((0, 3), np.float32),
        "nothing": {},
        "": np.array([False, True]),
    }
    meta = {"loss": [0.1, 1e-300, float("nan")], "words": "Grün, grün", "nested": {"a": None}}
    Checkpoints(tmp_path).save(3, arrays, meta)
    step, restored, read = Checkpoints(tmp_path).restore()
    assert step == 3
    assert _same(arrays, restored)
    assert repr(read) == repr(meta)
    restored["params"]["embedding"][0] = 1
    assert capfd.readouterr() == ("", "")
    assert threading.enumerate() == [threading.main_thread()]


def test_orbax_is_silent_where_a_program_shows_what_absl_logs(tmp_path, caplog):
    # As `absl.app.run` does; unheeded, orbax would write some twenty lines for each save.
    caplog.set_level(logging.INFO, "absl")
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"a": np.arange(5)}, {})
    checkpoints.restore()
    assert caplog.records == []
    logging.getLogger("absl").info("others are heard")
    assert len(caplog.records) == 1


@pytest.mark.parametrize("arrays", [{}, {"a": {"b": np.zeros((2, 0), np.int32)}}])
def test_state_without_a_single_number_comes_back(tmp_path, arrays):
    Checkpoints(tmp_path).save(0, arrays, {})
    assert _same(arrays, Checkpoints(tmp_path).restore().arrays)


def _arrays():
    def filled(dtype, shape, seed):
        # Any bits, so that all kinds of NaN are among them; a bool has but two.
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        bits = np.frombuffer(np.random.default_rng(seed).bytes(size), np.uint8)
        return (bits & 1 if dtype == "bool" else bits).view(dtype).reshape(shape)

    shape = st.lists(st.integers(0, 3), max_size=3).map(tuple)
    return st.builds(filled, st.sampled_from(DTYPES), shape, st.integers(0, 99))


@settings(max_examples=15)
@given(
    arrays=st.recursive(
        st.dictionaries(st.text(max_size=4), _arrays(), max_size=3),
        lambda inner: st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=3,
    )
)
def test_any_tree_comes_back_to_the_bit(tmp_path_factory, arrays):
    folder = tmp_path_factory.mktemp("any")
    Checkpoints(folder).save(1, arrays, {})
    assert _same(arrays, Checkpoints(folder).restore().arrays)


@pytest.mark.parametrize(
    ("arrays", "meta", "message"),
    [
        ({"a": {"b": [1, 2]}}, {}, r"arrays\.a\.b: is a list"),
        ({"a": np.array(["x"])}, {}, r"arrays\.a: is of type <U1"),
        ({"a": {1: np.zeros(2)}}, {}, r"arrays\.a: the key 1 is no text"),
        ({}, {"a": {1, 2}}, "set is not JSON"),
    ],
)
def test_what_cannot_be_saved_is_refused_and_nothing_is_written(tmp_path, arrays, meta, message):
    with pytest.raises(TypeError, match=message):
        Checkpoints(tmp_path).save(0, arrays, meta)
    assert _names(tmp_path) == []


def test_the_newest_two_are_kept_by_the_order_of_saving(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in (10, 20, 30, 5):
        checkpoints.save(step, {"a": np.full(3, step)}, {})
    assert _names(tmp_path) == ["checkpoint_00000003", "checkpoint_00000004"]
    assert checkpoints.restore().step == 5
    shutil.rmtree(tmp_path / "checkpoint_00000004")
    assert checkpoints.restore().step == 30
    checkpoints.clear()
    assert _names(tmp_path) == []


def test_what_is_saved_names_no_place_on_the_machine(tmp_path):
    current = fingerprint(Config().to_json(), "0" * 64)
    Checkpoints(tmp_path).save(1, {"a": np.arange(5)}, {"fingerprint": current})
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 3
    for path in files:
        for place in (tmp_path, ROOT, Path(sys.prefix)):
            assert os.fsencode(place) not in path.read_bytes()


# --------------------------------------------------------------------------------------------------
# Damage and kills


def test_remains_of_killed_processes_are_ignored_and_removed(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"a": np.arange(5)}, {})
    whole = tmp_path / "checkpoint_00000001"
    half = tmp_path / ".passing_00000002"
    shutil.copytree(whole, half)
    (half / "state.json").write_text('{"step": 2, "me')
    shutil.copytree(whole, tmp_path / ".passing_removed_00000000")
    assert checkpoints.restore().step == 1
    checkpoints = Checkpoints(tmp_path)
    assert _names(tmp_path) == [whole.name]
    assert checkpoints.restore().step == 1


def test_damage_to_any_file_is_noticed_and_the_checkpoint_before_is_used(tmp_path, capfd):
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(step, {"a": np.arange(50) + step, "b": np.ones(3)}, {})
    newest = tmp_path / "checkpoint_00000002"
    files = [path for path in newest.rglob("*") if path.is_file()]
    for path in files:
        content = path.read_bytes()
        for damaged in (content[: len(content) // 2], bytes([content[0] ^ 1]) + content[1:], None):
            path.unlink()
            if damaged is not None:
                path.write_bytes(damaged)
            step, arrays, _ = checkpoints.restore()
            assert step == 1, path
            np.testing.assert_array_equal(arrays["a"], np.arange(50) + 1)
            path.write_bytes(content)
    assert checkpoints.restore().step == 2
    for folder in tmp_path.iterdir():
        (folder / "state.json").unlink()
    with pytest.raises(InputError, match=r"checkpoint_00000002: the checkpoint is damaged .*start"):
        checkpoints.restore()
    assert capfd.readouterr() == ("", "")


CHAIN = """
    import sys
    import numpy as np
    import orbax.checkpoint
    from colour_embed.engine.checkpoint import Checkpoints, running_lock

    # A training in small: each state follows from the one before. Its bits do not compress.
    folder, last = sys.argv[1], int(sys.argv[2])
    with running_lock(folder):
        checkpoints = Checkpoints(folder)
        step, arrays, meta = checkpoints.restore() or (
            0, {"state": np.arange(1_000_000, dtype=np.uint32), "of": {}}, {"steps": []}
        )
        state, steps = arrays["state"], meta["steps"]
        print("start", step, flush=True)
        while step < last:
            state = state * np.uint32(1664525) + np.uint32(1013904223)
            step += 1
            steps = [*steps, step]
            arrays = {"state": state, "of": {"step": np.int32(step)}}
            checkpoints.save(step, arrays, {"steps": steps})
            print("saved", step, flush=True)
"""


def _chain(step):
    state = np.arange(1_000_000, dtype=np.uint32)
    for _ in range(step):
        state = state * np.uint32(1664525) + np.uint32(1013904223)
    return state


def test_a_run_killed_at_random_moments_ends_identical_to_the_bit(tmp_path):
    moments = random.Random(0)
    half_written = reached = 0
    for _ in range(8):
        child = _start(CHAIN, tmp_path, 10**6)
        begun = child.stdout.readline().split()
        assert begun[:1] == ["start"], child.stderr.read()
        # What was complete when the one before was killed is where this one starts.
        assert int(begun[1]) >= reached
        for _ in range(moments.randrange(4)):
            reached = int(child.stdout.readline().split()[1])
        time.sleep(moments.uniform(0, 0.15))
        child.kill()
        lines = child.stdout.read().splitlines()
        child.communicate()
        reached = max([reached, int(begun[1]), *(int(line.split()[1]) for line in lines)])
        half_written += any(name.startswith(".passing_") for name in _names(tmp_path))
    assert reached > 3
    # Most of the time is spent in saving, so that most kills must have hit it.
    assert half_written >= 3
    child = _start(CHAIN, tmp_path, reached + 3)
    out, errors = child.communicate()
    assert (child.returncode, errors) == (0, "")
    assert out.splitlines()[-1] == f"saved {reached + 3}"
    step, arrays, meta = Checkpoints(tmp_path).restore()
    assert (step, arrays["of"]["step"]) == (reached + 3, reached + 3)
    assert meta["steps"] == list(range(1, step + 1))
    np.testing.assert_array_equal(arrays["state"], _chain(step))


KILLED_AT_EACH_STEP = """
    import os, shutil, signal, sys
    import numpy as np
    import orbax.checkpoint
    from colour_embed.engine.checkpoint import Checkpoints

    # Python announces what it is about to do with files: fork a process for each such moment of a
    # save (or a clear), and kill it there.
    folder, original, work, count = *sys.argv[1:], 0
    changes = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree")
    moment = seen = 0

    def watch(event, arguments):
        global seen
        opens = event == "open" and folder in str(arguments[0])
        if moment and (event in changes or opens):
            seen += 1
            if seen == moment:
                print(event, flush=True)
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    status = 1
    while status:
        count += 1
        shutil.copytree(original, folder)
        child = os.fork()
        if not child:
            checkpoints = Checkpoints(folder)
            moment = count
            if work == "save":
                checkpoints.save(3, {"a": np.full(1000, 3)}, {"a": 3})
            else:
                checkpoints.clear()
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if status not in (0, signal.SIGKILL):
            sys.exit(f"the child ended with {status}")
        os.rename(folder, f"{folder}_{count:03d}")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(("work", "after"), [("save", 3), ("clear", None)])
def test_a_kill_before_any_change_to_a_file_leaves_a_whole_checkpoint(tmp_path, work, after):
    original, copies = tmp_path / "original", tmp_path / "copies"
    checkpoints = Checkpoints(original)
    for step in (1, 2):
        checkpoints.save(step, {"a": np.full(1000, step)}, {"a": step})
    copies.mkdir()
    child = _start(KILLED_AT_EACH_STEP, copies / "killed", original, work)
    out, errors = child.communicate()
    assert child.returncode == 0, errors
    expected = {"os.rename", "shutil.rmtree", "os.remove", "os.rmdir"}
    assert set(out.split()) >= expected | ({"os.mkdir", "open"} if work == "save" else set())
    reached = []
    for folder in sorted(copies.iterdir()):
        found = Checkpoints(folder).restore()
        reached.append(found and found.step)
        if found:
            assert found.meta == {"a": found.step}
            np.testing.assert_array_equal(found.arrays["a"], np.full(1000, found.step))
        assert not [name for name in _names(folder) if name.startswith(".")]
    # The last was not killed. The new state counts from one moment on, and both sides were seen.
    assert len(reached) == len(out.split()) + 1
    before = reached.count(2)
    assert reached == [2] * before + [after] * (len(reached) - before)
    assert 2 < before < len(reached) - 2


# --------------------------------------------------------------------------------------------------
# One run per folder

HOLDER = """
    import sys, time
    from colour_embed.engine.checkpoint import running_lock

    with running_lock(sys.argv[1]):
        print("held", flush=True)
        sys.stdin.readline()
"""


def test_a_second_run_is_refused_until_the_first_is_killed(tmp_path):
    folder = tmp_path / "new" / "run"
    first = _start(HOLDER, folder)
    assert first.stdout.readline() == "held\n"
    message = rf"run: another run \(process {first.pid}\) works in it; .*--out"
    with pytest.raises(InputError, match=message), running_lock(folder):
        pytest.fail("two runs in one folder")
    second = _start(HOLDER, folder)
    assert second.communicate()[0] == ""
    assert second.returncode != 0
    first.send_signal(signal.SIGKILL)
    first.communicate()
    with running_lock(folder):
        assert _names(folder) == [checkpoint.LOCK]
    assert not folder.exists()


def test_a_lock_goes_with_its_block_and_keeps_what_the_folder_holds(tmp_path):
    folder = tmp_path / "run"

    def fail():
        with running_lock(folder):
            (folder / "kept").write_text("1")
            raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            fail()
        assert _names(folder) == ["kept"]


def test_a_lock_holds_within_one_process_too(tmp_path):
    with running_lock(tmp_path / "run"):
        with pytest.raises(InputError, match=str(os.getpid())), running_lock(tmp_path / "run"):
            pytest.fail("two runs in one folder")
        assert _names(tmp_path / "run") == [checkpoint.LOCK]


def test_no_two_runs_hold_a_lock_that_is_given_and_taken(tmp_path):
    inside, refused, entered, both = [], [0], [0], []

    def work():
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            try:
                with running_lock(tmp_path / "run"):
                    inside.append(1)
                    if len(inside) > 1:
                        both.append(1)
                    time.sleep(0)
                    inside.pop()
                    entered[0] += 1
            except InputError:
                refused[0] += 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert both == []
    assert entered[0] > 10
    assert refused[0] > 10


def test_where_there_are_no_locks_a_file_stands_for_one(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "fcntl", None)
    folder = tmp_path / "run"
    with running_lock(folder):
        with pytest.raises(InputError, match=r"is dead remove running\.lock"), running_lock(folder):
            pytest.fail("two runs in one folder")
        assert _names(folder) == [checkpoint.LOCK]
    assert not folder.exists()


@pytest.mark.parametrize("make", [lambda folder: running_lock(folder).__enter__(), Checkpoints])
def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, make):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be written to .*give another --out"):
        make(tmp_path / "file" / "run")


# --------------------------------------------------------------------------------------------------
# What a checkpoint belongs to


def test_a_fingerprint_is_the_same_again_and_survives_json():
    text = Config(optimizer="sgd", optimizer_options=(("momentum", 0.9),)).to_json()
    current = fingerprint(text, "0" * 64)
    assert compare(json.loads(json.dumps(current)), fingerprint(text, "0" * 64)) == []
    check_same(json.loads(json.dumps(current)), current)
    assert all(current[name] for name in (*checkpoint.PACKAGES, "code", "python", "device"))


def test_a_fingerprint_follows_the_contents_of_the_library(tmp_path):
    def code(folder):
        return fingerprint("{}", "", source=folder)["code"]

    here = tmp_path / "here"
    shutil.copytree(ROOT / "colour_embed", here, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(here, tmp_path / "elsewhere")
    assert code(here) == code(tmp_path / "elsewhere") == fingerprint("{}", "")["code"]
    (here / "data.csv").write_text("no code")
    assert code(here) == code(tmp_path / "elsewhere")
    seen = {code(here)}
    (here / "train.py").write_text((here / "train.py").read_text() + "\n")
    seen.add(code(here))
    (here / "new.py").write_text("x = 1\n")
    seen.add(code(here))
    (here / "new.py").unlink()
    (here / "deep").mkdir()
    (here / "deep" / "new.py").write_text("x = 2\n")
    seen.add(code(here))
    assert len(seen) == 4


def test_differences_are_named():
    config = Config(epochs=500)
    saved = fingerprint(config.to_json(), "a" * 64)
    other = fingerprint(Config(epochs=250, head="negative").to_json(), "b" * 64)
    saved["jax"] = "0.10.0"
    del other["config"]["beta1"]
    assert compare(saved, {**other, "more": None}) == [
        "config epochs: 500 then, 250 now",
        "config head: free then, negative now",
        "config beta1: 0.9 then, absent now",
        "data: aaaaaaaaaaaa then, bbbbbbbbbbbb now",
        f"jax: 0.10.0 then, {other['jax']} now",
        "more: absent then, null now",
    ]


def test_another_run_is_refused_in_one_line_unless_forced():
    saved, current = {"jax": "1", "data": "x", "python": "3.11"}, {"jax": "2", "data": "y"}
    with pytest.raises(InputError) as error:
        check_same(saved, current)
    assert str(error.value) == (
        "the checkpoint is of another run (jax: 1 then, 2 now; data: x then, y now; python: 3.11 "
        "then, absent now): start over without --resume, or give --force to go on none the less"
    )
    check_same(saved, current, force=True)
    check_same(saved, dict(reversed(saved.items())))


@pytest.mark.parametrize(("one", "other"), list(itertools.permutations([True, 1, 1.0, "1"], 2)))
def test_values_of_another_type_differ(one, other):
    assert len(compare({"a": one}, {"a": other})) == 1
