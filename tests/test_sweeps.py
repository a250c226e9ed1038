"""Sweeps: a member is what it is, wherever and with whomever it is trained."""

import dataclasses
import functools
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from colour_embed import sweeps, train
from colour_embed.config import Config, InputError, Stopping
from colour_embed.data import Pairs, load_colours, pair_diff, tutorial_pairs
from colour_embed.engine import memory
from colour_embed.engine.batches import DevicePairs
from colour_embed.engine.checkpoint import Checkpoints
from colour_embed.engine.memory import plan_memory
from colour_embed.engine.state import member_keys
from colour_embed.evaluate import tables, truth

COLOURS = load_colours()
ITEMS, PAIRS, RGB = len(COLOURS), tutorial_pairs(COLOURS, 3000), COLOURS.rgb
CONFIG = Config(epochs=20)


def _apart(found, expected):
    """max|difference| / max|reference|."""
    return np.abs(np.asarray(found) - expected).max() / np.abs(expected).max()


def _assert_same_member(found, expected, bound=1e-5):
    assert found.status == expected.status
    assert _apart(found.embedding, expected.embedding) < bound
    assert _apart([found.kernel, found.bias], [expected.kernel, expected.bias]) < bound
    assert _apart(found.loss, expected.loss) < bound
    assert _apart(found.mse, expected.mse) < bound


@pytest.fixture(scope="module")
def small():
    return sweeps.sweep(CONFIG, ITEMS, PAIRS, [0, 3], [1, 2, 3], snapshots=4, schedule=[0, 1, 20])


def test_a_member_is_the_fit_of_its_config(small):
    for seed in (0, 3):
        for dim in (1, 2, 3):
            config = dataclasses.replace(CONFIG, seed=seed, dim=dim)
            fitted = train.fit(config, ITEMS, PAIRS, snapshots=[0, 1, 20])
            member = small.member(seed=seed, dim=dim)
            assert member.config == config
            _assert_same_member(member, fitted)
            if dim < 3:  # the first four members have snapshots
                np.testing.assert_array_equal(member.epoch, fitted.epoch)
                assert _apart(member.snapshots, fitted.snapshots) < 1e-5
            else:
                assert member.snapshots.shape == (0, 646, 3)


def test_padding_stays_zero_and_initial_weights_are_kept(small):
    assert small.embedding.shape == (6, 646, 3)
    for place, member in enumerate(small.members):
        assert not small.embedding[place, :, member.dim :].any()
        assert small.embedding[place, :, : member.dim].any(axis=0).all()
    starts = {seed: train._start(CONFIG, 646, np.uint32(seed), CONFIG.hyperparams(), None)[1]
              for seed in (0, 3)}  # fmt: skip
    for place, member in enumerate(small.members):
        kernel = starts[member.seed].state.params["dense"]["kernel"][0, 0]
        assert small.initial_kernel[place] == pytest.approx(float(kernel), rel=1e-6)


def test_a_column_that_does_not_stay_zero_is_told(monkeypatch):
    real = sweeps.init_training
    monkeypatch.setattr(sweeps, "init_training", lambda *a, dim=None, **k: real(*a, **k))
    # Another number of items, so that no program compiled before is used.
    with pytest.raises(AssertionError, match="padded column"):
        sweeps.sweep(Config(epochs=1), 647, PAIRS, [0], [1, 2])


def test_members_depend_on_nothing_but_themselves(tmp_path):
    program = Path(__file__).with_name("sweep_peer.py")
    subprocess.run([sys.executable, str(program), str(tmp_path / "found.npz")], check=True)
    config = dataclasses.replace(CONFIG, seed=3, dim=2)
    fitted = train.fit(config, ITEMS, PAIRS)
    with np.load(tmp_path / "found.npz") as found:
        names = [name.removesuffix("_loss") for name in found if name.endswith("_loss")]
        assert len(names) == 7
        for name in names:
            assert _apart(found[f"{name}_embedding"], fitted.embedding) < 1e-5
            assert _apart(found[f"{name}_dense"], [fitted.kernel, fitted.bias]) < 1e-5
            assert _apart(found[f"{name}_loss"], fitted.loss) < 1e-5


