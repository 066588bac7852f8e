"""The command `mlff-student train`."""

from __future__ import annotations

import dataclasses
import math
import time
from pathlib import Path

import click

from ..potential import PotentialError
from .config import Config, ConfigError, load_config


@click.command(name="train")
@click.argument("config_file", metavar="CONFIG.yaml", type=click.Path(dir_okay=False))
@click.option(
    "--label-only", is_flag=True, help="Make the labelled frames and stop (no PyTorch needed)."
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
@click.option("--time-limit", type=float, help="Stop after this many seconds, with a checkpoint.")
@click.option("--steps", type=int, help="Replaces training.steps.")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Replaces training.device."
)
@click.option(
    "--fusion",
    type=click.Choice(["auto", "none", "graph", "compile"]),
    help="Replaces training.fusion.",
)
@click.option("--quiet", is_flag=True, help="No progress bars.")
def command(
    config_file: str,
    label_only: bool,
    train_only: bool,
    export_only: bool,
    output: str | None,
    committee: int | None,
    restart: bool,
    time_limit: float | None,
    steps: int | None,
    device: str | None,
    fusion: str | None,
    quiet: bool,
) -> None:
    """Distil a teacher into a student: label frames, train, write the potential.

    A committee is written as NAME-1.yaml, NAME-2.yaml and so on. Labels that exist are used as they are; training continues from the run folder's checkpoint.
    """
    try:
        config = load_config(config_file)
        given = {"committee": committee, "steps": steps, "device": device, "fusion": fusion}
        config = _replace(config, **{k: v for k, v in given.items() if v is not None})
        if not (train_only or export_only):
            _label(config, progress=not quiet)
        if not label_only:
            folder = Path(output) if output else config.folder / "run"
            _train(config, folder, restart, 0.0 if export_only else time_limit, not quiet)
    except (ConfigError, PotentialError) as error:
        raise click.ClickException(str(error)) from None


def _replace(config: Config, **training: object) -> Config:
    return dataclasses.replace(config, training=dataclasses.replace(config.training, **training))


def _label(config: Config, progress: bool) -> None:
    if config.data_path.exists():
        click.echo(
            f"{config.data_path}: labelled frames are there already; delete it to label anew"
        )
        return
    try:
        from .label import label
    except ImportError as error:
        raise ConfigError(f"labelling needs the package {error.name}; install it") from None
    frames = label(config, progress)
    size = config.data_path.stat().st_size / 1e6
    click.echo(f"{config.data_path}: {len(frames)} frames, {size:.1f} MB")


def _train(
    config: Config, folder: Path, restart: bool, time_limit: float | None, progress: bool
) -> None:
    begin = time.monotonic()
    try:
        from .fit import Fit
    except ImportError as error:
        raise ConfigError(f"training needs the package {error.name}; pip install torch") from None
    fit = Fit(config, folder, restart)
    if time_limit == 0.0:
        fit.save()
        finished = True
    else:
        left = math.inf if time_limit is None else time_limit - (time.monotonic() - begin)
        finished = fit.run(left, progress)
    if fit.history:
        last = fit.history[-1]
        click.echo(
            f"step {fit.done}: validation energy {last['energy_mae_meV_per_atom']:.2f} meV/atom, "
            f"forces {last['force_mae_meV_per_A']:.1f} meV/Angstrom (mean absolute errors)"
        )
    click.echo(
        f"{folder}: {'done' if finished else 'stopped by --time-limit; call again to go on'}"
    )
