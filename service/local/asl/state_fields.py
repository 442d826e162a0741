"""The fields of each type of state.

Source: Amazon States Language specification, "State Types"; AWS Step Functions Developer Guide, "Map workflow state".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from service.local.asl.jsonata_language import JsonataLanguage
from service.local.asl.jsonpath_language import JsonPathLanguage
from service.local.asl.language import COUNT, PERCENTAGE, SECONDS, TEXT, TIMESTAMP
from service.local.asl.placeholders import found_in
from service.local.asl.retry_fields import catchers, retriers
from service.local.asl.scope import Constant
from service.local.asl.states import Batcher, Choice, Fail, Flow, Map, Parallel, Pass, Rule, State, Succeed, Task, Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from collections.abc import Set as AbstractSet

    from service.local.asl.fields import Fields
    from service.local.asl.language import Language
    from service.local.asl.resources import Resources
    from service.local.asl.scope import DataFlow, Value
    from service.local.json_text import Json

_LANGUAGES: Final[dict[str, Language]] = {"JSONata": JsonataLanguage(), "JSONPath": JsonPathLanguage()}
_ARGUMENTS: Final = {"JSONata": "Arguments", "JSONPath": "Parameters"}
_NESTED: Final = {"Branches", "ItemProcessor", "Iterator", "Comment"}


class StateParser:
    """Compiles the states of one definition; whatever is wrong goes to the report of their fields."""

    def __init__(self, language: str, resources: Resources, unknown: AbstractSet[str]) -> None:
        """Take the definition's query language, and the names of placeholders that have no value."""
        self._language = language
        self._resources = resources
        self._unknown = unknown

    def flow(self, fields: Fields, *, apart: bool = False) -> Flow:
        """Compile StartAt and States; a flow `apart` does not see the variables around it."""
        fields.targets = []
        start_at = fields.target("StartAt")
        sources = fields.take("States", dict)
        fields.reject_unknown()
        with fields.report.flow(apart=apart):
            states = {
                name: self._state(name, fields.part(f"state {name!r}", source)) for name, source in sources.items()
            }
        for origin, field, target in fields.targets:
            if target not in states:
                origin.fault(field, f"leads to state {target!r}, which does not exist")
        return Flow(start_at, states)

    def _state(self, name: str, fields: Fields) -> State:
        fields.report.has_state(name)
        kind = fields.take("Type", str)
        fields.take("Comment", str, "")
        language = self._language_of(fields)
        if not (kind in {"Task", "Map"} and self._mocked(name, fields.peek("Resource"))):
            self._check_placeholders(fields)
        state = self._compile(name, kind, fields, language)
        if kind in _KINDS:
            fields.reject_unknown(language.not_taken)
        return state

    def _language_of(self, fields: Fields) -> Language:
        name = fields.take("QueryLanguage", str, self._language)
        if name == "JSONPath" and self._language == "JSONata":
            fields.fault("QueryLanguage", "cannot be JSONPath in a definition whose language is JSONata")
        elif name not in _LANGUAGES:
            fields.fault("QueryLanguage", "must be JSONata or JSONPath")
        return _LANGUAGES.get(name) or _LANGUAGES.get(self._language) or _LANGUAGES["JSONPath"]

    def _mocked(self, name: str, resource: Json) -> bool:
        return self._resources.mocked(name, resource if isinstance(resource, str) else "")

    def _check_placeholders(self, fields: Fields) -> None:
        for field in fields.names():
            if self._unknown and field not in _NESTED:
                for name in found_in(fields.peek(field), self._unknown):
                    fields.fault(field, f"has the unknown placeholder ${{{name}}}; give it a value: --set {name}=VALUE")

    def _compile(self, name: str, kind: str, fields: Fields, language: Language) -> State:
        arguments = fields.peek(_ARGUMENTS[language.name])
        source = _Source(name, fields, language, language.data(fields, kind), arguments)
        if kind not in _KINDS:
            if kind:  # that a type is missing has been reported
                fields.fault("Type", f"{kind!r} does not exist")
            return Succeed(data=source.data)
        return _KINDS[kind](self, source)

    def pass_(self, source: _Source) -> State:
        """Compile a Pass."""
        return Pass(data=source.data, next=_next(source.fields))

    def succeed(self, source: _Source) -> State:
        """Compile a Succeed."""
        return Succeed(data=source.data)

    def fail(self, source: _Source) -> State:
        """Compile a Fail."""
        error, cause = (source.language.value(source.fields, field, TEXT) for field in ("Error", "Cause"))
        return Fail(source.data, error, cause)

    def choice(self, source: _Source) -> State:
        """Compile a Choice."""
        return Choice(data=source.data, rules=tuple(_rules(source)), next=source.fields.target("Default", None))

    def wait(self, source: _Source) -> State:
        """Compile a Wait."""
        fields = source.fields
        forms = [name for name in ("Seconds", "SecondsPath", "Timestamp", "TimestampPath") if name in fields]
        seconds = source.language.value(fields, "Seconds", SECONDS)
        timestamp = source.language.value(fields, "Timestamp", TIMESTAMP)
        if not forms:
            fields.fault("Seconds", "is missing")
        elif seconds is not None and timestamp is not None:
            fields.fault(forms[1], f"and {forms[0]} must not both be there")
        return Wait(data=source.data, seconds=seconds, timestamp=timestamp, next=_next(fields))

    def task(self, source: _Source) -> State:
        """Compile a Task."""
        fields = source.fields
        resource = fields.take("Resource", str)
        fields.take("Credentials", dict, None)
        if resource and not self._mocked(source.name, resource):
            for field, reason in self._resources.refusal(resource, source.arguments):
                place = _ARGUMENTS[source.language.name] + (f".{field}" if field else "")
                fields.fault(field if field == "Resource" else place, reason)
        return Task(
            data=source.data,
            resource=resource,
            timeout=source.language.value(fields, "TimeoutSeconds", SECONDS),
            heartbeat=source.language.value(fields, "HeartbeatSeconds", SECONDS),
            retry=tuple(retriers(fields)),
            catch=tuple(catchers(fields, source.language)),
            next=_next(fields),
        )

    def parallel(self, source: _Source) -> State:
        """Compile a Parallel."""
        return Parallel(
            data=source.data,
            branches=tuple(self.flow(branch) for branch in source.fields.each("Branches")),
            retry=tuple(retriers(source.fields)),
            catch=tuple(catchers(source.fields, source.language)),
            next=_next(source.fields),
        )

    def map(self, source: _Source) -> State:
        """Compile a Map."""
        fields, language = source.fields, source.language
        processor = "Iterator" if "Iterator" in fields and "ItemProcessor" not in fields else "ItemProcessor"
        part = fields.part(f"{fields.where}, {processor}", fields.take(processor, dict))
        distributed = part.take("ProcessorConfig", dict, {}).get("Mode") == "DISTRIBUTED"
        reads = "ItemReader" in fields
        if reads and not self._mocked(source.name, ""):
            fields.fault("ItemReader", "needs a mock of this state that returns the items (--mocks or workflows.toml)")
        fields.take("ItemReader", dict, {})
        return Map(
            data=source.data,
            processor=self.flow(part, apart=distributed),
            distributed=distributed,
            items=language.items(fields),
            reads=reads,
            writer=_writer(fields, language),
            label=fields.take("Label", str, ""),
            selector=language.item_selector(fields),
            batcher=_batcher(fields, language),
            concurrency=language.value(fields, "MaxConcurrency", COUNT),
            tolerated_count=language.value(fields, "ToleratedFailureCount", COUNT),
            tolerated_percentage=language.value(fields, "ToleratedFailurePercentage", PERCENTAGE),
            retry=tuple(retriers(fields)),
            catch=tuple(catchers(fields, language)),
            next=_next(fields),
        )