def test_twice_is_the_same_to_the_bit(small):
    again = sweeps.sweep(CONFIG, ITEMS, PAIRS, [0, 3], [1, 2, 3], snapshots=4, schedule=[0, 1, 20])
    for name, values in small.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], values)


def test_batches_chunks_and_vmaps_change_nothing(small, monkeypatch):
    monkeypatch.setattr(memory, "BATCH_PER_CORE", 4)
    monkeypatch.setattr(sweeps, "CHUNK", 7)
    real = sweeps.plan_memory
    for width in (1, 4):
        monkeypatch.setattr(
            sweeps,
            "plan_memory",
            lambda *a, width=width, **k: real(*a, **k)._replace(width=width),
        )
        cut = sweeps.sweep(
            CONFIG, ITEMS, PAIRS, [0, 3], [1, 2, 3], snapshots=4, schedule=[0, 1, 20]
        )
        for seed in (0, 3):
            for dim in (1, 2, 3):
                pair = [one.member(seed=seed, dim=dim) for one in (cut, small)]
                _assert_same_member(*pair)
                if dim < 3:
                    assert _apart(pair[0].snapshots, pair[1].snapshots) < 1e-5


def test_metrics_agree_to_three_decimals_after_500_epochs():
    pairs, config = tutorial_pairs(COLOURS, 20_000), Config(epochs=500)
    whole = sweeps.sweep(config, ITEMS, pairs, [0, 3, 5], [2, 3])
    measures = tables.evaluate_members(whole, RGB, pairs)
    alone = sweeps.sweep(config, ITEMS, pairs, [3], [2])
    expected = tables.evaluate_members(alone, RGB, pairs)
    place = whole.members.index(alone.members[0])
    for name, values in measures.items():
        assert values[place] == pytest.approx(expected[name][0], abs=5e-4), name


def test_a_member_that_turns_nan_is_frozen_and_the_others_go_on():
    axes = {"learning_rate": [1e-3, 1e37]}
    both = sweeps.sweep(CONFIG, ITEMS, PAIRS, [0, 3], [2], axes=axes)
    for seed in (0, 3):
        good = both.member(seed=seed, dim=2, learning_rate=1e-3)
        config = dataclasses.replace(CONFIG, seed=seed, dim=2)
        _assert_same_member(good, train.fit(config, ITEMS, PAIRS))
        bad = both.member(seed=seed, dim=2, learning_rate=1e37)
        assert bad.status == "diverged"
        assert len(bad.loss) == bad.diverged_epoch - 1
        assert np.isfinite(bad.embedding).all()
    measures = tables.evaluate_members(both, RGB, PAIRS)
    table = tables.member_table(both, measures, axes=("learning_rate",))
    assert len(table) == 4
    assert (table["diverged"] > 0).tolist() == [False, True, False, True]
    assert table.loc[table["diverged"] > 0, "train_loss"].isna().all()
    summary = tables.summary_table(table)
    assert summary["members"].tolist() == [2, 2]
    assert summary["diverged"].tolist() == [0, 2]


def test_what_does_not_vary_is_the_same_for_all():
    config = Config(epochs=3, seed=5)
    by_order = sweeps.sweep(
        config, ITEMS, PAIRS, [0, 1], [2], vary=["order"], snapshots=2, schedule=[0]
    )
    np.testing.assert_array_equal(by_order.snapshots[0], by_order.snapshots[1])
    assert _apart(by_order.loss[0], by_order.loss[1]) > 1e-5
    base = train.fit(dataclasses.replace(config, dim=2), 646, PAIRS, snapshots=[0])
    np.testing.assert_allclose(by_order.snapshots[0], base.snapshots, rtol=1e-6)
    by_init = sweeps.sweep(config, ITEMS, PAIRS, [0, 5], [2], vary=["init"])
    # The config's own seed is 5, so that member has its order and is the fit.
    fitted = train.fit(dataclasses.replace(config, dim=2), 646, PAIRS)
    _assert_same_member(by_init.member(seed=5, dim=2), fitted)


