# ruff: noqa: E501 -- a fault and what it replaces stand on one line
"""`python -m tests.mutants.guard`: plant one fault after another into a copy of the guard, and run its tests on each.

Ends with 1 if the tests miss a fault, or if the text that a fault replaces is not there any more.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
TESTS = ("tests/core/test_decision.py",)
OF_SERVICE = (
    *(f"tests/guard/test_{which}.py" for which in ("attacks", "words", "interleaved")),
    *("tests/adapters/test_state.py", "-k", "not postgresql and not pgbouncer"),
)
OF_NUDGES = ("tests/service/test_nudging.py", "tests/service/test_nudging_for_long.py")
OF_CLUSTER = (
    *(f"tests/guard/test_{which}.py" for which in ("selectors", "edits")),
    *(f"tests/service/test_{which}.py" for which in ("specs", "recognising", "whereabouts")),
    *(f"tests/core/test_{which}.py" for which in ("sight", "spec", "template_names", "gaps")),
)
OF_REPLICAS = tuple(
    f"tests/replicas/test_{which}.py" for which in ("moving", "positions", "configurations", "out_of_date")
)
OF_TELLING = ("tests/replicas/test_telling.py",)
OF_KILLS = ("tests/guard/test_killed.py",)


class Fault(NamedTuple):
    """A wrong guard: what stands in `module`, and what stands there instead."""

    what: str
    module: str
    right: str
    wrong: str
    tests: tuple[str, ...] = TESTS


DECISION, GUARD, LEDGER, FIRST = "core/decision", "core/guard", "core/ledger", "core/first_answer"
GUARDING, WATCHING, MEMORY = "service/guarding", "service/watching", "service/ledger"
CIRCUMSTANCES, KEYS, DRIVING, REGARDING = (
    "service/circumstances",
    "service/keys",
    "service/driving",
    "service/regarding",
)
APPROVING, STORE, DOCUMENTS = (
    "service/approving",
    "adapters/database/state_writing",
    "adapters/database/state_documents",
)
FORESEEING, NUDGING, LIVE = "service/foreseeing", "service/nudging", "core/live"
SIGHT, SPEC, SPECS, EDITING, EDITED = "core/sight", "core/spec", "service/specs", "service/editing", "core/editing"
UPKEEP, COUNTING = "service/upkeep", "service/counting"
STRAYS, RECOGNISING, WHEREABOUTS, ASKING = "core/strays", "service/recognising", "service/whereabouts", "core/asking"
CATCHING_UP, REPLICAS, POSITION, TRYING = "service/catching_up", "service/replicas", "core/position", "service/trying"
OTHERS = "service/others"
ELSEWHERE = "service/elsewhere"
FAULTS = (
    Fault("off by one in a limit", GUARD, "return removals <= max(", "return removals <= 1 + max("),
    Fault("the least that may leave is ignored", GUARD, "max(self.min, of * ", "max(0, of * "),
    Fault("the percentage is ignored", GUARD, "of * self.max_percent // 100", "of"),
    Fault("a window is ignored", GUARD, "if loss.at > start", "if loss.at > start + 1e9"),
    Fault("only the first limit counts", GUARD, "for limit in policy.limits:", "for limit in policy.limits[:1]:"),
    Fault("the size of now counts, not that of then", LEDGER, "if one.at <= moment", "if one.at <= moment + 1e9"),
    Fault("hold is not sticky", DECISION, "if (asked.input, tenant) in self._own.holds:", "if False:"),
    Fault("one read settles", DECISION, "read.number > since.number and", ""),
    Fault("nothing needs to settle", DECISION, ">= self._policy.settle", ">= 0"),
    Fault("a removal never settles", DECISION, ">= self._policy.settle", ">= 1e9"),
    Fault("the lens is ignored", DECISION, "asked.lens != self._baseline.lens\n            and", "False\n            and"),
    Fault("another lens is seen only where nobody looked", DECISION, "(since is None or (asked.judged.get(tenant) != since and asked.lens_at(since) != self._baseline.lens))", "since is None"),
    Fault("who was missing before is held at yet another lens", DECISION, "asked.judged.get(tenant) != since and ", "", OF_SERVICE),
    Fault("everyone is held at another lens", DECISION, "(since is None or (asked.judged.get(tenant) != since and asked.lens_at(since) != self._baseline.lens))", "True"),
    Fault("who comes under another name is missing still", DECISION, "        self._absences.pop(tenant, None)\n", ""),
    Fault("who was approved ahead of time waits for other rows", DECISION, " or approval(own, absent, asked.now) for absent", " for absent", OF_SERVICE),
    Fault("an approval is not spent", DECISION, "if (word := self._own.approvals.get(tenant)) and word.used}", "if False}"),
    Fault("an approval never lapses", LEDGER, "return self.until is None or now < self.until", "return True"),
    Fault("an approval counts for all", "core/asking", "word = own.approvals.get(tenant)\n", "word = next(iter(own.approvals.values()), None)\n"),
    Fault("the last may leave", DECISION, "if not (self._is_anybody_here(wanting) or self._is_anybody_elsewhere() or asked.allow_empty):", "if False:"),
    Fault("allowEmpty is ignored", DECISION, "or self._is_anybody_elsewhere() or asked.allow_empty):", "or self._is_anybody_elsewhere()):"),
    Fault("a freeze is ignored", DECISION, "self._frozen = own.freeze or source.freeze", "self._frozen = None"),
    Fault("the source's freeze is ignored", DECISION, "own.freeze or source.freeze", "own.freeze"),
    Fault("a pin is ignored", DECISION, "elif tenant in self._own.pins:", "elif False:"),
    Fault("a pin does not keep who is gone", DECISION, "tenant in asked.unreadable or tenant in self._own.pins", "tenant in asked.unreadable"),
    Fault("doubt is ignored", DECISION, "elif self._may_be_there and not stays:", "elif False:"),
    Fault("nobody counts as missing in doubt", DECISION, "elif self._may_be_there and not stays:\n            self._unsettled.append(tenant)", "elif self._may_be_there and not stays:\n            pass"),
    Fault("who cannot be read leaves", DECISION, "stays = tenant in asked.unreadable or", "stays ="),
    Fault("some of a decision leave", DECISION, "self._hold(wanting, against)\n            return", "self._hold(wanting[1:], against)\n            wanting = wanting[:1]"),
    Fault("a release is not counted", DECISION, "losses=(*own.losses, *self._lost)", "losses=own.losses"),
    Fault("a return refunds", "core/asking", "losses = tuple(loss for loss in ledger.losses if loss.at > oldest or loss in asked.standing)", "losses = tuple(loss for loss in ledger.losses if loss.tenant not in asked.candidate)"),
    Fault("held removals use up limits", DECISION, "        elif against:\n            self._hold(wanting, against)", "        elif against:\n            self._lost += [Loss(tenant, self._asked.input, self._asked.now) for tenant in wanting]\n            self._hold(wanting, against)"),
    Fault("another name is no removal", DECISION, "replaced = after is not None and asked.is_lost(", "replaced = False and asked.is_lost("),
    Fault("who asks again after long is not known to", DECISION, "or said or is_back or", "or said or"),
    Fault("a slower process lets go who is back", DECISION, "        if read.began < self._asked.anew:\n            return False\n", "", OF_SERVICE),
    Fault("who others answered otherwise holds up everybody", ELSEWHERE, "if known is None or given in held or one.origin != known.origin or one.released != known.released:", "if True:", OF_REPLICAS),
    Fault("an approved input waits for a limit that it does not touch", FIRST, "elif by_rows and (against :=", "elif (against :=", OF_SERVICE),
    Fault("who asks again after long is answered before that is written", GUARDING, "            or now - ticket.key.asked > TOUCH ", "            ", OF_SERVICE),
    Fault("a ticket outlives what another process released", GUARDING, "            version,\n            seen,\n", "            version,\n            self._ledger.generation,\n", OF_SERVICE),
    Fault("who is pinned loses leaves of JSON", CIRCUMSTANCES, " | (released.keys() & own.pins.keys())", "", OF_SERVICE),
    Fault("who becomes another one loses leaves of JSON", CIRCUMSTANCES, "is_another(released[one], candidate[one], identity)", "False", OF_SERVICE),
    Fault("an input is forgotten in a night", LEDGER, "KNOWN_FOR if one.polled else LIVE_FOR", "LIVE_FOR", OF_SERVICE),
    Fault("a size is not known to the next process", DECISION, " or ledger.sizes != own.sizes", ""),
    Fault("an edited input is let in", FIRST, "    if word is None or not word.stands(asked.now):", "    if False:"),
    Fault("an approved input costs whoever else is missing", FIRST, "elif by_rows and (against := excess(", "elif None and (against := excess(", OF_SERVICE),
    Fault("an approved input costs the last", FIRST, "elif by_rows and not asked.candidate and not asked.allow_empty:", "elif False:", OF_SERVICE),
    Fault("an approved input overrules a freeze", FIRST, "    if own.freeze or source.freeze:", "    if False:", OF_SERVICE),
    Fault("an approved input overrules a pin", FIRST, "loss.tenant in own.pins or ", "", OF_SERVICE),
    Fault("an approved input costs who cannot be read", FIRST, " or loss.tenant in asked.unreadable", ""),
    Fault("who is lost besides an edit is not counted", FIRST, "losses=(*own.losses, *by_rows)", "losses=own.losses"),
    Fault("an approval by name overrules a freeze in an edit", FIRST, "if frozen or tenant in own.pins or not approval(", "if not approval(", OF_SERVICE),
    Fault("another token lets go who is held", FIRST, "        if lost:\n            return EditedInput", "        if False:\n            return EditedInput", OF_SERVICE),
    Fault("observe refuses an edit", FIRST, "if policy.mode is not GuardMode.OBSERVE:", "if True:", OF_SERVICE),
    Fault("who moves leaves at once", DECISION, "(others := asked.elsewhere(tenant)) and not self._all_have(others, tenant):", "(others := asked.elsewhere(tenant)) and False:"),
    Fault("a move is a removal", DECISION, "(came := self._asked.came(one, tenant)) is not None\n            and came >= gone", "False"),
    Fault("who was there already moves", DECISION, "            and came >= gone\n", ""),
    Fault("who moves may become another one", DECISION, "            and not is_another(before, self._own.baselines[one].released[tenant], self._policy.identity)\n", ""),
    Fault("an input that nobody asks for keeps the last", KEYS, "and one.asked >= key.polled_before", "", OF_SERVICE),
    Fault("arrivals are not remembered", GUARDING, "came = {**key.came, **dict.fromkeys(decision.came, this.read.number)}", "came = {**key.came}", OF_SERVICE),
    Fault("holds of an input that nobody asks for keep tenants waiting", DECISION, "or hold.input in self._live)", "or True)", OF_SERVICE),
    Fault("what lets tenants come lets them leave", DECISION, "if hold.tenant not in self._dropped and (hold.rule is not Rule.REPLACEMENT or hold.tenant not in still):", "if hold.tenant not in self._dropped and hold.rule is not Rule.REPLACEMENT:", OF_SERVICE),
    Fault("those who wait and those who are held are approved together", APPROVING, "    if leaving and coming and leaving != coming:", "    if leaving and coming:\n        return leaving | coming\n    if False:", OF_SERVICE),
    Fault("a freeze is nothing where the guard observes", DECISION, "is GuardMode.OBSERVE and not self._frozen", "is GuardMode.OBSERVE", OF_SERVICE),
    Fault("a freeze of all is overtaken", APPROVING, "        async with self._hearers.lock_of(None):", "        if True:", OF_SERVICE),
    Fault("a freeze of all is overtaken by who is approved", GUARDING, "if decision.dropped or decision.lost:", "if decision.lost:", OF_SERVICE),
    Fault("whoever goes away gives the lock back too early", DRIVING, "return await asyncio.shield(task)", "return await task", OF_SERVICE),
    Fault("a request overwrites what a read is finding", GUARDING, "this.read.number >= self.watching.latest", "this.read.number == self._snapshots.read.number", OF_SERVICE),
    Fault("a replaced fleet comes at once", DECISION, "                waiting.update(new)", "                pass"),
    Fault("only who is held stops a replacement", DECISION, "or (self._unsettled and self._against(self._unsettled))", ""),
    Fault("a name may be taken", DECISION, "in taken}", "in set()}"),
    Fault("who is kept changes", DECISION, "encoded = before.released[tenant]", "encoded = asked.candidate.get(tenant, before.released[tenant])"),
    Fault("upsert-only lets within the limits go", DECISION, "if policy.mode is GuardMode.UPSERT_ONLY:", "if False:"),
    Fault("observe holds", DECISION, "if self._observes and asked.lets_go:\n                self._wanting", "if False:\n                self._wanting"),
    Fault("who only waits to come lets the last ones go", DECISION, "return not held and bool(self._arriving)", "return bool(self._arriving)"),
    Fault("what cannot be written leaves", GUARDING, "        await self._ledger.write(change, seen, events=events, names=names, configuration=configuration, of_all=of_all)", "        try:\n            await self._ledger.write(change, seen, events=events, names=names)\n        except StateError:\n            self._ledger.remember(key.set_name, decision.ledger, seen)", OF_SERVICE),
    Fault("it is written after it was sent", GUARDING, "        await self._ledger.write(change, seen, events=events, names=names, configuration=configuration, of_all=of_all)", "        self._ledger.remember(key.set_name, decision.ledger, seen)\n        asyncio.get_running_loop().call_later(0.3, lambda: asyncio.ensure_future(self._ledger.write(change, events=events, names=names)))", OF_KILLS),
    Fault("only removals are written", GUARDING, "if not decision.to_record and (", "if not decision.dropped and (", OF_SERVICE),
    Fault("a tenant that is back in between goes on settling", WATCHING, "if not self.choose(tenant):", "if True:", OF_SERVICE),
    Fault("a source that went back is no other lens", WATCHING, "self._turns += 1", "self._turns += 0", OF_SERVICE),
    Fault("another source is no other lens", WATCHING, 'return f"{position.source}#{self._turns}"', 'return f"{self._turns}"', OF_SERVICE),
    Fault("an unknown identity is let in", WATCHING, "if name not in known:", "if False:", OF_SERVICE),
    Fault("doubt lasts for one read only", WATCHING, "return any(row.tenant is None or (row.column == identifier) for row in snapshot.quarantined)", "return False", OF_SERVICE),
    Fault("who cannot be read after a restart leaves", WATCHING, "return [row.tenant for row in snapshot.quarantined if row.tenant is not None and not row.kept]", "return []", OF_SERVICE),
    Fault("the previous answer leaves though others may have answered otherwise", GUARDING, "if self._ledger.is_shared or baseline is None:", "if baseline is None:", OF_SERVICE),
    Fault("nobody looks at a shared store", MEMORY, "        if not self.is_shared:\n            return", "        return", OF_SERVICE),
    Fault("what was read anew is written over", MEMORY, "        if latest > said.seen:\n            raise StateMoved", "        pass", OF_SERVICE),
    Fault("what was read anew is forgotten", MEMORY, "        if self.version_of(name) > seen:\n            raise StateMoved\n        self._sets", "        self._sets", OF_SERVICE),
    Fault("who asks seldom is forgotten", LEDGER, "if not one.polled and given not in known and", "if not one.polled and", OF_SERVICE),
    Fault("one poll counts for ever", GUARDING, "is_final = not decision.unsettled and", "is_final =", OF_SERVICE),
    Fault("the clock goes back with the process", MEMORY, "found.clock, self.now()", "0.0, self.now()", OF_SERVICE),
    Fault("a new consumer begins anew", UPKEEP, "if latest is None:", "if True:", OF_SERVICE),
    Fault("a consumer takes from another that is there", UPKEEP, "other.application_set == name.application_set and other.consumer not in valid and", "other.application_set == name.application_set and", OF_SERVICE),
    Fault("a word changes nothing until the next read", APPROVING, "events=[event], of_all=False)\n        self._hearers.spoken(name)", "events=[event], of_all=False)", OF_SERVICE),
    Fault("nobody looks at the digest", APPROVING, "if subject.digest is not None and", "if False and", OF_SERVICE),
    Fault("a first name is not kept", GUARDING, "if self._naming.name_field else {}\n        events", "if False else {}\n        events", OF_SERVICE),
    Fault("losses are forgotten with the process", DOCUMENTS, "        ledger.losses,\n", "        (),\n", OF_SERVICE),
    Fault("holds are forgotten with the process", DOCUMENTS, "tuple(ledger.holds.values()),", "(),", OF_SERVICE),
    Fault("two writers overwrite one another", STORE, "LEDGER.c.id == ONE, LEDGER.c.writes == bindparam(\"before\")", "LEDGER.c.id == ONE, LEDGER.c.writes <= bindparam(\"before\") + 10**9", OF_SERVICE),
    Fault("who leaves stays in the store", STORE, "parameters.drop(connection, inputs[given], list(tenants))", "pass", OF_SERVICE),
    Fault("who leaves with a read is not looked at", WATCHING, "if theirs or key.is_due:", "if key.is_due:", OF_NUDGES),
    Fault("who comes with a read is not looked at", WATCHING, "if any(map(rows.choose, some)):", "if False:", OF_NUDGES),
    Fault("who is back stays missing", WATCHING, "absences.pop(tenant, None)", "pass", OF_SERVICE),
    Fault("who is spoken of is not looked at", KEYS, "            of.version += 1\n            of.all_due()", "            of.version += 1", OF_NUDGES),
    Fault("what was foreseen excuses another configuration", FORESEEING, "key.absences = {**going, **decision.absences}", "key.absences = key.judged = {**going, **decision.absences}", OF_NUDGES),
    Fault("who is foreseen to leave begins to settle anew", FORESEEING, "{**going, **decision.absences}", "decision.absences", OF_NUDGES),
    Fault("what settles is not looked at again", FORESEEING, "key.is_due = key.is_due or decision.settling", "pass", OF_NUDGES),
    Fault("a hold is told", FORESEEING, "if not (decision.put or decision.dropped):", "if not (decision.put or decision.dropped or decision.kept):", OF_NUDGES),
    Fault("allowEmpty of the live spec is not known", FORESEEING, "else allows_empty\n", "else False\n", OF_NUDGES),
    Fault("the same value twice", NUDGING, 'await self._refreshed(name, f"{progress.digest}-{number}")', 'await self._refreshed(name, f"{progress.digest}-1")', OF_NUDGES),
    Fault("every change is told though nobody asked since", NUDGING, "return not any(max(one.asked, one.answered) > sent for one in differences)", "return False", OF_NUDGES),
    Fault("who does not ask is told as often as one looks", NUDGING, "progress.next = self._clock.monotonic() + wait", "progress.next = self._clock.monotonic() + 0 * wait", OF_NUDGES),
    Fault("who does not ask is never told again", NUDGING, "if progress.digest.startswith(_REFUSED):", "if True:", OF_NUDGES),
    Fault("a nudge that failed is taken as sent", NUDGING, "        except (ClusterError, NotReady) as error:\n            self._failed(name, progress, error)", "        except (ClusterError, NotReady):\n            progress.sent = self._clock.monotonic()\n            progress.next = math.inf", OF_NUDGES),
    Fault("nobody is told after an outage of ours", NUDGING, "if not live.failed_by_plugin:", "if True:", OF_NUDGES),
    Fault("what only people mend is told again and again", NUDGING, "            wait = math.inf\n", "            wait = 1.0\n", OF_NUDGES),
    Fault("other plugins' ApplicationSets are told", LIVE, "one.config_map in config_maps for", "True for", OF_NUDGES),
    Fault("a plugin in a matrix is not seen", LIVE, 'for kind in ("matrix", "merge"):', 'for kind in ("merge",):', OF_NUDGES),
    Fault("a selector is not looked at", LIVE, "return (Layer(requirements, is_whole=is_whole),) if requirements else ()", "return ()", OF_CLUSTER),
    Fault("a selector on a matrix is taken for one of the answer alone", LIVE, "layers = (*_layers(parts, problems, is_whole=False), *above)", "layers = (*_layers(parts, problems, is_whole=True), *above)", OF_CLUSTER),
    Fault("who still has one of two Applications lost none", SIGHT, "return any(was and not is_now for was", "return not any(self._seen(after)) and any(was and not is_now for was", OF_CLUSTER),
    Fault("who has no Application counts for the size", ASKING, "return sum(asked.count(given, one.released) for given, one in live.items())", "return sum(len(one.released) for one in live.values())", OF_CLUSTER),
    Fault("who has no Application counts for all", COUNTING, "return len(self._counts) - self._hidden({})", "return len(self._counts)", OF_CLUSTER),
    Fault("who has no Application keeps the last from being the last", DECISION, "            asked.sight.sees(encoded)\n            for tenant, before", "            True\n            for tenant, before", OF_CLUSTER),
    Fault("a remembered selector lets go", DECISION, "return sight.is_current and not is_held and", "return not is_held and", OF_CLUSTER),
    Fault("who has no Application is held at another lens", DECISION, "if not loses_nothing and self._is_across_lenses(", "if self._is_across_lenses(", OF_CLUSTER),
    Fault("who was held goes as one without an Application", DECISION, "return sight.is_current and not is_held and", "return sight.is_current and", OF_CLUSTER),
    Fault("who waits for an Application has one", DECISION, "is_held = hold is not None and hold.rule is not Rule.REPLACEMENT", "is_held = hold is not None", OF_CLUSTER),
    Fault("who is activated never waits", DECISION, "and (known is None or not sight.sees(known))", "and known is None", OF_CLUSTER),
    Fault("a selector is forgotten with the process", DOCUMENTS, "        spec=found.spec,\n", "", (*OF_CLUSTER, "tests/adapters/test_state.py", "-k", "not postgresql and not pgbouncer")),
    Fault("an edited selector changes nothing until the next read", GUARDING, "            self._count_anew(name)\n            self.spoken(name)", "            self._count_anew(name)", OF_CLUSTER),
    Fault("a row that changes settles anew", WATCHING, "return not is_missing or not (", "return True or not (", OF_CLUSTER),
    Fault("names of the live template are no identity", CIRCUMSTANCES, "(*self._policy.identity, *spec.identity)", "(*self._policy.identity,)", OF_CLUSTER),
    Fault("another consumer's cluster counts", SPECS, "return name.consumer in consumers and (self._consumers is not None or len(consumers) == 1)", "return True", OF_CLUSTER),
    Fault("nobody asks the cluster about a new input", EDITING, "            return await self.specs.look(name) is not None", "            return True", OF_CLUSTER),
    Fault("a preview is told at once", EDITING, "            and self.specs.is_settled(name)\n", "", OF_CLUSTER),
    Fault("another ApplicationSet of that name is taken for the same", EDITING, "            and any(map(spec.may_ask, own.known()))\n            and self", "            and self", OF_CLUSTER),
    Fault("an edit of one of several generators is taken for one of the only one", EDITING, "or not spec.is_single or", "or", OF_CLUSTER),
    Fault("who was held is let go by an edit", EDITED, "holds[given, tenant] = msgspec.structs.replace(hold, input=given)", "pass", OF_CLUSTER),
    Fault("a new input of a matrix is refused", FIRST, "if asked.still_asks(given):", "if False:", OF_CLUSTER),
    Fault("an input that is not asked for any more is let go", ASKING, "return spec is not None and spec.may_ask(self.input) and spec.may_ask(given)", "return spec is not None and spec.may_ask(self.input)", OF_CLUSTER),
    Fault("one moves to an input that is not asked for any more", CIRCUMSTANCES, "and not (known.is_live and known.spec is not None and not known.spec.may_ask(given))", "", OF_CLUSTER),
    Fault("a template may become anything", SPEC, "return written.keys() == given.keys() and all(", "return all(True or ", OF_CLUSTER),
    Fault("what stands counts for its window alone", GUARD, " or loss in source.standing", "", OF_CLUSTER),
    Fault("what stands is forgotten with its window", ASKING, " or loss in asked.standing", "", OF_CLUSTER),
    Fault("what is being deleted stands", WHEREABOUTS, "            not one.is_being_deleted\n            for live", "            True\n            for live", OF_CLUSTER),
    Fault("who is not deleted by Argo CD stands for ever", WHEREABOUTS, "name.application_set and live.deletes\n            for one", "name.application_set\n            for one", OF_CLUSTER),
    Fault("what an ApplicationSet owns is not looked at", STRAYS, "if not strays or (word", "if True or (word", OF_CLUSTER),
    Fault("what cannot be told apart is not counted", STRAYS, "if by_number and len(dark) > known - len(found):", "if False:", OF_CLUSTER),
    Fault("what is being deleted is a stranger", STRAYS, "[one for one in owned if not one.is_being_deleted]", "list(owned)", OF_CLUSTER),
    Fault("who left a moment ago is a stranger", RECOGNISING, "return [one for one in strays if one not in gone]", "return strays", OF_CLUSTER),
    Fault("what may go is asked about with each start", RECOGNISING, "strays = [one for one in strays if one not in self._ledger.own(name).strays]", "pass", OF_CLUSTER),
    Fault("what could not be answered is not compared again", RECOGNISING, "if of.recognised == origin and is_answered:", "if of.recognised == origin:", OF_CLUSTER),
    Fault("it is compared once for ever", RECOGNISING, "if of.recognised == origin and", "if of.recognised and", OF_CLUSTER),
    Fault("who is in the ledger is a stranger", RECOGNISING, "            yield from ((tenant, encoded) for tenant, encoded in baseline", "            yield from ((tenant, encoded) for tenant, encoded in {} and baseline", OF_CLUSTER),
    Fault("whom a selector leaves out is known", STRAYS, "            if sight.may_see(tenant.encoded):\n", "            if True:\n", OF_CLUSTER),
    Fault("what another generator overwrites counts as ours", SIGHT, "return not self.is_sure or self.is_met_by(parameters)", "return self.is_met_by(parameters)", OF_CLUSTER),
    Fault("in a matrix the last has the word", LIVE, "number == 0 or not go_template", "True", OF_CLUSTER),
    Fault("in a merge the first has the word", LIVE, "is_sure = first if kind == \"matrix\" else last", "is_sure = first", OF_CLUSTER),
    Fault("who could not be looked at is a preview", EDITING, "            looked\n            and spec", "            spec", OF_CLUSTER),
    Fault("control actions keep the text beside them", SPEC, "if _CONTROL.search(written) or any", "if any", OF_CLUSTER),
    Fault("a text in a tag ends it", SPEC, "any(\"{{\" in text or \"}}\" in text for text in texts)", "False", OF_CLUSTER),
    Fault("other ConfigMaps are left out", LIVE, "return self if uses else None", "return replace(self, plugins=tuple(one for one in self.plugins if config_maps is None or one.config_map in config_maps)) if uses else None", OF_CLUSTER),
    Fault("one that was made anew takes over", EDITING, "if spec.is_another(own.spec):", "if False:", OF_CLUSTER),
    Fault("a field that is gone is answered without", GUARDING, "        self._circumstances.require_fields(name, given, snapshot)\n", "", OF_CLUSTER),
    Fault("a leaf that is gone is no other name", ASKING, "return before is not None and before != after", "return None not in (before, after) and before != after", OF_CLUSTER),
    Fault("nobody asks before somebody goes freely", GUARDING, "if self._circumstances.go_freely(this, decision):", "if False:", OF_CLUSTER),
    Fault("a silent cluster lets go freely", GUARDING, "this = this if spec is not None else replace(this, lets_go=False)", "pass", OF_CLUSTER),
    Fault("whom a selector leaves out is served", WHEREABOUTS, "tenant in one.released and self._sight(name, given).may_see(one.released[tenant])", "tenant in one.released", OF_CLUSTER),
    Fault("whom a selector leaves out is missed", WHEREABOUTS, "if sight.sees_all or sight.may_see(one[1])", "if True", OF_CLUSTER),
    Fault("a namesake's removals stand", WHEREABOUTS, "        if not self._is_here(name):\n            return False\n", "", OF_CLUSTER),
    Fault("the number tells in a matrix", RECOGNISING, "spec.is_single or not self._ledger.own(name).baselines", "True", OF_CLUSTER),
    Fault("observing refuses", RECOGNISING, "if not self._circumstances.observes(name):", "if True:", OF_CLUSTER),
    Fault("who came back left", RECOGNISING, "if when and one.created <= when + _CLOCKS_DIFFER:", "if when:", OF_CLUSTER),
    Fault("an unknown one is answered while the cluster is away", RECOGNISING, "if not is_known and self._circumstances.specs.may_come(name):", "if False:", OF_CLUSTER),
    Fault("an input that Argo CD fills in counts as known", LIVE, 'exact = "{{" not in text and', "exact =", OF_NUDGES),
    Fault("who is behind answers", CATCHING_UP, "if changes(decision) and not self.may_follow(", "if False and not self.may_follow(", OF_REPLICAS),
    Fault("who ends a hold changes nothing", CATCHING_UP, "return bool(decision.put or decision.dropped or decision.began or decision.ended)", "return bool(decision.put or decision.dropped)", OF_REPLICAS),
    Fault("who leaves needs no read of its own", CATCHING_UP, "(this.read.began < this.began or not this.lets_go)", "not this.lets_go", OF_REPLICAS),
    Fault("by a standby anybody goes", CATCHING_UP, "        return all(one.standby for one in theirs) and all(", "        return True or all(", OF_REPLICAS),
    Fault("by a standby who was approved goes", DECISION, "return self._asked.doubtful or not self._asked.lets_go", "return self._asked.doubtful", OF_REPLICAS),
    Fault("where no read comes in time nobody is answered", GUARDING, "coming = replace(coming, lets_go=False)", "raise", OF_REPLICAS),
    Fault("windows go by the clock of one machine", MEMORY, "self.now() if self._base else opened)", "self._clock.now().timestamp(), self.now() if self._base else opened)", OF_REPLICAS),
    Fault("what others found of a timeline is never taken", WATCHING, "elif known is not None and known.turns > self._turns and", "elif False and", OF_REPLICAS),
    Fault("of standbys the slower one lets go", CATCHING_UP, "position.follows(one, self._watching.turns, after=True) for one in furthest", "True for one in furthest", OF_REPLICAS),
    Fault("how far whoever left had read is forgotten", CATCHING_UP, "for one in furthest", "for one in theirs", OF_REPLICAS),
    Fault("who was stopped for a minute takes the others for gone", REPLICAS, "if position.standby and self._ledger.is_shared:", "if False:", OF_REPLICAS),
    Fault("a first answer follows nothing", GUARDING, "        self.catching_up.require_to_be_new(this)\n", "", OF_REPLICAS),
    Fault("who is behind tells Argo CD", FORESEEING, "if not self.may_follow(name, key.input, snapshot.position, read):", "if False:", OF_REPLICAS),
    Fault("where an answer was read is forgotten", GUARDING, "            origin = position.released(self.watching.turns)", "            origin = None", OF_REPLICAS),
    Fault("what another one answered was answered here", ELSEWHERE, "                self._learned[name, given] = self._anew[name] = now", "                self._anew[name] = now", OF_REPLICAS),
    Fault("whom another one holds was held here", ELSEWHERE, "given in held or ", "", OF_REPLICAS),
    Fault("who repeats what another one answered has answered it", ELSEWHERE, "or one is None or one.origin != known.origin:", "or one is None or True:", OF_REPLICAS),
    Fault("what was answered before an edit was answered here", ELSEWHERE, "if one is not None and one.edited and name in self._anew:", "if False:", OF_REPLICAS),
    Fault("who was answered otherwise elsewhere is missing since before", KEYS, "key.absences = still_missing(key.absences, before.released, after.released)", "pass", OF_REPLICAS),
    Fault("whom a new input costs needs no read of its own", CATCHING_UP, "leaves = bool(decision.dropped or decision.lost)", "leaves = bool(decision.dropped)", OF_REPLICAS),
    Fault("who was asked long ago tells who is the last", CIRCUMSTANCES, "watched_since=key.polled_before if self._ledger.is_shared else math.inf,", "watched_since=math.inf,", OF_REPLICAS),
    Fault("a standby behind at its start is a restored backup", WATCHING, "if known is not None and not position.standby:", "if known is not None:", OF_REPLICAS),
    Fault("where a source stands goes back with its standby", MEMORY, "if known is None or _progress(known) < _progress(origin):", "if True:", OF_REPLICAS),
    Fault("a standby is never behind", POSITION, "            return self.lsn >= released.reached\n        if released.standby", "            return True\n        if released.standby", OF_REPLICAS),
    Fault("an equal position is proof", POSITION, "return self.lsn > released.reached or (", "return self.lsn >= released.reached or (", OF_REPLICAS),
    Fault("what was before a restored backup follows it", POSITION, "return turns > released.turns and after", "return after", OF_REPLICAS),
    Fault("any configuration answers", REPLICAS, "        if self._finds_out(any(one.configuration in later for one in self.others)):\n            raise OlderConfiguration\n        return", "        return", OF_REPLICAS),
    Fault("an older configuration never comes back", REPLICAS, "if self._finds_out(any(one.configuration in later for one in self.others)):", "if later:", OF_REPLICAS),
    Fault("a configuration that changes nothing is no newer one", GUARDING, "(configuration is None or self.replicas.is_newest(configuration))", "True", OF_REPLICAS),
    Fault("who was not seen for long is there", REPLICAS, "if one.age < ALIVE]", "]", OF_REPLICAS),
    Fault("whoever is too late gives up", TRYING, "if not await tries.another():\n                    raise", "raise", OF_REPLICAS),
    Fault("limits are over one ApplicationSet where two processes cross", GUARDING, "of_all = bool(decision.dropped or decision.lost or decision.began or not own.baselines)", "of_all = False", OF_REPLICAS),
    Fault("what cannot be sent is kept from the others", NUDGING, "            with suppress(NotReady):  # It is tried again with the next nudge.\n                await self._give_back(name, progress)\n", "", OF_TELLING),
    Fault("what could not be given back is forgotten", NUDGING, "        await self._give_back(name, progress)\n        is_check", "        is_check", OF_TELLING),
    Fault("what is left to another is sent for sure", NUDGING, "            progress.check = self._clock.monotonic() + min(_LONGEST_CHECK, backoff(progress.left))\n", "", OF_TELLING),
    Fault("what is left to another is not sent within seconds", NUDGING, "_LATELY if progress.next <= now else _FIRST_REPEAT", "_LATELY", OF_TELLING),
    Fault("who asked in vain was told", NUDGING, ", now - progress.asked)", ", math.inf)", OF_TELLING),
    Fault("what another one answered was not asked for", NUDGING, "max(one.asked, one.answered) > sent", "one.asked > sent", OF_TELLING),
    Fault("what was given back and fails again was told", NUDGING, "                progress.sent = None  # It was given back: nobody was told.\n", "                pass\n", OF_TELLING),
    Fault("who is asked after another one told reads nothing", GUARDING, "        await self.catching_up.heed()\n", "", OF_TELLING),
    Fault("what was prepared before another one told is good", GUARDING, "            self.catching_up.is_told\n            or snapshots", "            snapshots", OF_TELLING),
    Fault("who cannot read what another one told tries again and again", CATCHING_UP, "                    self._heeded = told\n", "", OF_TELLING),
    Fault("who told reads what it told", OTHERS, "        self._own += 1\n", "", OF_TELLING),
    Fault("what hangs is kept from the others", NUDGING, "async with asyncio.timeout(_LATELY):", "async with asyncio.timeout(None):", OF_TELLING),
    Fault("a burst is told after each pass", NUDGING, "pace.last + _BURST * pace.gap > progress.since", "pace.last + pace.gap > progress.since", OF_NUDGES),
)  # fmt: skip


NO_FAULT = Fault("none", GUARD, "return removals <= max(", "return removals <= max(")


def caught(fault: Fault, folder: Path) -> bool:
    """Tell whether the tests fail on a copy of the code with this fault; raises ValueError if it cannot be planted."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "src", folder, ignore=shutil.ignore_patterns("__pycache__"))
    module = folder / "tenantry" / f"{fault.module}.py"
    text = module.read_text()
    if text.count(fault.right) != 1:
        raise ValueError(f"{fault.what}: stands {text.count(fault.right)} times in {fault.module}: {fault.right!r}")
    module.write_text(text.replace(fault.right, fault.wrong))
    command = [sys.executable, "-m", "pytest", "-n0", "-q", "-x", "-p", "no:cacheprovider", *fault.tests]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False).returncode == 1


def main() -> int:
    """Plant every fault, or those that are named, and tell which were missed."""
    named = sys.argv[1:]
    faults = [fault for fault in FAULTS if not named or fault.what in named]
    missed = 0
    with tempfile.TemporaryDirectory() as scratch:
        for tests in dict.fromkeys(fault.tests for fault in faults):
            if caught(NO_FAULT._replace(tests=tests), Path(scratch) / "src"):
                sys.stdout.write(f"{tests[0]} fails on the guard as it is.\n")
                return 1
        for fault in faults:
            found = caught(fault, Path(scratch) / "src")
            missed += not found
            sys.stdout.write(f"{'caught' if found else 'MISSED'}  {fault.what}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(faults) - missed} of {len(faults)} faults were caught.\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
