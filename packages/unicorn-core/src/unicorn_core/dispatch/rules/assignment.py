"""Which slots of the pool of task workers hold which apps.

An app without a limit is held by all. One with a limit is held by so many slots, those that have the fewest limited
apps, so that large models do not all end in the first worker. A slot that would hold nothing is not wanted.
"""

from collections.abc import Mapping, Sequence


def assign(limits: Mapping[str, int | None], slots: int, held: Sequence[tuple[str, ...]] = ()) -> list[tuple[str, ...]]:
    """The apps of each slot, at most `slots` of them.

    Args:
        limits: by how many workers each app shall be held; None: by all.
        held: what the slots there are hold already, and keep.
    """
    shares: list[list[str]] = [list(apps) for apps in held[:slots]]
    shares += [[] for _ in range(slots - len(shares))]
    fresh = range(min(len(held), slots), slots)
    limited = [sum(limits.get(app) is not None for app in share) for share in shares]
    for app, limit in limits.items():
        if limit is None:
            chosen = list(fresh)
        else:
            lacking = max(0, limit - sum(app in share for share in shares))
            chosen = sorted(sorted(fresh, key=lambda slot: limited[slot])[:lacking])
            for slot in chosen:
                limited[slot] += 1
        for slot in chosen:
            shares[slot].append(app)
    while shares and not shares[-1] and len(shares) > len(held[:slots]):
        shares.pop()
    return [tuple(share) for share in shares]


def least(held: Sequence[tuple[str, ...]], limits: Mapping[str, int | None]) -> int:
    """How many of the slots must stay, so that every app keeps the workers that it needs; at least 1.

    The highest slots leave first.
    """
    needed = [index + 1 for index, apps in enumerate(held) if any(limits.get(app) is not None for app in apps)]
    return max(needed, default=1)