def test_labels_and_pairs_can_vary():
    config = Config(epochs=3)
    same = {"vary": ["order"]}
    labels = sweeps.sweep(config, ITEMS, PAIRS, [0, 1], [2], truth=RGB, vary=["order", "labels"])
    given = sweeps.sweep(config, ITEMS, PAIRS, [0, 1], [2], **same)
    assert _apart(labels.loss, given.loss) > 1e-4
    drawn = [sweeps.training_pairs(ITEMS, PAIRS, Config(seed=seed), ["pairs"]) for seed in (0, 1)]
    assert (drawn[0] != drawn[1]).any()
    assert drawn[0].shape == (3000, 2)
    assert drawn[0].min() >= 0
    assert drawn[0].max() < 646
    pairs = sweeps.sweep(config, ITEMS, PAIRS, [0, 1], [2], truth=RGB, vary=["order", "pairs"])
    assert _apart(pairs.loss, labels.loss) > 1e-4


@pytest.mark.parametrize("constant", [0.05, 0.2])
@pytest.mark.parametrize("vary", [("labels",), ("init", "order", "labels", "pairs")])
def test_training_pairs_and_labels_are_those_that_a_member_is_trained_on(vary, constant):
    config = Config(epochs=4, seed=3, label_constant=constant)
    found = sweeps.sweep(config, ITEMS, PAIRS, [3, 8], [2], truth=RGB, vary=vary)
    for place, member in enumerate(found.members):
        index = sweeps.training_pairs(ITEMS, PAIRS, member, vary)
        label = sweeps.training_labels(index, member, RGB)
        assert label.dtype == np.float32
        # What does not vary is of the config's seed; a fit takes all else from its own.
        base = member if "order" in vary else dataclasses.replace(member, seed=3)
        fitted = train.fit(base, ITEMS, Pairs(index, label))
        assert _apart(found.loss[place], fitted.loss) < 1e-5
        assert _apart(found.embedding[place], fitted.embedding) < 1e-5
    assert _apart(found.loss[0], found.loss[1]) > 1e-4


def test_training_labels_follow_the_known_probability():
    index = truth.all_pairs(ITEMS)
    for constant in (0.05, 0.2, 0.6):
        label = sweeps.training_labels(index, Config(seed=1, label_constant=constant), RGB)
        probability = truth.probability_similar(pair_diff(index, RGB), constant)
        assert set(np.unique(label)) == {0, 1}
        spread = np.sqrt((probability * (1 - probability)).sum())
        assert abs((label - probability).sum()) < 4 * spread
        assert label[probability > 0].any()
        assert not label[probability == 0].any()


def test_labels_drawn_by_a_constant_follow_the_known_probability():
    """The labels that the program draws itself, read off a sweep's own inner function."""
    import jax.numpy as jnp

    from colour_embed.evaluate.truth import probability_similar

    first, second = np.triu_indices(646, 1)
    program = sweeps._Program(
        CONFIG,
        646,
        frozenset({"labels"}),
        draw_labels=True,
        pack=False,
        members_last=False,
        width=1,
        mesh=None,
        rows=646,
    )
    shared = sweeps._Shared(
        np.uint32(0),
        DevicePairs(jnp.asarray(first), jnp.asarray(second), jnp.zeros(len(first))),
        jnp.asarray(COLOURS.rgb, jnp.float32),
        frozen=None,
    )
    known = pair_diff(np.column_stack([first, second]), COLOURS.rgb)
    for constant in (0.05, 0.2, 0.6):
        labels = np.stack([
            sweeps._member_pairs(
                program, shared, member_keys(np.uint32(seed)), jnp.float32(constant)
            ).label
            for seed in range(40)
        ])  # fmt: skip
        probability = probability_similar(known, constant)
        assert set(np.unique(labels)) == {0, 1}
        expected = probability.sum()
        deviation = np.sqrt((probability * (1 - probability)).sum() / 40)
        assert abs(labels.mean(axis=0).sum() - expected) < 4 * deviation
        for low, high in ((0, 0.3), (0.3, 0.7), (0.7, 1)):
            chosen = (probability > low) & (probability < high)
            assert labels[:, chosen].mean() == pytest.approx(probability[chosen].mean(), abs=0.01)


