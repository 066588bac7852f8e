"""The commands `mlff-student train` and `mlff-student active`."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ..potential import PotentialError
from .config import DEVICES, FUSIONS, Config, ConfigError, load_config


def _shared_options(command: Callable) -> Callable:
    """The last options of both commands."""
    for option in (
        click.option("--quiet", is_flag=True, help="No progress bars."),
        click.option("--fusion", type=click.Choice(FUSIONS), help="Replaces training.fusion."),
        click.option("--device", type=click.Choice(DEVICES), help="Replaces training.device."),
    ):
        command = option(command)
    return command


_time_limit = click.option(
    "--time-limit", default=math.inf, help="Stop after this many seconds; call again to go on."
)


@click.command(name="train")
@click.argument("config_file", metavar="CONFIG.yaml", type=click.Path(dir_okay=False))
@click.option(
    "--label-only", is_flag=True, help="Make the labelled frames and stop (no PyTorch needed)."
)
@click.option(
    "--prepare-only", is_flag=True, help="Make the structures that need no teacher and stop."
)
@click.option(
    "--collect-only", is_flag=True, help="Store the pieces of the labelling that are there and stop."
)
@click.option("--train-only", is_flag=True, help="Use the labelled frames that are there.")
@click.option(
    "--export-only", is_flag=True, help="Write the potential and plot of the last checkpoint."
)
@click.option(
    "--output", "-o", type=click.Path(file_okay=False), help="Run folder [CONFIG's folder/run]."
)
@click.option("--committee", type=click.IntRange(min=1), help="Replaces training.committee.")
@click.option("--restart", is_flag=True, help="Ignore the checkpoint in the run folder.")
@_time_limit
@click.option("--jobs", type=click.IntRange(1), default=1, help="Processes that label [1].")
@click.option("--steps", type=click.IntRange(min=1), help="Replaces training.steps.")
@_shared_options
def command(
    config_file: str,
    label_only: bool,
    prepare_only: bool,
    collect_only: bool,
    train_only: bool,
    export_only: bool,
    output: str | None,
    committee: int | None,
    restart: bool,
    time_limit: float,
    jobs: int,
    steps: int | None,
    device: str | None,
    fusion: str | None,
    quiet: bool,
) -> None:
    """Distil a teacher into a student: label frames, train, write the potential.

    A committee is written as NAME-1.yaml, NAME-2.yaml and so on. Labels that exist are used as they
    are; training continues from the run folder's checkpoint.
    """
    try:
        config = load_config(config_file)
        given = {"committee": committee, "steps": steps, "device": device, "fusion": fusion}
        config = _replace(config, "training", given)
        if not (train_only or export_only):
            begin = time.monotonic()
            only = "prepare" if prepare_only else "collect" if collect_only else ""
            if not _label(config, not quiet, jobs, time_limit, only) or only:
                return
            time_limit = max(1.0, time_limit - (time.monotonic() - begin))
        if not label_only:
            folder = Path(output) if output else config.folder / "run"
            _train(config, folder, restart, export_only, time_limit, not quiet)
    except (ConfigError, PotentialError) as error:
        raise click.ClickException(str(error)) from None


@click.command(name="active")
@click.argument("config_file", metavar="CONFIG.yaml", type=click.Path(dir_okay=False))
@click.option(
    "--output", "-o", type=click.Path(file_okay=False), help="Run folder [CONFIG's folder/active]."
)
@click.option("--jobs", "-j", type=click.IntRange(min=1), help="Processes that label [all cores].")
@click.option("--rounds", type=click.IntRange(min=1), help="Replaces active.rounds.")
@click.option(
    "--steps", type=click.IntRange(min=1), help="Replaces training.steps, before the first round."
)
@click.option("--round-steps", type=click.IntRange(min=1), help="Replaces active.steps.")
@_time_limit
@_shared_options
def active_command(
    config_file: str,
    output: str | None,
    jobs: int | None,
    rounds: int | None,
    steps: int | None,
    round_steps: int | None,
    time_limit: float,
    device: str | None,
    fusion: str | None,
    quiet: bool,
) -> None:
    """Let a committee find structures it does not know, label them and train on them, in rounds.

    Trains the committee first if the run folder has none. Finished stages are not repeated.
    """
    begin = time.monotonic()
    try:
        config = load_config(config_file)
        config = _replace(config, "training", {"steps": steps, "device": device, "fusion": fusion})
        config = _replace(config, "active", {"rounds": rounds, "steps": round_steps})
        try:
            from .active import Run, run
        except ImportError as error:
            reason = f"active learning needs the package {error.name}; install it"
            raise ConfigError(reason) from None
        folder = Path(output) if output else config.folder / "active"
        jobs = jobs or os.cpu_count() or 1
        finished = run(Run(config, folder, jobs, begin + time_limit, not quiet))
    except (ConfigError, PotentialError) as error:
        raise click.ClickException(str(error)) from None
    _say_whether_done(folder, finished)


def _replace(config: Config, name: str, options: dict[str, Any]) -> Config:
    """The configuration with those options in the section `name` that were given."""
    given = {key: value for key, value in options.items() if value is not None}
    section = dataclasses.replace(getattr(config, name), **given)
    return dataclasses.replace(config, **{name: section})


def _say_whether_done(folder: Path, finished: bool) -> None:
    done = "done" if finished else "stopped by --time-limit; call again to go on"
    click.echo(f"{folder}: {done}")


def _label(config: Config, progress: bool, jobs: int, time_limit: float, only: str) -> bool:
    """Whether the labelled frames are there; `only` one step of it: "prepare" or "collect"."""
    if config.data_path.exists():
        click.echo(
            f"{config.data_path}: labelled frames are there already; delete it to label anew"
        )
        return True
    try:
        from .label import finished, label, parts_folder, prepare, starts_path
    except ImportError as error:
        raise ConfigError(f"labelling needs the package {error.name}; install it") from None
    if only == "prepare":
        prepare(config, progress, jobs)
        click.echo(f"{starts_path(config)}: structures to start from")
        return False
    frames = label(config, progress, jobs, time_limit, collect_only=only == "collect")
    if frames is None:
        done = len(finished(parts_folder(config)))
        click.echo(f"{parts_folder(config)}: {done} pieces; stopped by --time-limit, call again")
        return False
    size = config.data_path.stat().st_size / 1e6
    click.echo(f"{config.data_path}: {len(frames)} frames, {size:.1f} MB")
    return True


def _train(
    config: Config,
    folder: Path,
    restart: bool,
    export_only: bool,
    time_limit: float,
    progress: bool,
) -> None:
    begin = time.monotonic()
    try:
        from .fit import CHECKPOINT, Fit
    except ImportError as error:
        raise ConfigError(f"training needs the package {error.name}; pip install torch") from None
    if export_only and restart:
        raise ConfigError("--restart ignores the checkpoint that --export-only exports; give one of them")
    if export_only and not (folder / CHECKPOINT).exists():
        raise ConfigError(
            f"{folder}: has no {CHECKPOINT} to export; train first, or name the folder of the run with --output"
        )
    fit = Fit(config, folder, restart)
    if export_only and not fit.history:
        raise ConfigError(
            f"{fit.checkpoint}: step {fit.done}, and no evaluation has been made yet; "
            f"train to step {config.training.evaluate_every}, the first that is evaluated"
        )
    if export_only:
        fit.save()
        finished = True
    else:
        finished = fit.run(time_limit - (time.monotonic() - begin), progress)
    if fit.history:
        last = fit.history[-1]
        click.echo(
            f"step {fit.done}: validation energy {last['energy_mae_meV_per_atom']:.2f} meV/atom, "
            f"forces {last['force_mae_meV_per_A']:.1f} meV/Angstrom (mean absolute errors)"
        )
    _say_whether_done(folder, finished)
