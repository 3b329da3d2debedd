"""The lives of modules as the three witnesses tell them: the list, the trace and uevents.

`lifecycle` says which observation calls what; here are the rules. Nothing outside one call ever sees a `Lives`.
"""

from dataclasses import replace

from kmodmon.kernel.modules import ModuleState
from kmodmon.lifecycle.books import LIST, words
from kmodmon.lifecycle.inventory import Loaded, Module, build_of
from kmodmon.lifecycle.module_events import (
    INIT_FAILED,
    UNKNOWN_REASON,
    changed_event,
    is_other_build,
    load_failed_event,
    unloaded_event,
)
from kmodmon.lifecycle.pending import (
    LEFT,
    LOADED_TWICE,
    MAX_REFUSALS,
    MOVED,
    NEVER_LISTED,
    REMADE,
    REMOVED,
    SETTLE_USEC,
    Discrepancy,
    PendingLoad,
    RecentUnload,
)
from kmodmon.lifecycle.settling import Settling
from kmodmon.lifecycle.signals import ModuleUevent, TraceEntry


class Lives(Settling):
    """Hears the witnesses."""

    # The list

    def listed(self, name: str, module: Module) -> None:
        """The list shows a module that is new, or not as it was, or about which something is open."""
        coming, told, over = self.comings.get(name), self.loaded.get(name), self.over.get(name)
        if coming is not None:
            self.comings[name] = replace(coming, module=module, last=module, last_at=self.at)
            self.decide(name)
        elif self._is_leftover(name, module):
            return
        elif told is not None:
            self._listed_again(name, told, module)
        else:
            first = self.life.listed_at is None
            self.open(
                name,
                PendingLoad(
                    since=self.at,
                    module=module,
                    last=module,
                    last_at=self.at,
                    absent_at=self.life.listed_at if over is None else over.since,
                    before_start=first and not self.scene.resumed,
                    while_down=first and self.scene.resumed,
                ),
            )
            self.decide(name)

    def unlisted(self, name: str) -> None:
        """The list does not show a module that it showed, or that is open or told."""
        coming, told = self.comings.get(name), self.loaded.get(name)
        if coming is not None:
            self.comings[name] = replace(coming, module=None)
            self.decide(name)
        elif told is not None:
            self._unlisted_told(name, told)

    def _is_leftover(self, name: str, module: Module) -> bool:
        over = self.over.get(name)
        if over is None:
            return False
        # Either the old life is still shown, or a new one whose trace event is on its way.
        if module.state is ModuleState.GOING or self._age(over.since) < SETTLE_USEC:
            return True
        del self.over[name]
        return False

    def _listed_again(self, name: str, told: Loaded, module: Module) -> None:
        doubt, now = self.doubts.get(name), build_of(module)
        if doubt is not None and doubt.kind in (LEFT, NEVER_LISTED):
            del self.doubts[name]  # it is back; whether it was hidden is for `hidden` to say
        elif None not in (told.build.instance, now.instance) and told.build.instance != now.instance:
            self._listed_remade(name, module)
            return
        elif told.build.taint != now.taint or is_other_build(told.build, now):
            self.events.append(changed_event(name, told.build, now, self.at, (LIST, "/sys/module"), loaded=True))
        signals = told.signals if "list" in told.signals else ("list", *told.signals)
        after = replace(told, build=now, signals=signals, coming=told.coming and module.state is ModuleState.COMING)
        if after != told:
            self.loaded[name] = after

    def _listed_remade(self, name: str, module: Module) -> None:
        doubt = self.doubts.get(name)
        if not self._patient:
            self._reloaded(name, module, self.at, while_down=self.life.listed_at is None)
        elif doubt is None or doubt.kind != REMADE:
            self._doubt(name, REMADE)

    def _unlisted_told(self, name: str, told: Loaded) -> None:
        doubt = self.doubts.get(name)
        if doubt is not None and doubt.kind in (LEFT, NEVER_LISTED):
            return
        if self._patient:
            self._doubt(name, LEFT)
        elif doubt is not None and doubt.kind == REMOVED:
            self.end(name, doubt.since, None, ("remove uevent", LIST))
        elif self.life.uevents and self.life.listed_at is not None:
            self._doubt(name, LEFT)  # its uevent comes
        else:
            self.end(name, self.at, None, (LIST,), while_down=self.life.listed_at is None)

    # The trace

    def traced_load(self, entry: TraceEntry) -> None:
        """The loader took a module in; its init is still to run."""
        name = entry.module
        self.told_usec = max(self.told_usec, entry.monotonic_usec)
        coming, told = self.comings.get(name), self.loaded.get(name)
        if coming is not None and coming.load is None:
            # What the list showed may be a later life of that name: the next word of the trace or the list decides.
            self.comings[name] = replace(coming, load=entry, before_start=False)
            return
        if coming is not None:
            self._superseded(name, coming, entry)
        elif told is not None:
            if self._is_late_word(told, entry):
                self._enriched(name, told, entry)
                return
            self._loaded_twice(name, told, entry)
        self.over.pop(name, None)
        self.open(name, PendingLoad(since=self.at, load=entry, absent_at=self.life.listed_at))

    def traced_init(self, entry: TraceEntry) -> None:
        """The init of the module that this task loads has returned."""
        for name, coming in reversed(self.comings.items()):
            if coming.load is not None and coming.load.tid == entry.tid and coming.ret is None:
                spent = entry.monotonic_usec - coming.load.monotonic_usec
                self.comings[name] = replace(coming, ret=entry.ret, init_usec=spent)
                if entry.ret is not None and entry.ret < 0:
                    self.fail(name, INIT_FAILED, entry, unfreed=True)
                else:
                    self.decide(name)
                return
        if entry.ret is not None and entry.ret < 0:
            self.refusals = (*self.refusals, entry)[-MAX_REFUSALS:]

    def traced_free(self, entry: TraceEntry) -> None:
        """The loader let a module go: one that was unloaded, or one whose init failed."""
        name = entry.module
        self.told_usec = max(self.told_usec, entry.monotonic_usec)
        coming, over = self.comings.get(name), self.over.get(name)
        if coming is not None:
            if self._has_lived(coming, entry):
                self.begin(name)
                self._freed(name, entry)
            else:
                self.fail(name, INIT_FAILED, entry)
        elif name in self.loaded:
            if self.loaded[name].coming:
                self._failed_late(name, entry)
            else:
                self._freed(name, entry)
        elif over is not None and over.unfreed:
            self.over[name] = replace(over, unfreed=False)
        else:
            self._unknown_freed(name, entry)

    def _unknown_freed(self, name: str, entry: TraceEntry) -> None:
        # Its load was before the trace began, or was lost.
        self.over[name] = RecentUnload(since=self.at)
        how = Loaded(before_start=False, signals=("trace",), actor=entry.actor)
        refused = [refusal for refusal in self.refusals if refusal.tid == entry.tid]
        evidence = (*words("module_free", entry), "its load was not seen")
        if refused:
            self.refusals = tuple(refusal for refusal in self.refusals if refusal.tid != entry.tid)
            moment = self._moment(entry)
            self.events.append(load_failed_event(name, how, moment, INIT_FAILED, refused[-1].ret, evidence))
        else:
            self.events.append(unloaded_event(name, how, self._moment(entry), entry.actor, evidence))

    def _has_lived(self, coming: PendingLoad, entry: TraceEntry) -> bool:
        if coming.ret is not None:
            return coming.ret >= 0
        # What was seen after the free is of a later life of that name.
        listed = coming.last_at if coming.last is not None and coming.last.state is not ModuleState.COMING else None
        if any(seen is not None and seen.monotonic_usec < entry.monotonic_usec for seen in (coming.added, listed)):
            return True
        # rmmod is another task; the loader itself frees what it could not begin.
        return coming.load is not None and coming.load.tid != entry.tid

    def _failed_late(self, name: str, entry: TraceEntry) -> None:
        # Its init ran for so long that it was told as loaded, coming; now it has failed.
        how = self.loaded.pop(name)
        self.open(name, PendingLoad(since=how.at or self.at, while_down=how.while_down))
        self.fail(name, INIT_FAILED, entry, how=how)

    def _freed(self, name: str, entry: TraceEntry) -> None:
        self.end(
            name,
            self._moment(entry),
            entry.actor,
            words("module_free", entry),
            while_down=self._was_down(entry),
        )
        self.over[name] = RecentUnload(since=self.at)

    def _superseded(self, name: str, coming: PendingLoad, entry: TraceEntry) -> None:
        # Its end was lost, or it would not be loaded again.
        if coming.ret is not None and coming.ret >= 0:
            self.begin(name)
            self.end(name, self._moment(entry), None, (*words("module_load", entry), "its unload was not seen"))
        else:
            self.fail(name, UNKNOWN_REASON, entry)

    def _loaded_twice(self, name: str, told: Loaded, entry: TraceEntry) -> None:
        if told.at is not None and self._is_whole_since(told.at) and name not in self.doubts:
            self.contradict(name, LOADED_TWICE, words("module_load", entry))
        self.end(name, self._moment(entry), None, (*words("module_load", entry), "its unload was not seen"))

    def _is_late_word(self, told: Loaded, entry: TraceEntry) -> bool:
        # The list was believed before the trace could be read, at start or while it was behind.
        if "trace" in told.signals:
            return False
        before = told.at or self.scene.started
        return entry.monotonic_usec <= before.monotonic_usec

    def _enriched(self, name: str, told: Loaded, entry: TraceEntry) -> None:
        how = replace(told, at=self._moment(entry), actor=entry.actor, signals=(*told.signals, "trace"))
        self.loaded[name] = how

    # Uevents

    def heard(self, event: ModuleUevent) -> None:
        """The kernel sent a uevent about a module."""
        name = self._known_name(event.module)
        match event.action:
            case "add":
                self._added(name)
            case "remove":
                self._removed(name)
            case "move" if event.moved_from is not None:
                self._moved(self._known_name(event.moved_from), event)
            case "move" if name in self.doubts and self.doubts[name].kind == MOVED:
                del self.doubts[name]  # it came back
            case _:
                return

    def _added(self, name: str) -> None:
        coming = self.comings.get(name)
        if coming is not None:
            self.comings[name] = replace(coming, added=coming.added or self.at)
        elif name in self.over and self._patient:
            return  # the trace was read first, and told the whole of it
        elif name not in self.loaded:
            self.over.pop(name, None)
            self.open(name, PendingLoad(since=self.at, added=self.at, absent_at=self.life.listed_at))
        elif not self._patient and (doubt := self.doubts.get(name)) is not None and doubt.kind == REMOVED:
            self.end(name, doubt.since, None, ("remove uevent", "add uevent"))
            self.open(name, PendingLoad(since=self.at, added=self.at))

    def _removed(self, name: str) -> None:
        coming = self.comings.get(name)
        if coming is not None and coming.added is not None:
            self.comings[name] = replace(coming, removed=self.at)
            if not self._patient:
                self.came_and_went(name)
        elif name in self.loaded and name not in self.doubts:
            self._doubt(name, REMOVED)

    def _moved(self, name: str, event: ModuleUevent) -> None:
        if name in self.loaded or name in self.comings:
            self.contradict(name, MOVED, (f"moved to {event.module or 'elsewhere'}",))
            self.doubts[name] = Discrepancy(kind=MOVED, since=self.at, said=True)

    def _known_name(self, directory: str) -> str:
        if "!" in directory:  # in /sys/module every `/` is a `!`
            for name in (*self.comings, *self.loaded):
                if name.replace("/", "!") == directory:
                    return name
        return directory
