"""When enough is known of a module that came, or of something that does not fit, to tell it.

What is still open after SETTLE is settled with what is known then; the trace may speak until that.
"""

from dataclasses import replace

from kmodmon.kernel.modules import ModuleState
from kmodmon.lifecycle.books import LIST, Books
from kmodmon.lifecycle.inventory import Loaded, Module, build_of
from kmodmon.lifecycle.module_events import (
    UNKNOWN_REASON,
)
from kmodmon.lifecycle.pending import (
    INIT_USEC,
    LEFT,
    NEVER_LISTED,
    NEVER_TRACED,
    REMADE,
    SETTLE_USEC,
    Discrepancy,
    PendingLoad,
    RecentUnload,
)
from kmodmon.lifecycle.signals import TraceEntry
from kmodmon.types.units import Instant


class Settling(Books):
    """The books, and how what is open in them is closed."""

    def decide(self, name: str) -> None:
        """Tell a module that came, as soon as enough is known of it."""
        coming = self.comings[name]
        state = None if coming.module is None else coming.module.state
        live = state is ModuleState.LIVE
        late = state is ModuleState.COMING and self._waited(coming.since) >= INIT_USEC
        if coming.before_start and live:
            self.begin(name)
        elif coming.load is not None:
            # A look that began after the load shows that life, and not the one before it.
            fresh = coming.last_at is not None and coming.last_at.monotonic_usec > coming.load.monotonic_usec
            if (live and (coming.ret is not None or fresh)) or late:
                self.begin(name)
        elif self._patient and not late:
            return
        elif live or late:
            self.begin(name)
        elif coming.module is None and coming.last is not None:
            self._vanished(name, coming, coming.last)

    def settle(self) -> None:
        """Time has passed: what is still open is settled with what is known."""
        for name, coming in tuple(self.comings.items()):
            if self._age(coming.since) >= SETTLE_USEC:
                self._settle_coming(name, coming)
        for name, doubt in tuple(self.doubts.items()):
            if not doubt.said and self._age(doubt.since) >= SETTLE_USEC:
                self._settle_doubt(name, doubt)
        for name, over in tuple(self.over.items()):
            module = self.modules.get(name)
            shown = module is not None and module.state is not ModuleState.GOING  # the next look at the list tells why
            if self._age(over.since) >= 2 * SETTLE_USEC and not shown:
                del self.over[name]

    def trace_lost(self) -> None:
        """Trace events were lost, or there is no trace any more: the list decides about all that waited for it."""
        self.life = replace(self.life, trace_since=None, trace_intact=None)
        for name in tuple(self.comings):
            self.decide(name)
        for name, doubt in tuple(self.doubts.items()):
            if not doubt.said:
                self._settle_doubt(name, doubt)

    def blind(self) -> None:
        """Of what is open now, the trace may have lost the end."""
        for name, coming in self.comings.items():
            self.comings[name] = replace(coming, blind=True)

    def _settle_coming(self, name: str, coming: PendingLoad) -> None:
        if coming.load is not None:
            self._settle_traced(name, coming, coming.load)
        elif coming.module is None:
            self._settle_unlisted(name, coming)
        elif coming.module.state is ModuleState.LIVE:
            unseen = coming.absent_at is not None and self._is_whole_since(coming.absent_at)
            if not unseen or self._is_confirmed(coming.since):
                self.begin(name)
                if unseen:
                    self.contradict(name, NEVER_TRACED, ())
        else:
            self.decide(name)

    def _settle_traced(self, name: str, coming: PendingLoad, load: TraceEntry) -> None:
        moment = self._moment(load)
        begun = coming.ret is not None or coming.added is not None or self._age(coming.since) >= INIT_USEC
        if coming.module is not None:
            self.decide(name)
        elif not self._listed_since(moment):
            if begun:
                self.begin(name)  # the list cannot be read
        elif self._is_confirmed(moment):
            self.begin(name)
            if coming.blind:
                self.end(name, self.at, None, (LIST,))
            else:
                self._doubt(name, NEVER_LISTED)

    def _settle_unlisted(self, name: str, coming: PendingLoad) -> None:
        if coming.last is not None:
            self._vanished(name, coming, coming.last)
        elif self.life.trace_since is not None:
            del self.comings[name]  # a uevent that was heard late: the trace has told all there is to tell
        elif coming.removed is not None:
            self.came_and_went(name)
        elif self._age(coming.since) >= 2 * SETTLE_USEC and self._listed_since(coming.since):
            del self.comings[name]
            self.contradict(name, NEVER_LISTED, ("an add uevent, and neither a remove uevent nor a listing",))

    def _settle_doubt(self, name: str, doubt: Discrepancy) -> None:
        told = self.loaded.get(name)
        if told is None:
            del self.doubts[name]
        elif self._was_watched(told, doubt):
            if self._is_confirmed(doubt.since):
                self._settle_contradiction(name, told, doubt)
        else:
            del self.doubts[name]
            module = self.modules.get(name)
            if doubt.kind == LEFT:
                self.end(name, doubt.since, None, (LIST,), while_down=doubt.while_down)
            elif doubt.kind == REMADE and module is not None:
                self._reloaded(name, module, doubt.since, while_down=doubt.while_down)

    def _settle_contradiction(self, name: str, told: Loaded, doubt: Discrepancy) -> None:
        self.contradict(name, doubt.kind, ())
        module = self.modules.get(name)
        if doubt.kind == REMADE and module is not None:
            del self.doubts[name]
            self.loaded[name] = replace(told, build=build_of(module))
        else:
            self.doubts[name] = replace(doubt, said=True)

    def _vanished(self, name: str, coming: PendingLoad, last: Module) -> None:
        """It was listed, is not any more, and no other witness told of its end."""
        if last.state is ModuleState.LIVE or coming.added is not None:
            self.begin(name)
            self.end(name, self.at, None, (LIST,))
        elif self.life.trace_since is not None:
            del self.comings[name]  # refused before its trace event (a bad parameter): the log tells of it
        else:
            self.fail(name, UNKNOWN_REASON, None)

    def _reloaded(self, name: str, module: Module, at: Instant, *, while_down: bool) -> None:
        evidence = (LIST, "its directory in /sys/module is another one")
        self.end(name, at, None, evidence, while_down=while_down)
        self.open(name, PendingLoad(since=at, module=module, last=module, while_down=while_down))
        self.begin(name)

    def came_and_went(self, name: str) -> None:
        """No trace tells of it, and its uevents told of both ends."""
        removed = self.comings[name].removed
        self.begin(name)
        self.end(name, removed or self.at, None, ("remove uevent",))
        self.over[name] = RecentUnload(since=self.at)
