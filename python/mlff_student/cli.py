"""The command mlff-student. Each subcommand's module is imported only when it is used."""

import importlib

import click

from . import __version__

#: Name -> module:function, and the line of help that the list of commands shows.
COMMANDS = {
    "convert": ("mlff_student.convert.command:command", "Make a potential file of a checkpoint."),
    "inspect": ("mlff_student.inspect_:command", "Show what a potential file holds."),
    "check": ("mlff_student.check:command", "Test a potential: forces, jumps, orientation."),
    "eval": ("mlff_student.evaluate:command", "Energies, forces and stress of structures."),
    "nve": ("mlff_student.nve.command:command", "Is energy conserved? Simulations and verdicts."),
    "train": ("mlff_student.train:command", "Train a student on a teacher's labels."),
    "active": (
        "mlff_student.train.command_line:active_command",
        "Improve a committee by active learning.",
    ),
}


class LazyGroup(click.Group):
    """A group whose commands live in other modules."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, _, function = COMMANDS[name][0].partition(":")
        try:
            return getattr(importlib.import_module(module), function)
        except ModuleNotFoundError as error:
            raise click.ClickException(
                f"{name} needs the Python package {error.name}, which is not installed"
            ) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mlff-student")
def main() -> None:
    """Student networks as force fields for LAMMPS: convert, inspect, test, train."""
