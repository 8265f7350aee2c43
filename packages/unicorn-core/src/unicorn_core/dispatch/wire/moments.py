"""Times of day and points in time as plain values, with their time zones.

A zone of `zoneinfo` keeps its name. Of any other kind of zone only the offset is kept that it has at that moment.
"""

import sys
from datetime import datetime, time, timedelta, timezone, tzinfo
from typing import Any

from unicorn_core.dispatch.errors import NotSerializable

_MICROSECOND = timedelta(microseconds=1)

Plain = list[Any]


def from_moment(value: datetime | time) -> Plain:
    """A datetime or time as its naive form, fold, and zone."""
    return [value.replace(tzinfo=None).isoformat(), value.fold, _from_zone(value)]


def to_datetime(data: Plain) -> datetime:
    """A datetime as it was."""
    text, fold, zone = data
    return datetime.fromisoformat(text).replace(tzinfo=_to_zone(zone), fold=fold)


def to_time(data: Plain) -> time:
    """A time as it was."""
    text, fold, zone = data
    return time.fromisoformat(text).replace(tzinfo=_to_zone(zone), fold=fold)


def _from_zone(value: datetime | time) -> Any:
    """Nothing, the name of a zone, or an offset in microseconds with its name, if it has one of its own."""
    zone: Any = value.tzinfo
    zoneinfo = sys.modules.get("zoneinfo")
    if zoneinfo is not None and type(zone) is zoneinfo.ZoneInfo and zone.key is not None:
        return zone.key
    offset = value.utcoffset()
    if zone is None or offset is None:
        return None
    name = zone.tzname(None) if type(zone) is timezone else None
    return [offset // _MICROSECOND, name if name != timezone(offset).tzname(None) else None]


def _to_zone(data: Any) -> tzinfo | None:
    if data is None:
        return None
    if isinstance(data, str):
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        try:
            return ZoneInfo(data)
        except ZoneInfoNotFoundError:
            raise NotSerializable(f"the time zone {data} is not known here; is tzdata installed?") from None
    microseconds, name = data
    offset = microseconds * _MICROSECOND
    if name is not None:
        return timezone(offset, name)
    return timezone(offset)
