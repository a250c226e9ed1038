"""Checkpoints: to the bit, whole at any moment of a kill, refused to other and to second runs."""

import itertools
import json
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
    Saved,
    changes,
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


def saved(number, size=3):
    """One member, whose arrays and epoch are this number."""
    return Saved([f"member {number}"], {"a": np.full((1, size), number)}, {"epoch": number})


def test_nothing_comes_back_from_an_empty_folder(tmp_path):
    checkpoints = Checkpoints(tmp_path / "new" / "folder")
    assert checkpoints.state() is None
    assert list(checkpoints.finished()) == []


def test_state_comes_back_to_the_bit(tmp_path):
    arrays = {
        "embedding": np.random.default_rng(0).normal(size=(646, 4, 3)).astype(np.float32),
        "transposed": np.arange(12, dtype=np.int32).reshape(3, 4).T,
        "every.second": np.arange(9, dtype=np.uint32)[::2],
        # What a store that leaves out zeros, or compares by value, would lose.
        "negative_zeros": np.full(8, -0.0, np.float32),
        "quiet_nans": np.array([0x7FC00001, 0xFFC12345, 0x7F800000], np.uint32).view(np.float32),
        "scalar": np.array(7, np.int32),
        "none": np.zeros((0, 3), np.float32),
    }
    about = {"loss": [0.1, 1e-300, float("nan")], "words": "Grün, grün", "nested": {"a": None}}
    members = ["one", "zwei ü"]
    Checkpoints(tmp_path).save_state(Saved(members, arrays, about))
    found = Checkpoints(tmp_path).state()
    assert found.members == members
    assert repr(found.about) == repr(about)
    assert _same(arrays, found.arrays)
    found.arrays["embedding"][0] = 1


def _arrays():
    def filled(dtype, shape, seed):
        # Any bits, so that all kinds of NaN are among them; a bool has but two.
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        bits = np.frombuffer(np.random.default_rng(seed).bytes(size), np.uint8)
        return (bits & 1 if dtype == "bool" else bits).view(dtype).reshape(shape)

    shape = st.lists(st.integers(0, 3), max_size=3).map(tuple)
    return st.builds(filled, st.sampled_from(DTYPES), shape, st.integers(0, 99))


@settings(max_examples=15)
@given(arrays=st.dictionaries(st.sampled_from(["a", "b", "loss.x"]), _arrays(), max_size=3))
def test_any_arrays_come_back_to_the_bit(tmp_path_factory, arrays):
    folder = tmp_path_factory.mktemp("any")
    Checkpoints(folder).add_finished(Saved(["m"], arrays, {}))
    (found,) = Checkpoints(folder).finished()
    assert _same(arrays, found.arrays)


