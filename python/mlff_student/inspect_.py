"""mlff-student inspect: what is in a potential file, for people."""

from typing import Any

import click

from .lammps_session import find_potential
from .potential import Potential, PotentialError
from .units import lammps_units


@click.command("inspect")
@click.argument("file")
def command(file: str) -> None:
    """Show what the potential FILE holds. Fails if the file is damaged.

    FILE is a path, or the name of a potential that ships.
    """
    try:
        potential = Potential.read(find_potential(file))
    except PotentialError as error:
        raise click.ClickException(str(error)) from None
    width = max(len(key) for key, _ in rows(potential))
    for key, text in rows(potential):
        click.echo(f"{key:<{width}}  {text}")


def rows(p: Potential) -> list[tuple[str, str]]:
    """Pairs of heading and text."""
    units = lammps_units(p.energy_unit, p.length_unit)
    parameters = sum(t.size for name, t in p.tensors.items() if not name.startswith("radial."))
    numbers = {"float32": "single precision", "float64": "double precision"}
    kinds = sorted({numbers[tensor.dtype.name] for tensor in p.tensors.values()}, reverse=True)
    width = [p.channels] + [
        tensor.shape[0]
        for name, tensor in p.tensors.items()
        if name.startswith("out.") and name.endswith(".weight")
    ]
    shared = [name for name in ("interactions", "filters") if getattr(p, f"shared_{name}")]
    result = [
        ("file", p.file),
        ("architecture", p.architecture + (f", shared {' and '.join(shared)}" if shared else "")),
        ("channels", f"{p.channels}"),
        ("layers", f"{p.layers}"),
        ("radial functions", f"{p.number_of_radial_functions} {p.radial_functions}"),
        ("cutoff", f"{p.cutoff:g} {p.length_unit}, {p.cutoff_function}"),
        ("read-out", " - ".join(map(str, width)) + f", {p.activation}"),
        ("parameters", f"{parameters:,} in {len(p.tensors)} tensors, {' and '.join(kinds)}"),
        ("elements", " ".join(p.elements)),
        ("atomic energies", _atomic_energies(p)),
        ("units", f"{p.energy_unit}, {p.length_unit} (LAMMPS units {units})"),
        ("made", f"{p.date} by {p.contributor}; citation: {p.citation}"),
        ("sha256", f"{p.sha256} (matches the content)"),
        ("check structure", f"{len(p.check.elements)} atoms, {p.check.energy:.6f} {p.energy_unit}"),
    ]
    for key, value in _flatten("", p.provenance):
        result.append((f"provenance: {key}", value))
    if p.architecture == "mlff-distiller":
        result.append(
            ("warning", "the energy jumps at the cutoff and depends on the orientation; "
             "mlff-student check measures both")
        )  # fmt: skip
    return result


def _atomic_energies(p: Potential) -> str:
    energies = p.tensor("atomic_energies")
    if not energies.any():
        return "none"
    terms = (f"{symbol} {energy:.6f}" for symbol, energy in zip(p.elements, energies))
    return ", ".join(terms) + f" {p.energy_unit}"


def _flatten(prefix: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [
            row for key, v in value.items() for row in _flatten(f"{prefix}.{key}".lstrip("."), v)
        ]
    return [(prefix, ", ".join(map(str, value)) if isinstance(value, list) else str(value))]