def test_the_label_constant_is_an_axis_with_a_truth_of_its_own():
    axes = {"label_constant": [0.05, 0.2, 0.8]}
    found = sweeps.sweep(CONFIG, ITEMS, PAIRS, [0], [2], truth=RGB, axes=axes)
    assert len(set(found.loss[:, 0])) == 3
    measures = tables.evaluate_members(found, RGB, PAIRS)
    # Each member is measured against its own P, and so as one alone with that constant would be.
    for place, constant in enumerate((0.05, 0.2, 0.8)):
        alone = dataclasses.replace(
            found,
            members=found.members[place : place + 1],
            **{name: values[place : place + 1] for name, values in found.arrays().items()},
        )
        known = truth.make_truth(RGB, constant)
        held_out = truth.held_out_pairs(ITEMS, PAIRS.index, RGB, constant, 0)
        expected = tables.evaluate_members(alone, known, PAIRS, held_out=held_out)
        for name, values in expected.items():
            assert measures[name][place] == values[0], name
    assert len(set(measures["excess_kl"])) == 3


def test_a_grid_is_dimension_by_dimension():
    members = sweeps.grid(CONFIG, [0, 1], [2, 3], {"learning_rate": [0.1, 0.2], "beta1": [0.5]})
    assert len(members) == 8
    assert members[0] == dataclasses.replace(CONFIG, dim=2, beta1=0.5, learning_rate=0.1)
    assert [member.dim for member in members] == [2] * 4 + [3] * 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(seeds=[], dims=[2]), "seeds: give at least one"),
        (dict(seeds=[0, 0], dims=[2]), "seeds: .*none twice"),
        (dict(seeds=[0], dims=[0]), "dim is 0"),
        (dict(seeds=[-1], dims=[2]), "seed is -1"),
        (dict(seeds=[0], dims=[2], axes={"head": [1]}), "'head' cannot be swept"),
        (dict(seeds=[0], dims=[2], axes={"learning_rate": [-1]}), "learning_rate is -1"),
        (dict(seeds=[0], dims=[2], vary=["weather"]), "'weather'"),
        (dict(seeds=[0], dims=[2], max_bytes=1000), "allow more"),
    ],
)
def test_bad_grids_are_refused_before_anything_runs(arguments, message):
    if arguments.get("part"):
        arguments = {**arguments, "part": (0, 2)}
    with pytest.raises(InputError, match=message):
        sweeps.sweep(CONFIG, ITEMS, PAIRS, **arguments)


def test_labels_cannot_be_drawn_without_the_truth():
    with pytest.raises(InputError, match="give truth"):
        sweeps.sweep(CONFIG, ITEMS, PAIRS, [0], [2], vary=["labels"])
    assert len(sweeps.sweep(Config(epochs=1), ITEMS, PAIRS, [0], [2])) == 1


def test_less_memory_means_smaller_batches():
    config = Config(epochs=500, dim=3)
    plan = functools.partial(plan_memory, items=646, pairs=100_000, members=1000, chunk=100)
    free = plan(config, devices=2)
    assert free.per_device == memory.BATCH_PER_CORE
    bound = free.host_bytes + 2 * free.device_bytes - 1
    tight = plan(config, devices=2, max_bytes=bound)
    assert tight.per_device < free.per_device
    assert tight.host_bytes + 2 * tight.device_bytes <= bound
    accelerator = plan(config, devices=1, accelerator=True, max_bytes=4_000_000_000)
    assert accelerator.width == accelerator.per_device
    longer = plan(dataclasses.replace(config, epochs=50_000), devices=2, max_bytes=4 * 10**9)
    assert longer.device_bytes == free.device_bytes


