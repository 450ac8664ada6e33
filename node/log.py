"""The node's log: lines for people or JSON on standard error, with every secret taken out first."""

import logging
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Literal

_absent = object()
_rich = sys.modules.get("rich", _absent)
if (
    _rich is _absent
):  # structlog would load rich for its tracebacks: 5 MB and 45 ms that a node has no use for
    sys.modules["rich"] = None  # type: ignore[assignment]  # the documented way to make an import fail
import structlog  # noqa: E402  # must follow the lines above

if _rich is _absent:
    del sys.modules["rich"]

REDACTED = "[redacted]"
TEXT_CHARS_MAX = 8_192  # a line that a log collector takes whole; a traceback of ours is under 4 kB
DEPTH_MAX = 6  # deeper values are shown as "…"
ITEMS_MAX = 100

_SECRET_NAME = re.compile(
    r"(?i)(^|[_.-])(secret|password|passphrase|token|private|keys?|credentials?|pem)([_.-]|$)"
)
_HARMLESS_NAME = re.compile(r"(?i)(public|fingerprint|_id$|_s$|_ms$|_bytes$|_count$|_max$|^key$)")
_PRIVATE_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
_TOKEN = re.compile(r"\bfm1-[A-Za-z0-9_.~-]+")
_URL_PASSWORD = re.compile(r"(?<=://)([^/\s:@]+):[^/\s@]+@")


def set_up_log(form: Literal["readable", "json"] = "readable", level: str = "info") -> None:
    """Sends structlog and the standard library's loggers, redacted, to standard error. Call once, at the start."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        redact,
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(form)],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # module-level loggers follow a later set-up
    )


def redact(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Replaces values with secret-sounding names, and private keys, tokens and passwords inside any text."""
    return {name: _value(name, value, 0) for name, value in event.items()}


def redact_text(text: str) -> str:
    """The text without private keys, join tokens and passwords in URLs, and of bounded length."""
    text = _PRIVATE_PEM.sub(REDACTED, text)
    text = _TOKEN.sub(REDACTED, text)
    text = _URL_PASSWORD.sub(rf"\1:{REDACTED}@", text)
    return text if len(text) <= TEXT_CHARS_MAX else f"{text[:TEXT_CHARS_MAX]}… ({len(text)} characters)"


def _value(name: str, value: Any, depth: int) -> Any:
    if _is_secret(name) and value is not None:
        return REDACTED
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"  # wire or key material: never worth a log line
    if depth >= DEPTH_MAX:
        return "…"
    if isinstance(value, Mapping):
        pairs = list(value.items())[:ITEMS_MAX]
        return {str(key): _value(str(key), item, depth + 1) for key, item in pairs}
    if isinstance(value, list | tuple | set | frozenset):
        return _items(value, depth)
    if name.startswith("_"):  # structlog's own: the record and where it came from
        return value
    return redact_text(
        repr(value) if not isinstance(value, BaseException) else f"{type(value).__name__}: {value}"
    )


def _items(values: Iterable[Any], depth: int) -> list[Any]:
    return [_value("", item, depth + 1) for item in list(values)[:ITEMS_MAX]]


def _is_secret(name: str) -> bool:
    return bool(_SECRET_NAME.search(name)) and not _HARMLESS_NAME.search(name)


def _renderer(form: Literal["readable", "json"]) -> structlog.typing.Processor:
    if form == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=28
    )
