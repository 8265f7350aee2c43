"""When a worker that works well is replaced all the same: after so much memory, or so long a life."""

GOLDEN = 0.6180339887498949


def spread(number: int) -> float:
    """A share from 0 up to 1 for each number, such that those of successive numbers lie far apart.

    Multiples of the golden ratio, without their whole part: chance would put some workers' ends side by side.
    """
    return number * GOLDEN % 1.0