def test_a_thousand_members_fit_in_four_gigabytes(tmp_path):
    program = (
        "import re, jax\n"
        "from pathlib import Path\n"
        "from colour_embed import sweeps\n"
        "from colour_embed.config import Config\n"
        "from colour_embed.data import load_colours, tutorial_pairs\n"
        "jax.config.update('jax_num_cpu_devices', 2)\n"
        "colours = load_colours()\n"
        "pairs = tutorial_pairs(colours)\n"
        "found = sweeps.sweep(Config(epochs=2), 646, pairs, range(1000), [3],\n"
        "    max_bytes=4 * 10**9)\n"
        "assert found.loss.shape == (1000, 2)\n"
        # Not resource's: that starts from the memory of the process that started this one.
        "status = Path('/proc/self/status').read_text()\n"
        "print(re.search('VmHWM:[^0-9]+([0-9]+)', status)[1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) * 1024 < 4e9


def _interrupted(checkpoints, chunks, **changes):
    """Run the small grid until Ctrl-C comes after so many chunks."""
    reports = []

    def report(event):
        reports.append(event)
        if len(reports) == chunks:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _small_again(checkpoints=checkpoints, report=report, **changes)
    return reports


def _small_again(**changes):
    return sweeps.sweep(
        CONFIG, ITEMS, PAIRS, [0, 3], [1, 2, 3], snapshots=4, schedule=[0, 1, 20], **changes
    )


@pytest.mark.parametrize("chunks", [1, 2, 4])
def test_ctrl_c_saves_and_the_cut_into_batches_is_kept(small, tmp_path, monkeypatch, chunks):
    monkeypatch.setattr(sweeps, "CHUNK", 10)  # two chunks a batch
    monkeypatch.setattr(memory, "BATCH_PER_CORE", 2)
    checkpoints = Checkpoints(tmp_path)
    reports = _interrupted(checkpoints, chunks)
    assert reports[-1].done == chunks * 2 * 10
    assert reports[-1].total == 6 * 20
    # With more room now, another cut would be chosen; the saved batches must stay what they are.
    monkeypatch.setattr(memory, "BATCH_PER_CORE", 5)
    resumed = _small_again(checkpoints=checkpoints)
    for name, values in small.arrays().items():
        np.testing.assert_array_equal(resumed.arrays()[name], values)


def test_a_sweep_goes_on_where_devices_cannot_share_the_saved_batch(tmp_path):
    """Three members under way on one device; on two devices they are trained anew."""
    program = (
        "import sys, jax, numpy as np\n"
        "from colour_embed import sweeps\n"
        "from colour_embed.engine.checkpoint import Checkpoints\n"
        "from colour_embed.config import Config\n"
        "from colour_embed.data import load_colours, tutorial_pairs\n"
        "jax.config.update('jax_num_cpu_devices', 2)\n"
        "pairs = tutorial_pairs(load_colours(), 1000)\n"
        "def stop(event): raise KeyboardInterrupt\n"
        "def run(devices, **more):\n"
        "    return sweeps.sweep(Config(epochs=200), 646, pairs, [0, 1, 2], [2],\n"
        "        devices=jax.devices()[:devices], **more)\n"
        "try:\n"
        "    run(1, checkpoints=Checkpoints(sys.argv[1]), report=stop)\n"
        "except KeyboardInterrupt:\n"
        "    print(Checkpoints(sys.argv[1]).state().about['epoch'])\n"
        "found = run(2, checkpoints=Checkpoints(sys.argv[1])).arrays()\n"
        "for name, values in run(2).arrays().items():\n"
        "    np.testing.assert_array_equal(found[name], values)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["100"]


def test_finished_members_are_taken_over_by_what_they_are(small, tmp_path):
    """A grid of other seeds and dimensions takes what it shares, each array under its own name."""
    checkpoints = Checkpoints(tmp_path)
    _small_again(checkpoints=checkpoints)
    trained = []
    other = sweeps.sweep(
        CONFIG,
        ITEMS,
        PAIRS,
        [3, 7],
        [2, 3],
        snapshots=1,
        schedule=[0, 1, 20],
        checkpoints=checkpoints,
        report=trained.append,
    )
    assert trained[-1].members_done == 4
    assert sum(map(len, (saved.members for saved in checkpoints.finished()))) == 6 + 2
    for dim in (2, 3):
        _assert_same_member(other.member(seed=3, dim=dim), small.member(seed=3, dim=dim), 1e-9)
        fitted = train.fit(dataclasses.replace(CONFIG, seed=7, dim=dim), ITEMS, PAIRS)
        _assert_same_member(other.member(seed=7, dim=dim), fitted)


@pytest.mark.parametrize(
    "changed", [{"pairs": tutorial_pairs(COLOURS, 2999)}, {"vary": ["init"]}, {"seed": 1}]
)
def test_members_of_other_pairs_are_trained_anew(small, tmp_path, changed):
    checkpoints = Checkpoints(tmp_path)
    _small_again(checkpoints=checkpoints)
    config = dataclasses.replace(CONFIG, seed=changed.get("seed", 0))
    pairs, vary = changed.get("pairs", PAIRS), changed.get("vary", ["init", "order"])
    found = sweeps.sweep(config, ITEMS, pairs, [3], [2], vary=vary, checkpoints=checkpoints)
    fresh = sweeps.sweep(config, ITEMS, pairs, [3], [2], vary=vary)
    np.testing.assert_array_equal(found.loss, fresh.loss)
    assert len(list(checkpoints.finished())) == 2


@pytest.mark.parametrize("optimizer", ["lazy_adam", "adam"])
def test_members_take_every_optimiser(optimizer):
    config = dataclasses.replace(CONFIG, optimizer=optimizer)
    found = sweeps.sweep(config, ITEMS, PAIRS, [0, 3], [2], vary=["init"])
    base = sweeps.sweep(config, ITEMS, PAIRS, [0, 3], [2])
    # The config's own seed is 0, so that member has its order either way.
    fitted = train.fit(dataclasses.replace(config, seed=0, dim=2), ITEMS, PAIRS)
    for result in (found, base):
        _assert_same_member(result.member(seed=0, dim=2), fitted)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"truth": RGB[:100]}, r"truth has the shape \(100, 3\): give a row for each of 646"),
        ({"truth": RGB[:, 0]}, r"truth has the shape \(646,\)"),
        ({"truth": 255 * RGB}, "values from 0 to 255, by which nearly no pair would be similar"),
        ({"truth": np.where(RGB.max() == RGB, np.nan, RGB)}, "NaN or infinite"),
        ({"seeds": [0.0, 0.5]}, r"seeds are \[0.0, 0.5\]: give whole numbers"),
        ({"dims": [2.0]}, r"dims are \[2.0\]"),
        ({"vary": []}, "vary is empty, so members of different seeds would be copies"),
        ({"stopping": Stopping()}, "early stopping evaluates the pairs given, .* give held_out"),
        ({"stopping": Stopping(), "vary": ["pairs"]}, "early stopping evaluates the pairs given"),
    ],
)
def test_what_no_member_could_be_trained_from_is_refused(changed, said):
    given = {"seeds": [0, 1], "dims": [2], "truth": RGB, "vary": ["labels"], **changed}
    with pytest.raises(InputError, match=said):
        sweeps.sweep(CONFIG, ITEMS, PAIRS, given.pop("seeds"), given.pop("dims"), **given)


@pytest.mark.parametrize("kind", ["rbg", "unsafe_rbg"])
def test_the_kind_of_key_is_not_taken_from_the_environment(small, kind):
    with jax.default_prng_impl(kind):
        again = sweeps.sweep(CONFIG, ITEMS, PAIRS, [3], [2])
    _assert_same_member(again.member(seed=3, dim=2), small.member(seed=3, dim=2))


def test_a_seed_of_any_integer_type(small):
    again = sweeps.sweep(CONFIG, ITEMS, PAIRS, np.array([3], np.uint8), np.array([2]))
    _assert_same_member(again.member(seed=3, dim=2), small.member(seed=3, dim=2))
