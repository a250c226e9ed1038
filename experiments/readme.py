"""Fill the generated sections of README.md from the committed results.

Also writes results/README.md, a page of all figures.
"""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

from colour_embed.config import InputError
from experiments import _cli, _results_page

ROOT = Path(__file__).parent.parent


def main() -> None:
    path = ROOT / "README.md"
    path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
    _results_page.check(ROOT / "results")
    (ROOT / "results" / "README.md").write_text(results_page(), encoding="utf-8")


def filled(text: str) -> str:
    """Replace the text between each pair of marks in the README."""
    for name, make in SECTIONS.items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        if not pattern.search(text):
            raise InputError(f"README.md: the marks {begin} and {end} are missing; put them back")
        made = f"{begin}\n{make()}\n{end}"
        text = pattern.sub(lambda _, made=made: made, text)
    return text


def _read(name: str) -> dict | None:
    path = ROOT / "results" / name
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _tutorial() -> str:
    # Nothing that changes when the README's first command runs again, such as its seconds: the
    # second command compares this text. The time of the whole run stands under Speed.
    metrics = _read("tutorial/metrics.json")
    if not metrics:
        return "No run is committed yet."
    entries = list(metrics.values())
    rows = [
        [text, *(form.format(entry[key]) for entry in entries)]
        for text, key, form in (
            ("training loss, nats per pair", "loss", "{:.4f}"),
            ("Bayes-optimal loss of these labels", "best_loss", "{:.4f}"),
            ("Spearman of distances with RGB", "spearman", "{:.3f}"),
            ("Procrustes disparity to RGB", "procrustes", "{:.3f}"),
        )
    ]
    table = _table(["", *(f"{entry['dim']}-D" for entry in entries)], rows)
    return f"{table}\n\n{_two_floors(entries[0]['best_loss'])}".rstrip()


def _two_floors(drawn: float) -> str:
    """Return a sentence on the two Bayes-optimal losses; "" without a run of the claims."""
    path = ROOT / "results" / "claims" / "dimension_selection.csv"
    if not path.exists():
        return ""
    with path.open(newline="", encoding="utf-8") as file:
        floor = float(next(csv.DictReader(file))["floor"])
    return (
        f"The Bayes-optimal loss {drawn:.4f} is that of the true probabilities on the drawn pairs "
        f"and labels; {floor:.4f}, in the claims, is its expectation over all pairs of two "
        "different colours."
    )


def _benchmark() -> str:
    measured = _read("benchmark/benchmark.json")
    if not measured:
        return "No measurement is committed yet."
    training, whole = measured["training"], measured["tutorial"]
    names = {
        "ours_warm": "colour_embed, compiled",
        "ours_cold": "colour_embed, new process, empty compilation cache",
        "limit": "baseline: a loop in C, one core",
        "plain_jax": "plain JAX, `jax.random.permutation`",
        "keras_jax": "Keras 3 on JAX",
        "keras_tf": "Keras 3 on TensorFlow",
        "torch": "PyTorch, plain loop",
    }

    def seconds(value):
        return "not run" if value is None else f"{value:.2f} s"

    rows = [[text, *(seconds(training[d][key]) for d in training)] for key, text in names.items()]
    header = ["500 epochs of 100,000 pairs", *(d.replace("d", "-D") for d in training)]
    on_gpu = _read("accelerator/benchmark.json")
    gpu = _gpu(on_gpu["details"]["accelerator"], header, rows, list(training)) if on_gpu else ""
    table = _table(header, rows)
    sweep, members = measured["sweep"], measured["details"]["sweep"]["separate_order"]["members"]
    sweeps = (
        f"Sweeps of {members} members in two dimensions on all cores take "
        f"{seconds(sweep['shared_order'])} per member with a shared order of the pairs, and "
        f"{seconds(sweep['separate_order'])} with separate orders; the loop in C takes "
        f"{seconds(sweep['limit'])}."
    )
    animation = measured.get("animation")
    frames = (
        ""
        if not animation
        else " An animation of "
        f"{measured['details']['animation']['2d']['whole']['frames']} frames, drawn and encoded, "
        f"takes {seconds(animation['2d']['whole'])} in 2-D and {seconds(animation['3d']['whole'])} "
        f"in 3-D; matplotlib takes {seconds(animation['2d']['whole_peer'])} and "
        f"{seconds(animation['3d']['whole_peer'])}."
    )
    in_browser = measured.get("browser")
    if in_browser and in_browser["live"]:
        frames += (
            f" In the page, in Chromium, the 2-D training takes {seconds(in_browser['live'])}."
        )
    return (
        f"{table}\n\nThe whole tutorial from a cold start, figures and animations included, takes "
        f"{seconds(whole['ours'])}; the tutorial's own script (Keras on TensorFlow) takes "
        f"{seconds(whole['script'])}. {sweeps}{frames} All times are medians of "
        "`python -m experiments.benchmark`. "
        "[results/benchmark](results/benchmark/benchmark.md) has the machine, the ranges, the "
        "scaled entries and the growth with size. [levers.md](results/benchmark/levers.md) is an "
        f"ablation of the optimisations.{gpu}"
    )


