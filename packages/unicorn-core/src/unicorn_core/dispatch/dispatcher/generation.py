"""What the task workers of one generation run with."""

from collections.abc import Sequence

from unicorn_core.arbiter.generation import Generation
from unicorn_core.dispatch.worker.task_worker import TaskWorker
from unicorn_core.settings.registry import Settings
from unicorn_core.settings.task_apps import TaskApp
from unicorn_core.supervise.limits import Limits
from unicorn_core.supervise.rollout import Plan


class TaskGeneration(Generation, frozen=True):
    """See `Generation`: the same for the pool of task workers."""

    @classmethod
    def of_tasks(cls, settings: Settings) -> "TaskGeneration":
        """With these settings."""
        return cls(settings, TaskWorker)

    @property
    def apps(self) -> Sequence[TaskApp]:
        """The apps, as the settings name them."""
        apps: Sequence[TaskApp] = self.settings.dispatch_apps
        return apps

    @property
    def paths(self) -> frozenset[str]:
        """Their names, `module:Class`."""
        return frozenset(app.path for app in self.apps)

    @property
    def threads(self) -> int:
        """How many calls a task worker runs at a time."""
        return int(self.settings.dispatch_threads)

    @property
    def size(self) -> int:
        """How many task workers there are to begin with; not more than the apps ask for."""
        wanted = int(self.settings.dispatch_workers)
        limits = [app.workers for app in self.apps]
        return wanted if None in limits else min(wanted, sum(limit for limit in limits if limit))

    @property
    def preloads(self) -> bool:
        """Task workers are forked from the dispatcher itself."""
        return False

    @property
    def limits(self) -> Limits:
        """No heartbeats: how long a call may run is known better from the calls."""
        settings = self.settings
        boot = settings.dispatch_boot_timeout
        return Limits(
            boot=settings.dispatch_timeout if boot is None else boot,
            silence=0.0,
            graceful=settings.dispatch_graceful_timeout,
            boot_setting="dispatch_timeout" if boot is None else "dispatch_boot_timeout",
        )

    @property
    def plan(self) -> Plan:
        """How it takes the place of the one before it: all at once, when all are ready."""
        return Plan(self.size, self.limits)