class _Source(NamedTuple):
    """A state whose data flow has been compiled."""

    name: str
    fields: Fields
    language: Language
    data: DataFlow
    arguments: Json
    """Arguments or Parameters as they are in the definition."""


_KINDS: Final[dict[str, Callable[[StateParser, _Source], State]]] = {
    "Pass": StateParser.pass_,
    "Succeed": StateParser.succeed,
    "Fail": StateParser.fail,
    "Choice": StateParser.choice,
    "Wait": StateParser.wait,
    "Task": StateParser.task,
    "Parallel": StateParser.parallel,
    "Map": StateParser.map,
}


def _batcher(fields: Fields, language: Language) -> Batcher | None:
    if "ItemBatcher" not in fields:
        return None
    batcher = fields.part(f"{fields.where}, ItemBatcher", fields.take("ItemBatcher", dict))
    compiled = Batcher(
        language.value(batcher, "MaxItemsPerBatch", COUNT),
        language.value(batcher, "MaxInputBytesPerBatch", COUNT),
        language.template(batcher, "BatchInput"),
    )
    batcher.reject_unknown(language.not_taken)
    return compiled


def _writer(fields: Fields, language: Language) -> Value | None:
    """Compile the arguments of a ResultWriter that names a resource; one that does not leaves the results in place."""
    writer = fields.part(f"{fields.where}, ResultWriter", fields.take("ResultWriter", dict, {}))
    arguments = language.template(writer, _ARGUMENTS[language.name])
    return (arguments or Constant({})) if "Resource" in writer else None


def _next(fields: Fields) -> str | None:
    end = fields.take("End", bool, False)
    present = "Next" in fields
    target: str | None = fields.target("Next", None)
    if end is present:
        fields.fault("Next", "a state needs either Next or End: true")
    return target


def _rules(source: _Source) -> Iterator[Rule]:
    for rule in source.fields.each("Choices"):
        rule.take("Comment", str, "")
        condition: Value = source.language.condition(rule)
        yield Rule(condition, rule.target("Next"), source.language.rule_data(rule, source.data))
        rule.reject_unknown(source.language.not_taken)
