"""One HTML file with the verdicts and plots of a suite, which needs nothing beside it."""

from __future__ import annotations

import html
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..atomic_file import replaced_when_complete
from .criteria import (
    TEMPERATURE_TOLERANCE,
    Verdict,
    drift,
    drift_rate,
    fluctuation_exponent,
)
from .runs import Recording, Results
from .scripts import TEMPERATURE

#: Points that a curve is drawn with at most.
_POINTS = 800

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #ddd; vertical-align: top }
td.pass { color: #17692c } td.fail { color: #fff; background: #b3261e; font-weight: 600 } td.skipped { color: #777 }
small { color: #666; display: block } svg { max-width: 100%; height: auto }
code { background: #f3f3f3; padding: 0 .2rem }
"""


def write_report(file: Path, content: dict, results: list[Results], verdicts: list[Verdict]) -> None:
    """content: what verdicts.json holds. Raises OSError."""
    title = f"{content['potential']}, {content['precision']} precision"
    outcome = "no criterion failed" if content["passed"] else "FAILED"
    parts = [
        f"<!DOCTYPE html><html lang='en'><meta charset='utf-8'><title>NVE: {html.escape(title)}</title>",
        f"<style>{_STYLE}</style><h1>{html.escape(title)}: {outcome}</h1>",
        f"<p>{content['mode']} suite, suffix {content['suffix'] or 'none'}; content of the potential: "
        f"<code>{content['sha256']}</code></p>",
        _table(verdicts),
    ]
    for each in results:
        parts += _section(each, file.parent)
    with replaced_when_complete(file) as stream:
        stream.write("\n".join([*parts, "</html>\n"]))


def _table(verdicts: list[Verdict]) -> str:
    rows = ["<tr><th>structure<th>criterion<th>value<th>limit<th>verdict"]
    for row in verdicts:
        value = "" if row.value is None else f"{row.value:.3g}" + (f" ± {row.error:.1g}" if row.error else "")
        limit = "" if row.limit is None else f"{row.limit:.2g}"
        texts = [row.structure, row.criterion, f"{value} {row.unit}", limit]
        cells = "".join(f"<td>{html.escape(text)}" for text in texts)
        reason = f"<small>{html.escape(row.reason)}</small>"
        rows.append(f"<tr>{cells}<td class='{row.verdict}'>{row.verdict}{reason if row.reason else ''}")
    return "<table>" + "\n".join(rows) + "</table>"


def _section(results: Results, folder: Path) -> list[str]:
    structure = results.structure
    parts = [f"<h2>{html.escape(structure.name)}</h2>",
             f"<p>{len(structure.atoms)} atoms, {structure.degrees_of_freedom} degrees of freedom</p>"]  # fmt: skip
    for recording, name in ((results.long, "Long run"), (results.after_pressure, "Run after NPT")):
        if recording is not None:
            trajectory = (recording.folder / "trajectory.lammpstrj").relative_to(folder)
            parts += [f"<h3>{name}: {recording.length:g} ps in steps of {recording.timestep:g} fs</h3>",
                      figure(lambda axes, r=recording: draw_run(axes, r), 3, (8, 8)),
                      f"<p>Trajectory: <code>{html.escape(str(trajectory))}</code></p>"]  # fmt: skip
    if len(results.scaling) > 1:
        parts += ["<h3>Time step</h3>", figure(lambda axes: draw_scaling(axes, results), 2, (8, 6.5))]
    return parts


def figure(draw: Callable, panels: int, size: tuple[float, float]) -> str:
    """Inline SVG of a column of panels; draw(axes) fills them."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    drawing = Figure(figsize=size, layout="constrained")
    FigureCanvasSVG(drawing)
    draw(drawing.subplots(panels, 1))
    stream = io.StringIO()
    drawing.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    return text[text.index("<svg") :]


def draw_run(axes, run: Recording) -> None:
    """Energies, the shadow energy with its drift, and the temperature."""
    energies, shadow, temperature = axes
    kinetic = run.kinetic.mean()
    thin = {"linewidth": 0.7}
    lowest = run.potential.min()
    time = thinned(run.time)
    energies.plot(time, thinned(run.potential - lowest), label="potential", **thin)
    energies.plot(time, thinned(run.kinetic), label="kinetic", **thin)
    energies.plot(time, thinned(run.total - lowest), label="total", color="black")
    energies.set_ylabel("energy / eV")
    energies.legend(loc="upper right", ncols=3)
    draw_drift(shadow, run, kinetic)
    temperature.plot(time, thinned(run.temperature), color="tab:red", **thin)
    temperature.axhline(run.temperature.mean(), color="black", linestyle="dashed")
    temperature.axhspan(TEMPERATURE - TEMPERATURE_TOLERANCE, TEMPERATURE + TEMPERATURE_TOLERANCE, color="0.9")
    temperature.set_ylabel("temperature / K")
    temperature.set_xlabel("time / ps")
    for panel in (energies, shadow):
        panel.sharex(temperature)


def draw_drift(panel, run: Recording, kinetic: float) -> None:
    """Total and shadow energy against the kinetic one, with the line and a band of twice its error."""
    line = drift(run)
    time = thinned(run.shadow_time)
    percent = 100 / kinetic
    total = run.total - run.total.mean()
    panel.plot(thinned(run.time), percent * thinned(total), color="0.75", linewidth=0.5, label="total energy")
    panel.plot(time, percent * thinned(run.shadow - line.middle), color="black", linewidth=0.8, label="shadow energy")
    away = time - time.mean()
    panel.plot(time, percent * line.slope * away, color="tab:red", label="drift")
    low, high = (percent * (line.slope + sign * 2 * line.error) * away for sign in (-1, 1))
    panel.fill_between(time, low, high, color="tab:red", alpha=0.2, label="twice its error")
    panel.set_ylabel("deviation / %\nof the kinetic energy")
    panel.legend(ncols=2, fontsize="small")


def draw_scaling(axes, results: Results) -> None:
    """Fluctuation of total and shadow energy, and drift, against the time step."""
    fluctuation, rates = axes
    runs = sorted([*results.scaling, *([results.balance] if results.balance else [])], key=lambda r: r.timestep)
    steps = np.array([run.timestep for run in runs])
    kinetic = np.array([run.kinetic.mean() for run in runs])
    total = 100 * np.array([run.total.std() for run in runs]) / kinetic
    shadow = 100 * np.array([run.shadow.std() for run in runs]) / kinetic
    fluctuation.loglog(steps, total, "o-", label="total energy")
    fluctuation.loglog(steps, shadow, "s-", color="black", label="shadow energy")
    fluctuation.loglog(steps, total[-1] * (steps / steps[-1]) ** 2, ":", color="0.5", label="dt²")
    value, error = fluctuation_exponent(results.scaling)
    fluctuation.set_title(f"the total energy's exponent: {value:.2f} ± {error:.2f}", fontsize="medium")
    fluctuation.set_ylabel("standard deviation / %\nof the kinetic energy")
    fluctuation.legend()
    lines = [drift_rate(run, drift(run)) for run in runs]
    rates.errorbar(steps, [line.slope for line in lines], yerr=[2 * line.error for line in lines], fmt="o", capsize=4)
    rates.axhline(0, color="0.5", linewidth=0.8)
    rates.set_xscale("log")
    rates.set_yscale("symlog", linthresh=max(1e-6, min(2 * line.error for line in lines)))
    rates.set_ylabel("drift, twice its error /\nkT/ns per degree of freedom")
    rates.set_xlabel("time step / fs")


def thinned(values: np.ndarray) -> np.ndarray:
    """At most _POINTS of the values, evenly spaced."""
    return values[:: max(1, -(-len(values) // _POINTS))]
