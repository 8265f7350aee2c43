"""An upgrade has one heir at a time, and the old master stops only when the new one serves."""

from unicorn_core.supervise.upgrade import Stage, Upgrade


def test_in_auto_mode_the_old_master_stops_once_the_new_one_serves() -> None:
    upgrade = Upgrade()
    upgrade.started(100, auto=True)
    assert upgrade.under_way
    assert upgrade.ready()


def test_in_manual_mode_nobody_stops_by_himself() -> None:
    upgrade = Upgrade()
    upgrade.started(100, auto=False)
    assert not upgrade.ready()
    assert upgrade.stage is Stage.SERVING


def test_the_heir_s_end_is_told_with_its_stage_and_makes_room_for_another() -> None:
    upgrade = Upgrade()
    upgrade.started(100, auto=True)
    assert upgrade.exited(99) is Stage.NONE
    assert upgrade.exited(100) is Stage.BOOTING
    assert not upgrade.under_way
    upgrade.started(101, auto=False)
    upgrade.ready()
    assert upgrade.exited(101) is Stage.SERVING


def test_ready_twice_or_without_an_heir_means_nothing() -> None:
    upgrade = Upgrade()
    assert not upgrade.ready()
    upgrade.started(100, auto=True)
    assert upgrade.ready()
    assert not upgrade.ready()
