"""Distillation of a teacher (any ASE calculator) into a student network: `mlff-student train`.

Labelling needs ASE and the teacher, fitting needs PyTorch; each is imported only when it is used.
"""


def __getattr__(name: str) -> object:
    if name == "command":
        from .command_line import command

        return command
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
