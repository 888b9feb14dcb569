"""What a placement that cannot work raises."""


class PlacementError(ValueError):
    """A ``whiten_at`` or ``whiten_cfg`` that cannot work.

    The message is one line that begins with which of the two it is.
    """


def listed(names: list[str]) -> str:
    return f'the norms are {", ".join(names)}' if names else 'there are none'
