"""Which calls a task worker has begun, in two numbers of shared memory: there it is still known when it has died.

Calls have places in the order in which they came. The first number is the highest place that was taken. Those before it
have been begun as well, but for some that were passed over, since a list of calls is gathered from behind them. The
second number has a bit for each of these.
"""

WINDOW = 53
"""Places among which some may be passed over: the numbers are doubles, which hold so many bits."""


def bit(place: int) -> int:
    """What stands for a place in the second number."""
    return 1 << place % WINDOW


def begun(place: int, highest: int, passed: int) -> bool:
    """Whether the call with this place was taken."""
    return place <= highest and not (highest - place < WINDOW and passed & bit(place))
