"""Checkpoints of other codes into potential files, without running anything that a checkpoint holds."""


class CheckpointError(Exception):
    """A checkpoint that cannot be read or converted; the text reads "FILE: PLACE: reason"."""
