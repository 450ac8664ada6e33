"""Who imports whom: every Python file of a tree, what it imports, and which of DESIGN.md's rules that breaks."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

PACKAGES = ("mesh", "crdt_state", "vectorsync", "node", "cloud_bridge", "simulations")
LINES_MAX = 600

CORES = (
    *(
        "mesh",
        "mesh.*",
        "crdt_state",
        "crdt_state.*",
        "vectorsync",
        "vectorsync.*",
        "cloud_bridge",
        "cloud_bridge.*",
    ),
    *("node.core", "node.views", "node.doctor", "node.tokens", "node.guesses", "node.joining"),
    *("node.errors", "node.exits", "node.join_errors"),
)
ADAPTERS = (
    *("mesh.io", "mesh.io.*", "crdt_state.storage", "vectorsync.lance"),
    *("cloud_bridge.uplink", "cloud_bridge.server"),
)
VALUES = (  # the standard library's values, and the three packages that compute without I/O of their own
    *(
        "__future__",
        "abc",
        "array",
        "base64",
        "binascii",
        "bisect",
        "collections",
        "collections.abc",
        "contextlib",
    ),
    *(
        "copy",
        "dataclasses",
        "datetime",
        "decimal",
        "enum",
        "fractions",
        "functools",
        "hashlib",
        "heapq",
        "hmac",
    ),
    *(
        "ipaddress",
        "itertools",
        "json",
        "math",
        "numbers",
        "operator",
        "re",
        "statistics",
        "string",
        "struct",
    ),
    *("textwrap", "types", "typing", "unicodedata", "urllib.parse", "zlib"),
    *("msgspec", "msgspec.*", "numpy", "numpy.*", "pycrdt", "cryptography", "cryptography.*"),
)
IMPURE_CALLS = (
    "open",
    "print",
    "input",
    "hash",
    "exec",
    "eval",
    "breakpoint",
)  # hash() differs from run to run
IMPURE_METHODS = (
    "now",
    "utcnow",
    "today",
    "generate",
    "from_os_entropy",
    "generate_key",
)  # clocks; keys by chance

HEAVY = {"lancedb": ("vectorsync.lance",), "llama_cpp": ("node.models", "node.models.*")}
FOR_PEOPLE = {  # by whom each may be imported: a node that runs has no use for them
    "click": ("node.cli", "node.cli.*", "simulations", "simulations.*"),
    "rich": ("node.cli", "node.cli.*", "simulations", "simulations.*"),
}


@dataclass(frozen=True)
class Import:
    module: str
    names: tuple[str, ...]  # of `from module import names`; empty for `import module`
    line: int


@dataclass(frozen=True)
class Source:
    """One Python file, as far as the rules care."""

    module: str
    imports: tuple[Import, ...]
    calls: tuple[tuple[str, int], ...]  # f(...) as "f", x.f(...) as ".f", f() without arguments also as "f()"
    texts: frozenset[str]  # string constants that could name a module
    lines: int


def source_of(module: str, text: str) -> Source:
    tree = ast.parse(text)
    nodes = list(ast.walk(tree))
    return Source(
        module,
        tuple(found for node in nodes for found in _imports(node)),
        tuple(found for node in nodes if isinstance(node, ast.Call) for found in _calls(node)),
        frozenset(
            node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ),
        text.count("\n"),
    )


def sources_in(root: Path, packages: Sequence[str] = PACKAGES) -> dict[str, Source]:
    """Every module of these packages, by its dotted name."""
    found = {}
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            module = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
            found[module] = source_of(module, path.read_text(encoding="utf-8"))
    return found


def is_core(module: str) -> bool:
    return _matches(module, CORES) and not _matches(module, ADAPTERS)


def impurities(source: Source) -> Iterator[str]:
    """What a core may not do: import I/O, time or chance, another package's adapter, or call one of their names."""
    if not is_core(source.module):
        return
    for found in source.imports:
        if not _is_pure_import(found):
            yield f"{source.module}:{found.line} is a core and imports {_shown(found)}"
    for name, line in source.calls:
        if name in IMPURE_CALLS or (name.removeprefix(".") in IMPURE_METHODS and name.startswith(".")):
            yield f"{source.module}:{line} is a core and calls {name}()"
        if name == "Random()":
            yield f"{source.module}:{line} is a core and seeds Random itself"


def strangers(source: Source) -> Iterator[str]:
    """Imports that belong elsewhere: the simulations, heavy packages, packages for people."""
    for found in source.imports:
        top = found.module.partition(".")[0]
        if top in ("simulations", "tests") and source.module.partition(".")[0] not in (
            "simulations",
            "tests",
        ):
            yield f"{source.module}:{found.line} imports {found.module}"
        for allowed in (HEAVY.get(top), FOR_PEOPLE.get(top)):
            if allowed is not None and not _matches(source.module, allowed):
                yield f"{source.module}:{found.line} imports {top}"


def orphans(sources: Mapping[str, Source], roots: Sequence[str]) -> list[str]:
    """Modules that nothing leads to from these, by an import or by a text like "package.module:name"."""
    reached: set[str] = set()
    waiting = [root.partition(":")[0] for root in roots]
    while waiting:
        module = waiting.pop()
        if module in sources and module not in reached:
            reached.add(module)
            waiting += [".".join(module.split(".")[:end]) for end in range(1, module.count(".") + 1)]
            waiting += _leads(sources[module])
    empty = {module for module, source in sources.items() if not source.imports and not source.calls}
    packages = {name.rpartition(".")[0] for name in sources} | set(PACKAGES)
    return sorted(set(sources) - reached - (empty & packages))


def too_long(source: Source) -> Iterator[str]:
    if source.lines > LINES_MAX:
        yield f"{source.module} has {source.lines} lines"


def _imports(node: ast.AST) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(alias.name, (), node.lineno)
    elif isinstance(node, ast.ImportFrom):
        module = "." * node.level + (node.module or "")
        yield Import(module, tuple(alias.name for alias in node.names), node.lineno)


def _calls(node: ast.Call) -> Iterator[tuple[str, int]]:
    if isinstance(node.func, ast.Attribute):
        yield f".{node.func.attr}", node.lineno
    elif isinstance(node.func, ast.Name):
        yield node.func.id, node.lineno
        if not node.args and not node.keywords:
            yield f"{node.func.id}()", node.lineno


def _is_pure_import(found: Import) -> bool:
    if found.module == "random":
        return found.names == ("Random",)  # the type of the chance that is handed in
    if found.module.partition(".")[0] in PACKAGES:
        members = [f"{found.module}.{name}" for name in found.names]
        return is_core(found.module) and not any(_matches(member, ADAPTERS) for member in members)
    return _matches(found.module, VALUES)


def _leads(source: Source) -> Iterator[str]:
    for found in source.imports:
        yield found.module
        yield from (f"{found.module}.{name}" for name in found.names)
    for text in source.texts:
        if re.fullmatch(r"[a-z_]+(\.[a-z_]+)+(:\w+)?", text):
            yield text.partition(":")[0]


def _matches(module: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(module, pattern) for pattern in patterns)


def _shown(found: Import) -> str:
    return f"{', '.join(found.names)} from {found.module}" if found.names else found.module
