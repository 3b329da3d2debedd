"""The working copy of the lives of modules: what one observation changes, and the events it makes.

`lifecycle` says which observation calls what; here are the rules. Nothing outside one call ever sees a `Lives`.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from kmodmon.kernel.modules import ModuleState
from kmodmon.model.event import Actor, Event
from kmodmon.model.inventory import UNKNOWN_BUILD, Build, Inventory, Loaded, Module, build_of
from kmodmon.model.life import (
    FRESH_USEC,
    INIT_USEC,
    LEFT,
    LOADED_TWICE,
    MARGIN_USEC,
    MAX_BUILDS,
    MAX_OPEN,
    MAX_REFUSALS,
    MOVED,
    NEVER_LISTED,
    NEVER_TRACED,
    REMADE,
    REMOVED,
    SETTLE_USEC,
    Coming,
    Doubt,
    Lifecycle,
    Over,
    Scene,
)
from kmodmon.model.modules import (
    INIT_FAILED,
    UNKNOWN_REASON,
    changed_event,
    contradiction_event,
    is_other_build,
    load_failed_event,
    loaded_event,
    transient_event,
    unloaded_event,
)
from kmodmon.model.units import Instant
from kmodmon.model.witness import TraceEntry, Uevent

_LIST = "/proc/modules"
_WORDS = {
    LEFT: "/proc/modules no longer has it, and the trace, which was on all the time, saw no module_free",
    REMADE: "its directory in /sys/module is another one, and the trace saw it neither freed nor loaded",
    REMOVED: "a remove uevent came, and the trace saw no module_free",
    MOVED: "a move uevent took its directory out of /sys/module",
    NEVER_LISTED: "/proc/modules does not have it, and the trace saw no module_free",
    NEVER_TRACED: "/proc/modules has it, and the trace, which was on all the time, did not see it come",
    LOADED_TWICE: "the trace saw it loaded a second time without a module_free in between",
}


class Lives:
    """Every module that is told as loaded, and what is open about others."""

    def __init__(self, inventory: Inventory, life: Lifecycle, scene: Scene) -> None:
        self.life = life
        self.scene = scene
        self.at = scene.at
        self.modules = inventory.modules  # as listed last
        self.loaded = dict(inventory.loaded)
        self.comings = dict(life.comings)
        self.doubts = dict(life.doubts)
        self.over = dict(life.over)
        self.builds: dict[str, Build] = {}
        self.refusals = life.refusals
        self.told_usec = 0  # the last trace event of a load or unload
        self.events: list[Event] = []

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
            self._open(
                name,
                Coming(
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
            self.events.append(changed_event(name, told.build, now, self.at, (_LIST, "/sys/module"), loaded=True))
        witnesses = told.witnesses if "list" in told.witnesses else ("list", *told.witnesses)
        after = replace(told, build=now, witnesses=witnesses, coming=told.coming and module.state is ModuleState.COMING)
        if after != told:
            self.loaded[name] = after

    def _listed_remade(self, name: str, module: Module) -> None:
        doubt = self.doubts.get(name)
        if not self._patient:
            self._reloaded(name, module, self.at, while_down=self.life.listed_at is None)
        elif doubt is None or doubt.kind != REMADE:
            self._doubt(name, REMADE)

    def _reloaded(self, name: str, module: Module, at: Instant, *, while_down: bool) -> None:
        evidence = (_LIST, "its directory in /sys/module is another one")
        self.end(name, at, None, evidence, while_down=while_down)
        self._open(name, Coming(since=at, module=module, last=module, while_down=while_down))
        self.begin(name)

    def _unlisted_told(self, name: str, told: Loaded) -> None:
        doubt = self.doubts.get(name)
        if doubt is not None and doubt.kind in (LEFT, NEVER_LISTED):
            return
        if self._patient:
            self._doubt(name, LEFT)
        elif doubt is not None and doubt.kind == REMOVED:
            self.end(name, doubt.since, None, ("remove uevent", _LIST))
        elif self.life.uevents and self.life.listed_at is not None:
            self._doubt(name, LEFT)  # its uevent comes
        else:
            self.end(name, self.at, None, (_LIST,), while_down=self.life.listed_at is None)

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
        self._open(name, Coming(since=self.at, load=entry, absent_at=self.life.listed_at))

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
        self.over[name] = Over(since=self.at)
        how = Loaded(before_start=False, witnesses=("trace",), actor=entry.actor)
        refused = [refusal for refusal in self.refusals if refusal.tid == entry.tid]
        evidence = (*_words("module_free", entry), "its load was not seen")
        if refused:
            self.refusals = tuple(refusal for refusal in self.refusals if refusal.tid != entry.tid)
            moment = self._moment(entry)
            self.events.append(load_failed_event(name, how, moment, INIT_FAILED, refused[-1].ret, evidence))
        else:
            self.events.append(unloaded_event(name, how, self._moment(entry), entry.actor, evidence))

    def _has_lived(self, coming: Coming, entry: TraceEntry) -> bool:
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
        self._open(name, Coming(since=how.at or self.at, while_down=how.while_down))
        self.fail(name, INIT_FAILED, entry, how=how)

    def _freed(self, name: str, entry: TraceEntry) -> None:
        self.end(
            name,
            self._moment(entry),
            entry.actor,
            _words("module_free", entry),
            while_down=self._was_down(entry),
        )
        self.over[name] = Over(since=self.at)

    def _superseded(self, name: str, coming: Coming, entry: TraceEntry) -> None:
        # Its end was lost, or it would not be loaded again.
        if coming.ret is not None and coming.ret >= 0:
            self.begin(name)
            self.end(name, self._moment(entry), None, (*_words("module_load", entry), "its unload was not seen"))
        else:
            self.fail(name, UNKNOWN_REASON, entry)

    def _loaded_twice(self, name: str, told: Loaded, entry: TraceEntry) -> None:
        if told.at is not None and self._is_whole_since(told.at) and name not in self.doubts:
            self.contradict(name, LOADED_TWICE, _words("module_load", entry))
        self.end(name, self._moment(entry), None, (*_words("module_load", entry), "its unload was not seen"))

    def _is_late_word(self, told: Loaded, entry: TraceEntry) -> bool:
        # The list was believed before the trace could be read, at start or while it was behind.
        if "trace" in told.witnesses:
            return False
        before = told.at or self.scene.started
        return entry.monotonic_usec <= before.monotonic_usec

    def _enriched(self, name: str, told: Loaded, entry: TraceEntry) -> None:
        how = replace(told, at=self._moment(entry), actor=entry.actor, witnesses=(*told.witnesses, "trace"))
        self.loaded[name] = how

    # Uevents

    def heard(self, event: Uevent) -> None:
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
            self._open(name, Coming(since=self.at, added=self.at, absent_at=self.life.listed_at))

    def _removed(self, name: str) -> None:
        coming = self.comings.get(name)
        if coming is not None and coming.added is not None:
            self.comings[name] = replace(coming, removed=self.at)
            if not self._patient:
                self._came_and_went(name)
        elif name in self.loaded and name not in self.doubts:
            self._doubt(name, REMOVED)

    def _came_and_went(self, name: str) -> None:
        removed = self.comings[name].removed
        self.begin(name)
        self.end(name, removed or self.at, None, ("remove uevent",))
        self.over[name] = Over(since=self.at)

    def _moved(self, name: str, event: Uevent) -> None:
        if name in self.loaded or name in self.comings:
            self.contradict(name, MOVED, (f"moved to {event.module or 'elsewhere'}",))
            self.doubts[name] = Doubt(kind=MOVED, since=self.at, said=True)

    def _known_name(self, directory: str) -> str:
        if "!" in directory:  # in /sys/module every `/` is a `!`
            for name in (*self.comings, *self.loaded):
                if name.replace("/", "!") == directory:
                    return name
        return directory

    def close(self, inventory: Inventory) -> tuple[Inventory, Lifecycle, tuple[Event, ...]]:
        """The books as they are now. Parts that did not change stay the same objects: readers compare with `is`."""
        life = self.life
        if self.loaded != inventory.loaded:
            inventory = replace(inventory, loaded=MappingProxyType(self.loaded))
        if (
            self.comings != life.comings
            or self.doubts != life.doubts
            or self.over != life.over
            or self.refusals is not life.refusals
            or self.told_usec > life.trace_usec
        ):
            life = replace(
                life,
                comings=MappingProxyType(self.comings),
                doubts=MappingProxyType(self.doubts),
                over=MappingProxyType(self.over),
                refusals=self.refusals,
                trace_usec=max(self.told_usec, life.trace_usec),
            )
        fresh = {name: build for name, build in self.builds.items() if life.builds.get(name) != build}
        if fresh:
            life = replace(life, builds=bounded_builds(life.builds, fresh))
        return inventory, life, tuple(self.events)

    # What becomes of it

    def decide(self, name: str) -> None:
        """Tell a module that came, as soon as enough is known of it."""
        coming = self.comings[name]
        state = None if coming.module is None else coming.module.state
        live = state is ModuleState.LIVE
        late = state is ModuleState.COMING and self._age(coming.since) >= INIT_USEC
        if coming.before_start and live:
            self.begin(name)
        elif coming.load is not None:
            fresh = self.at.monotonic_usec - coming.load.monotonic_usec >= FRESH_USEC
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

    def _settle_coming(self, name: str, coming: Coming) -> None:
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

    def _settle_traced(self, name: str, coming: Coming, load: TraceEntry) -> None:
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
                self.end(name, self.at, None, (_LIST,))
            else:
                self._doubt(name, NEVER_LISTED)

    def _settle_unlisted(self, name: str, coming: Coming) -> None:
        if coming.last is not None:
            self._vanished(name, coming, coming.last)
        elif self.life.trace_since is not None:
            del self.comings[name]  # a uevent that was heard late: the trace has told all there is to tell
        elif coming.removed is not None:
            self._came_and_went(name)
        elif self._age(coming.since) >= 2 * SETTLE_USEC and self._listed_since(coming.since):
            del self.comings[name]
            self.contradict(name, NEVER_LISTED, ("an add uevent, and neither a remove uevent nor a listing",))

    def _settle_doubt(self, name: str, doubt: Doubt) -> None:
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
                self.end(name, doubt.since, None, (_LIST,), while_down=doubt.while_down)
            elif doubt.kind == REMADE and module is not None:
                self._reloaded(name, module, doubt.since, while_down=doubt.while_down)

    def _settle_contradiction(self, name: str, told: Loaded, doubt: Doubt) -> None:
        self.contradict(name, doubt.kind, ())
        module = self.modules.get(name)
        if doubt.kind == REMADE and module is not None:
            del self.doubts[name]
            self.loaded[name] = replace(told, build=build_of(module))
        else:
            self.doubts[name] = replace(doubt, said=True)

    def _vanished(self, name: str, coming: Coming, last: Module) -> None:
        """It was listed, is not any more, and no other witness told of its end."""
        if last.state is ModuleState.LIVE or coming.added is not None:
            self.begin(name)
            self.end(name, self.at, None, (_LIST,))
        elif self.life.trace_since is not None:
            del self.comings[name]  # refused before its trace event (a bad parameter): the log tells of it
        else:
            self.fail(name, UNKNOWN_REASON, None)

    def begin(self, name: str) -> None:
        """Tell of a load."""
        coming = self.comings.pop(name)
        module, load = coming.module or coming.last, coming.load
        how = self._how(coming, module)
        self.loaded[name] = how
        if coming.before_start:
            return
        at = coming.added or coming.since if load is None else self._moment(load)
        evidence = (
            *(_words("module_load", load) if load is not None else ()),
            *(("add uevent",) if coming.added is not None else ()),
            *((_LIST,) if module is not None else ()),
        )
        self.events.append(loaded_event(name, how, at, module, evidence))
        was = self.builds.get(name) or self.life.builds.get(name)
        if was is not None and is_other_build(was, how.build):
            self.events.append(changed_event(name, was, how.build, at, evidence, loaded=False))

    def _how(self, coming: Coming, module: Module | None) -> Loaded:
        load = coming.load
        seen = (("list", module), ("uevent", coming.added), ("trace", load))
        at = coming.added or (None if coming.while_down or coming.before_start else coming.since)
        return Loaded(
            before_start=coming.before_start,
            while_down=coming.while_down if load is None else self._was_down(load),
            at=at if load is None else self._moment(load),
            actor=None if load is None else load.actor,
            init_usec=coming.init_usec,
            witnesses=tuple(name for name, what in seen if what is not None),
            build=self._build(module, load),
            coming=module is not None and module.state is ModuleState.COMING,
        )

    def _build(self, module: Module | None, load: TraceEntry | None) -> Build:
        if module is not None:
            return build_of(module)
        return UNKNOWN_BUILD if load is None else Build(taint=load.taint)

    def end(
        self, name: str, at: Instant, actor: Actor | None, evidence: tuple[str, ...], *, while_down: bool = False
    ) -> None:
        """Tell of an unload, and of a whole life that no look at the list saw."""
        how = self.loaded.pop(name)
        self.doubts.pop(name, None)
        self.builds[name] = replace(how.build, instance=None)
        self.events.append(unloaded_event(name, how, at, actor, evidence, while_down=while_down))
        if "list" not in how.witnesses and not how.before_start:
            self.events.append(transient_event(name, how, at, actor, evidence))

    def fail(
        self,
        name: str,
        reason: str,
        entry: TraceEntry | None,
        *,
        unfreed: bool = False,
        how: Loaded | None = None,
    ) -> None:
        """Tell of a load that came to nothing; `how`: as it was told, if its init ran for so long that it was."""
        coming = self.comings.pop(name)
        self.doubts.pop(name, None)
        self.over[name] = Over(since=self.at, unfreed=unfreed)
        how = how or self._how(coming, coming.last)
        evidence = _words("module_load", coming.load) if coming.load is not None else (_LIST,)
        if entry is not None:
            evidence += _words(entry.kind.value, entry)
        self.events.append(
            load_failed_event(name, how, coming.since, reason, coming.ret, evidence),
        )

    def contradict(self, name: str, kind: str, evidence: tuple[str, ...]) -> None:
        """Tell that the witnesses do not agree."""
        self.events.append(contradiction_event(name, kind, self.at, (_WORDS[kind], *evidence)))

    def _doubt(self, name: str, kind: str) -> None:
        first = self.life.listed_at is None
        self.doubts[name] = Doubt(kind=kind, since=self.at, present_at=self.life.listed_at, while_down=first)

    def _open(self, name: str, coming: Coming) -> None:
        if len(self.comings) < MAX_OPEN:
            self.comings[name] = coming

    # What the witnesses are worth

    @property
    def _patient(self) -> bool:
        """Whether the trace may still speak."""
        return self.life.trace_since is not None or self.scene.trace_expected

    def _is_whole_since(self, moment: Instant) -> bool:
        since = self.life.trace_since
        return since is not None and moment.monotonic_usec > since.monotonic_usec + MARGIN_USEC

    def _was_watched(self, told: Loaded, doubt: Doubt) -> bool:
        """Whether the trace would have told of an end that came after the module was last known to be there."""
        since = self.life.trace_since
        if since is None or since.monotonic_usec > doubt.since.monotonic_usec:
            return False
        if "trace" in told.witnesses and told.at is not None and told.at.monotonic_usec > since.monotonic_usec:
            return True
        return doubt.present_at is not None and self._is_whole_since(doubt.present_at)

    def _is_confirmed(self, moment: Instant) -> bool:
        intact = self.life.trace_intact
        return intact is not None and intact.monotonic_usec > moment.monotonic_usec + FRESH_USEC

    def _listed_since(self, moment: Instant) -> bool:
        listed = self.life.listed_at
        return listed is not None and listed.monotonic_usec > moment.monotonic_usec + MARGIN_USEC

    def _is_missed(self, load: TraceEntry) -> bool:
        return self._listed_since(self._moment(load)) and self._is_confirmed(self._moment(load))

    def _age(self, since: Instant) -> int:
        return self.at.monotonic_usec - since.monotonic_usec

    def _moment(self, entry: TraceEntry) -> Instant:
        return self.at.back_to(entry.monotonic_usec)

    def _was_down(self, entry: TraceEntry) -> bool:
        return entry.monotonic_usec < self.scene.started.monotonic_usec


def bounded_builds(before: Mapping[str, Build], fresh: Mapping[str, Build]) -> Mapping[str, Build]:
    """The builds last told, the oldest forgotten first."""
    merged = {name: build for name, build in before.items() if name not in fresh} | dict(fresh)
    for name in tuple(merged)[: max(0, len(merged) - MAX_BUILDS)]:
        del merged[name]
    return MappingProxyType(merged)


def _words(event: str, entry: TraceEntry) -> tuple[str, ...]:
    who = "" if entry.actor is None else f" by {entry.actor.name}[{entry.actor.process.pid}]"
    return (f"{event} traced at {entry.monotonic_usec / 1e6:.6f}{who}",)
