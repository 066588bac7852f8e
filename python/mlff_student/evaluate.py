"""mlff-student eval: energies, atomic energies, forces and stress of the frames of a file."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ase.io
import click
from ase import Atoms
from ase.io.formats import UnknownFileTypeError, filetype
from tqdm import tqdm

from .ase import evaluate, results_for
from .atomic_file import replaced_when_complete
from .extxyz import count_frames, write_frame
from .lammps_box import StructureError
from .lammps_session import FILTERS, PRECISIONS, LammpsError, Session
from .potential import PotentialError


class FrameError(Exception):
    """A frame that cannot be read or evaluated; the text reads "FILE: frame N: reason"."""


def evaluate_file(
    session: Session, source: str | Path, target: str | Path, progress: bool = False
) -> int:
    """Evaluates the frames of `source` one by one into the extended XYZ file `target`; returns their number.

    source: whatever ASE reads. target: each frame with its own arrays and info, and energy (eV), energies
    (per atom), forces (eV/Angstrom) and, where it is periodic, stress (3 x 3, eV/Angstrom^3). It appears
    when all frames are done, or not at all. Raises FrameError, and OSError if it cannot be written.
    """
    frames = 0
    with replaced_when_complete(Path(target)) as stream:
        bar = tqdm(
            read_frames(source),
            total=count_frames(source),
            unit="frame",
            disable=None if progress else True,
        )
        for atoms in bar:
            frames += 1
            try:
                results = results_for(atoms, evaluate(session, atoms))
            except (StructureError, LammpsError) as error:
                bar.close()
                raise FrameError(f"{source}: frame {frames}: {error}") from None
            results = {key: results[key] for key in _WRITTEN if key in results}
            write_frame(stream, atoms, results)
    return frames


_WRITTEN = ("energy", "energies", "forces", "stress")


def read_frames(source: str | Path) -> Iterator[Atoms]:
    """The frames of a file, one at a time. Raises FrameError where ASE cannot read one.

    Before the first frame the reason may be that ASE takes the file for another format; then it says so.
    """
    frames = 0
    try:
        for atoms in ase.io.iread(str(source), index=":"):
            frames += 1
            yield atoms
    except UnknownFileTypeError as error:
        raise FrameError(
            f"{source}: cannot be read: ASE does not recognise its format ({error}); {_ALWAYS_WORKS}"
        ) from None
    except Exception as error:  # each of ASE's readers raises what it likes
        hint = "" if frames else _guess(source)
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise FrameError(f"{source}: frame {frames + 1}: cannot be read: {reason}{hint}") from None
    if frames == 0:
        raise FrameError(f"{source}: there is no frame in it{_guess(source)}")


_ALWAYS_WORKS = "convert it to extended XYZ (FILE.xyz), which always works"


def _guess(source: str | Path) -> str:
    """What format ASE guessed, and what to do if it guessed wrong."""
    name = filetype(str(source))
    if name == "extxyz":
        return "; it was read as extended XYZ, where a frame begins with a line that holds its number of atoms"
    return f"; ASE took its format for {name}: if it is not, {_ALWAYS_WORKS}"


@contextmanager
def warnings_to_terminal() -> Iterator[None]:
    """Shows each warning once, as a line of its own on standard error."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = lambda message, *_: click.echo(f"warning: {message}", err=True)
        yield


@click.command("eval")
@click.argument("file", metavar="FILE.yaml")
@click.argument("source", metavar="IN.xyz", type=click.Path(exists=True, dir_okay=False))
@click.option("-o", "--output", metavar="OUT.xyz", required=True, type=click.Path(dir_okay=False))
@click.option(
    "--precision", type=click.Choice(PRECISIONS), default="double", show_default=True,
    help="Of the network's arithmetic.",
)  # fmt: skip
@click.option(
    "--filters", type=click.Choice(FILTERS), help="Default: exact in double precision, else spline."
)
@click.option(
    "--threads", type=click.IntRange(min=1), help="OpenMP threads [OMP_NUM_THREADS, else 1]."
)
def command(
    file: str, source: str, output: str, precision: str, filters: str | None, threads: int | None
):
    """Evaluate the potential FILE.yaml for the frames of IN.xyz.

    OUT.xyz (extended XYZ) gets each frame with energy (eV), energies (of the atoms), forces (eV/Angstrom)
    and, for periodic frames, stress (eV/Angstrom^3, positive under tension), in place of results that IN.xyz
    may hold. IN.xyz may be in any format that ASE reads. Frames may be periodic in any direction, with cells
    of any shape. Computed by the C++ code, through LAMMPS.
    """
    try:
        with warnings_to_terminal():
            with Session(file, precision, filters, threads) as session:
                frames = evaluate_file(session, source, output, progress=True)
    except OSError as error:
        raise click.ClickException(f"{output}: cannot be written: {error.strerror}") from None
    except (PotentialError, LammpsError, FrameError) as error:
        raise click.ClickException(f"{error}") from None
    click.echo(f"{output}: {frames} frame{'s' if frames != 1 else ''}, {precision} precision")