def test_the_newest_two_states_are_kept_and_all_that_is_finished(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for number in (10, 20, 30, 5):
        checkpoints.save_state(saved(number))
        checkpoints.add_finished(saved(number))
    finished = [f"finished_{number:06d}.npz" for number in (1, 2, 3, 4)]
    assert _names(tmp_path) == [*finished, "state_000003.npz", "state_000004.npz"]
    assert checkpoints.state().about["epoch"] == 5
    assert [each.members for each in checkpoints.finished()] == [
        [f"member {number}"] for number in (10, 20, 30, 5)
    ]
    checkpoints.clear_state()
    assert checkpoints.state() is None
    assert _names(tmp_path) == finished


def test_what_is_saved_names_no_place_on_the_machine(tmp_path):
    current = fingerprint(Config().to_json(), "0" * 64)
    Checkpoints(tmp_path).save_state(saved(1)._replace(about={"fingerprint": current}))
    (path,) = tmp_path.iterdir()
    for place in (tmp_path, ROOT, Path(sys.prefix)):
        assert os.fsencode(place) not in path.read_bytes()


# --------------------------------------------------------------------------------------------------
# Damage and kills


def test_remains_of_killed_processes_are_ignored_and_removed(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save_state(saved(1))
    (tmp_path / ".partial_state_000002.npz").write_bytes(b"PK")
    assert checkpoints.state().about["epoch"] == 1
    checkpoints = Checkpoints(tmp_path)
    assert _names(tmp_path) == ["state_000001.npz"]
    assert checkpoints.state().about["epoch"] == 1


def _damaged(content):
    """The content cut short, changed anywhere (in places spread over it), and gone."""
    yield content[: len(content) // 2]
    for place in range(0, len(content), 97):
        yield content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    yield None


def test_damage_is_noticed_and_the_file_before_is_used(tmp_path):
    """Some bytes of a zip archive carry no content; the rest is guarded by checksums."""
    checkpoints = Checkpoints(tmp_path)
    for number in (1, 2):
        checkpoints.save_state(saved(number, 50))
        checkpoints.add_finished(saved(number, 50))
    noticed = count = 0
    for kind in ("state", "finished"):
        path = tmp_path / f"{kind}_000002.npz"
        content = path.read_bytes()
        for damaged in _damaged(content):
            path.unlink()
            if damaged is not None:
                path.write_bytes(damaged)
            found = checkpoints.state() if kind == "state" else [*checkpoints.finished()][-1]
            number = found.about["epoch"]
            assert _same(saved(number, 50).arrays, found.arrays)
            assert found.members == [f"member {number}"]
            noticed, count = noticed + (number == 1), count + 1
            path.write_bytes(content)
    assert noticed > count // 2
    for path in tmp_path.iterdir():
        path.write_bytes(b"")
    assert checkpoints.state() is None
    assert list(checkpoints.finished()) == []


CHAIN = """
    import sys
    import numpy as np
    from colour_embed.engine.checkpoint import Checkpoints, Saved, running_lock

    # A training in small: each state follows from the one before. Its bits do not compress.
    folder, last = sys.argv[1], int(sys.argv[2])
    with running_lock(folder):
        checkpoints = Checkpoints(folder)
        found = checkpoints.state()
        state, steps = np.arange(1_000_000, dtype=np.uint32), []
        if found:
            state, steps = found.arrays["state"], found.about["steps"]
        print("start", len(steps), flush=True)
        while len(steps) < last:
            state = state * np.uint32(1664525) + np.uint32(1013904223)
            steps = [*steps, len(steps) + 1]
            checkpoints.save_state(Saved(["m"], {"state": state}, {"steps": steps}))
            print("saved", len(steps), flush=True)
"""


def _chain(step):
    state = np.arange(1_000_000, dtype=np.uint32)
    for _ in range(step):
        state = state * np.uint32(1664525) + np.uint32(1013904223)
    return state


def test_a_run_killed_at_random_moments_ends_identical_to_the_bit(tmp_path):
    moments = random.Random(0)
    half_written = reached = 0
    for _ in range(12):
        child = _start(CHAIN, tmp_path, 10**6)
        begun = child.stdout.readline().split()
        assert begun[:1] == ["start"], child.stderr.read()
        # What was complete when the one before was killed is where this one starts.
        assert int(begun[1]) >= reached
        for _ in range(moments.randrange(4)):
            reached = int(child.stdout.readline().split()[1])
        time.sleep(moments.uniform(0, 0.02))
        child.kill()
        lines = child.stdout.read().splitlines()
        child.communicate()
        reached = max([reached, int(begun[1]), *(int(line.split()[1]) for line in lines)])
        half_written += any(name.startswith(".partial_") for name in _names(tmp_path))
    assert reached > 3
    # Most of the time is spent in saving, so that most kills must have hit it.
    assert half_written >= 3
    child = _start(CHAIN, tmp_path, reached + 3)
    out, errors = child.communicate()
    assert (child.returncode, errors) == (0, "")
    assert out.splitlines()[-1] == f"saved {reached + 3}"
    found = Checkpoints(tmp_path).state()
    assert found.about["steps"] == list(range(1, reached + 4))
    np.testing.assert_array_equal(found.arrays["state"], _chain(reached + 3))


KILLED_AT_EACH_STEP = """
    import os, shutil, signal, sys
    import numpy as np
    from colour_embed.engine.checkpoint import Checkpoints, Saved

    # Python announces what it is about to do with files: fork a process for each such moment of a
    # save, and kill it there.
    folder, original, count = *sys.argv[1:], 0
    changes = ("os.rename", "os.remove")
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
            checkpoints.save_state(Saved(["m"], {"a": np.full(1000, 3)}, {"a": 3}))
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if status not in (0, signal.SIGKILL):
            sys.exit(f"the child ended with {status}")
        os.rename(folder, f"{folder}_{count:03d}")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_kill_before_any_change_to_a_file_leaves_a_whole_state(tmp_path):
    original, copies = tmp_path / "original", tmp_path / "copies"
    checkpoints = Checkpoints(original)
    for number in (1, 2):
        checkpoints.save_state(Saved(["m"], {"a": np.full(1000, number)}, {"a": number}))
    copies.mkdir()
    child = _start(KILLED_AT_EACH_STEP, copies / "killed", original)
    out, errors = child.communicate()
    assert child.returncode == 0, errors
    assert set(out.split()) >= {"open", "os.rename", "os.remove"}
    reached = []
    for folder in sorted(copies.iterdir()):
        found = Checkpoints(folder).state()
        reached.append(found.about["a"])
        np.testing.assert_array_equal(found.arrays["a"], np.full(1000, reached[-1]))
        assert not [name for name in _names(folder) if name.startswith(".")]
    # The last was not killed. The new state counts from one moment on, and both sides were seen.
    assert len(reached) == len(out.split()) + 1
    before = reached.count(2)
    assert reached == [2] * before + [3] * (len(reached) - before)
    assert 0 < before < len(reached) - 1


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


def _saved(**changed):
    program = {"epochs": 500}
    return {
        "config": {"vary": ["init"], "programs": {"free": program, "dot": program}},
        "data": "x",
        "grid": {"seeds": [0, 1], "dims": [2], "programs": ["free", "dot"], "beta1": [0.5]},
        "jax": "1",
        **changed,
    }


def test_a_grid_may_grow_and_versions_may_be_forced():
    assert changes(_saved(), _saved()) == []
    grown = {"seeds": [3, 1, 0], "dims": [2, 3], "programs": ["free", "dot"], "beta1": [0.5, 0.9]}
    assert changes(_saved(forced=["numpy"]), _saved(grid=grown, jax="2")) == ["jax: 1 then, 2 now"]
    fewer = _saved(grid={**grown, "programs": ["free"]})
    fewer["config"]["programs"] = {"free": {"epochs": 500}}
    assert changes(fewer, _saved(grid=grown)) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"grid": {**_saved()["grid"], "seeds": [1, 2]}}, "holds seeds 0, which this grid leaves"),
        ({"grid": {**_saved()["grid"], "beta1": []}}, "holds beta1 0.5, which"),
        ({"data": "y"}, r"of another run \(data: x then, y now\)"),
        ({"config": {**_saved()["config"], "vary": []}}, r'vary: \["init"\] then, \[\] now'),
    ],
)
def test_another_run_is_refused_in_one_line(changed, said):
    with pytest.raises(InputError, match=said) as error:
        changes(_saved(), _saved(**changed))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("one", "other"), list(itertools.permutations([True, 1, 1.0, "1"], 2)))
def test_values_of_another_type_differ(one, other):
    assert len(compare({"a": one}, {"a": other})) == 1
