"""Checkpoints of other codes into potential files, without running what they hold."""


class CheckpointError(Exception):
    """A checkpoint that cannot be read or converted; the text reads "FILE: PLACE: reason"."""