def _gpu(details: dict, header: list[str], rows: list[list[str]], dims: list[str]) -> str:
    """Add the columns of a GPU to the table; returns the sentences about it."""
    device, trained = details["device"]["device"], details["training"]
    header += [f"{d.replace('d', '-D')}, one {device}" for d in dims]
    for row in rows:
        found = {
            "colour_embed, compiled": [trained[f"{d}, kernel"] for d in dims],
            "PyTorch, plain loop": [details["torch"].get(d) for d in dims],
        }.get(row[0], [None] * len(dims))
        row += [f"{entry['median']:.2f} s" if entry else "" for entry in found]
    widest = max(entry["members"] for entry in details["sweep"].values())
    shared, separate, last = (
        f"{details['sweep'][f'{widest}, {program}']['runs_per_second']:,.0f}"
        for program in (
            "shared order, kernel",
            "separate order, kernel",
            "shared order, members last",
        )
    )
    name, whole = next(found for found in details["whole"].items() if found[0].endswith("kernel"))
    dim = name.split(", ")[1].replace("d", "-D")
    xla = " and ".join(f"{trained[f'{d}, xla']['median']:.2f} s" for d in dims)
    return (
        f"\n\nOn the {device} a kernel of our own trains whole epochs in one launch, with a "
        f"thread block for each member; by XLA's programs one training takes {xla}. A sweep of "
        f"{widest:,} members trains {shared} members per second with a shared order "
        f"of the pairs and {separate} with separate orders; XLA's best form trains {last}. "
        f"{whole['members']:,} members in {dim} take "
        f"{whole['median'] * whole['members']:.1f} s, compilation included. The kernel's bits "
        "repeat. [results/accelerator](results/accelerator/benchmark.md) has every figure."
    )


def _sweep() -> str:
    path = ROOT / "results" / "sweep"
    if not (path / "summary.csv").exists():
        return "No sweep is committed yet."
    with (path / "summary.csv").open(newline="", encoding="utf-8") as file:
        summary = list(csv.DictReader(file))

    def interval(row, name, form="{:.3f}"):
        ends = (float(row[f"{name}{end}"]) for end in ("", "_low", "_high"))
        middle, low, high = (form.format(value) for value in ends)
        return f"{middle} [{low}, {high}]"

    rows = [
        [
            row["head"],
            f"**{row['dim']}**" if row["selected"] == "True" else row["dim"],
            f"{row['recovered_members']} of {row['members']}",
            interval(row, "recovered_share", "{:.2f}"),
            interval(row, "recovered_heldout_loss", "{:.4f}"),
            interval(row, "recovered_excess_kl", "{:.4f}"),
            interval(row, "recovered_spearman"),
        ]
        for row in summary
        if row["head"] == "negative"
    ]
    environment = _read("sweep/env.json")
    members = sum(int(row["members"]) for row in summary)
    epochs = next(iter(_read("sweep/config.json")["programs"].values()))["epochs"]
    table = _table(
        ["head", "dim", "recovered", "share", "held-out loss", "excess KL", "Spearman"], rows
    )
    return (
        f"{table}\n\nInterquartile means over recovered members with 95 % intervals. Bold: the "
        "dimension that held-out loss selects. Excess KL: divergence from the true probabilities. "
        f"{members} trainings of {epochs} epochs in {environment['seconds']['whole']:.0f} s on "
        f"{environment['cores']} cores."
    )


def _claims() -> str:
    studies, config = _read("claims/claims.json"), _read("claims/config.json")
    if not studies:
        return "No run of the claims is committed yet."
    claims = [study for study in studies if study["kind"] == "claim"]
    laws = [study for study in studies if study["kind"] == "law"]
    rows = [
        ["[{name}](results/README.md#{name})".format(**study), study["claim"], study["verdict"]]
        for study in (*claims, *laws)
    ]
    minutes = sum(study["seconds"] for study in config["studies"].values()) / 60
    environment = _read("claims/env.json")
    return (
        f"{_table(['study', 'claim of the tutorial, or prediction of ours', 'verdict'], rows)}\n\n"
        f"{len(claims)} claims and {len(laws)} predictions, {minutes:.0f} minutes on "
        f"{environment['cores']} cores. The [article](results/paper/paper.pdf) has the methods, "
        "the rules and the evidence; `python -m experiments.paper` typesets it (extra `paper`). "
        "[Every figure](results/README.md), with what made it."
    )


def _cluster() -> str:
    """Return the memory of a large sharded table, and the backends of the committed runs."""
    from colour_embed.config import Config
    from colour_embed.engine.memory import plan_memory
    from experiments.benchmark.sharding import SIZES

    items, dim = 100_000_000, 16
    config = Config(dim=dim, head="negative", batch_size=8192)
    held = [
        f"{plan_memory(config, items, items, 1, chunk=1, shards=shards).device_bytes / 1e9:.0f} GB "
        f"on each of {shards}"
        for shards in (1, 4, 16)
    ]
    line = (
        f"{items:,} items in {dim} dimensions, with Adam's memory and as many pairs, come to "
        f"{', '.join(held)} devices. Run so far: jobs of 2 and 3 processes on CPUs"
    )
    scaling = _read("scaling/benchmark.json")
    if scaling:
        entries = scaling["details"]["sharding"]["dense"]
        (one, first), (several, other) = entries.items()
        line += (
            f"; a table of {SIZES.items:,} items on {several.split()[0]} CPU devices, where a step "
            f"takes {other['median'] * 1e3:.0f} ms against {first['median'] * 1e3:.0f} ms on {one} "
            f"([results/scaling](results/scaling/benchmark.md))"
        )
    gpu = _read("accelerator/benchmark.json")
    device = gpu and gpu["details"]["accelerator"]["device"]["device"]
    return line + (f"; one process on one {device}." if device else ".")


def results_page() -> str:
    """Return the text of results/README.md: all figures, and what made each."""
    return _results_page.page(ROOT / "results")


SECTIONS = {
    "tutorial": _tutorial,
    "claims": _claims,
    "benchmark": _benchmark,
    "cluster": _cluster,
    "sweep": _sweep,
}

if __name__ == "__main__":
    _cli.start(main, __doc__)
