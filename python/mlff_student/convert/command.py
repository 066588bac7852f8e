"""mlff-student convert: a checkpoint of another code becomes a potential file."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import click

from ..potential import Potential, PotentialError, expected_shapes
from ..reference import make_check
from ..units import ATOMIC_NUMBERS, ENERGY_UNITS, LENGTH_UNITS
from . import CheckpointError, distiller, schnetpack, torch_file


def convert(
    checkpoint: str | Path,
    elements: Sequence[str] | None = None,
    energy_unit: str | None = None,
    length_unit: str | None = None,
) -> tuple[Potential, list[str]]:
    """The potential that a checkpoint holds, with its check structure, and remarks for the user.

    checkpoint: SchNetPack 2 `best_model`, MLFF-Distiller `.pt` or `.onnx`. elements: chemical
    symbols; None: those that the checkpoint shows. Raises CheckpointError or PotentialError.
    Nothing that the checkpoint holds is executed.
    """
    path = Path(checkpoint)
    for symbol in elements or ():
        if symbol not in ATOMIC_NUMBERS:
            raise CheckpointError(f"{path}: --elements: {symbol!r} is not a chemical symbol")
    try:
        if path.suffix == ".onnx":
            _fixed_units(energy_unit, length_unit)
            potential, remarks = distiller.from_onnx(path, elements)
        else:
            file = torch_file.read(path)
            if schnetpack.is_schnetpack(file.root):
                potential, remarks = schnetpack.convert(file, elements, energy_unit, length_unit)
            elif distiller.is_distiller(file.root):
                _fixed_units(energy_unit, length_unit)
                potential, remarks = distiller.from_checkpoint(file, elements)
            else:
                raise CheckpointError(_unknown(file.root))
    except CheckpointError as error:
        text = str(error)
        raise CheckpointError(text if text.startswith(f"{path}:") else f"{path}: {text}") from None
    potential.file = str(path)
    order = [*dict(expected_shapes(potential)), *potential.tensors]
    potential.tensors = {
        n: potential.tensors[n] for n in dict.fromkeys(order) if n in potential.tensors
    }
    potential.provenance["checkpoint_file"] = path.name
    potential.provenance["checkpoint_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    potential.validate()
    potential.check = make_check(potential)
    return potential, remarks


def _fixed_units(energy_unit: str | None, length_unit: str | None) -> None:
    if energy_unit not in (None, "eV") or length_unit not in (None, "Angstrom"):
        raise CheckpointError(
            "MLFF-Distiller students are in eV and Angstrom; leave out the unit options"
        )


def _unknown(root: object) -> str:
    if isinstance(root, dict):
        keys = ", ".join(map(str, list(root)[:8]))
        hint = (
            "; of a Lightning checkpoint, take best_model"
            if "pytorch-lightning_version" in root
            else ""
        )
        return f"a dictionary with {keys}, but no model_state_dict{hint}"
    what = getattr(root, "cls", type(root).__name__)
    return f"{what}: neither a SchNetPack 2 model nor an MLFF-Distiller checkpoint"


class _Elements(click.Command):
    """Lets `--elements H C N O` take several words, as chemists write them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        spread, rest = [], list(args)
        while rest:
            if rest[0] != "--elements":
                spread.append(rest.pop(0))
                continue
            rest.pop(0)
            symbols = []
            while rest and all(
                word in ATOMIC_NUMBERS for word in rest[0].replace(",", " ").split()
            ):
                symbols += rest.pop(0).replace(",", " ").split()
            if not symbols:
                given = rest[0] if rest else "nothing"
                raise click.UsageError(f"--elements: chemical symbols expected, {given} given", ctx)
            for symbol in symbols:
                spread += ["--elements", symbol]
        return super().parse_args(ctx, spread)


@click.command("convert", cls=_Elements)
@click.argument("checkpoint", type=click.Path(exists=True, dir_okay=False))
@click.option("-o", "--output", required=True, metavar="FILE.yaml", help="Potential file to write.")
@click.option(
    "--elements", multiple=True, metavar="H C N O", help="Elements that the model was trained for."
)
@click.option(
    "--energy-unit", type=click.Choice(list(ENERGY_UNITS)), help="Unit of the model's energies."
)
@click.option(
    "--length-unit", type=click.Choice(list(LENGTH_UNITS)), help="Unit of the model's lengths."
)
@click.option("--contributor", default="unknown", help="Name in the file's first line.")
@click.option("--citation", default="none", help="Citation in the file's first line.")
@click.option(
    "-p", "--provenance", multiple=True, metavar="KEY=TEXT",
    help="Entry of the provenance, for instance teacher=..., data=..., licence=...",
)  # fmt: skip
def command(
    checkpoint, output, elements, energy_unit, length_unit, contributor, citation, provenance
):
    """Convert CHECKPOINT into a potential file.

    CHECKPOINT: a PaiNN model of SchNetPack 2 (best_model), or an MLFF-Distiller student (.pt with
    model_state_dict, or .onnx). Neither PyTorch nor the code that made it is needed, and nothing in
    it is executed. Whatever the potential file cannot express is refused by name.
    """
    try:
        potential, remarks = convert(checkpoint, elements, energy_unit, length_unit)
        for entry in provenance:
            key, equals, text = entry.partition("=")
            if not equals or not key:
                raise click.UsageError(f"--provenance: {entry!r} given, KEY=TEXT expected")
            potential.provenance[key] = text
        potential.contributor, potential.citation = contributor, citation
        potential.write(output)
    except (CheckpointError, PotentialError) as error:
        raise click.ClickException(str(error)) from None
    for remark in remarks:
        click.echo(f"note: {remark}")
    click.echo(
        f"{output}: {potential.architecture}, {potential.channels} channels, "
        f"{potential.layers} layers, elements {' '.join(potential.elements)}, "
        f"cutoff {potential.cutoff:g} {potential.length_unit}, energies in {potential.energy_unit}"
    )
