"""Events about executions, as their workflows and the relay publish them."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from service.stepfunctions import json_text


class Reply(msgspec.Struct):
    """An event about an execution, from its workflow or from the relay (docs/workflows.md); other members are ignored.

    The relay has the output as text only.
    """

    id: str
    status: str
    output: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    output_text: str | None = msgspec.field(default=None, name="outputText")
    error: Any = None
    redrives_: Any = msgspec.field(default=None, name="redrives")
    progress: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def redrives(self) -> int | None:
        """How often the execution had been redriven before it ended so; None if the event does not say."""
        return self.redrives_ if isinstance(self.redrives_, int) else None


_REPLY: Final = msgspec.json.Decoder(Reply)


def decode(event: str) -> Reply:
    """Decode an event; raise ValueError or RecursionError if it is not a reply."""
    try:
        return _REPLY.decode(event)
    except ValueError:
        pass
    # JSON text may contain lone surrogates, for example where a cause was cut, but msgspec refuses them.
    members = json_text.loads(event.encode(errors="surrogatepass"))
    match members:
        case {"id": str(id_), "status": str(status)}:
            raw = {name: _raw(members[name]) for name in ("output", "progress") if name in members}
            text, error, redrives = (members.get(name) for name in ("outputText", "error", "redrives"))
            if text is None or isinstance(text, str):
                return Reply(id_, status, output_text=text, error=error, redrives_=redrives, **raw)
    raise ValueError("not a reply")


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value, allow_nan=False).encode())
