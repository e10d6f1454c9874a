"""The house stands as README.md draws it: imports point down, one place for each foreign thing, one clock.

The floors table in README.md is the plan; these tests read it, compare it with the folders, and print every line that breaks it.
"""

from __future__ import annotations

import ast
import re
import subprocess
from dataclasses import dataclass
from functools import cache

import pytest

TOP_LEVEL_FILES = {"environment.yml", "pyproject.toml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md"}
TOP_LEVEL_FOLDERS = {"notebooks", "workbench", "apps", "data", "tests"}

# foreign package -> the only places that may import it
HOMES = {
    "polygon": ("sources/polygon/",),
    "massive": ("sources/polygon/",),
    "alpaca": ("sources/alpaca/",),
    "exchange_calendars": ("sessions.py",),
    "duckdb": ("history/",),
    "httpx": ("hub/remote/",),
    "pyarrow": ("history/",),
    "panel": ("views/",),
    "bokeh": ("views/",),
    "param": ("views/",),
    "holoviews": ("views/",),
    "hvplot": ("views/",),
    "streamz": ("hub/series.py", "views/"),
    "ipywidgets": ("views/",),
    "pydantic": ("config.py", "api/"),
    "fastapi": ("api/",),
    "starlette": ("api/",),
    "uvicorn": ("api/",),
    "httptools": ("api/",),
    "prometheus_client": ("api/",),
    "pydantic_settings": ("config.py",),
    "typer": ("cli/",),
    "QuantLib": ("options/",),
    "sqlalchemy": ("journal/",),
    "alembic": ("journal/",),
    "sqlite3": ("journal/", "doctor.py"),
}

# calls that read the time or unseeded chance: what they are -> the only file that may
CLOCK_CALLS = re.compile(
    r"(^|\.)time\.(time|time_ns|monotonic|monotonic_ns|sleep|localtime|ctime)$"
    r"|(^|\.)datetime\.(now|utcnow|today)$|(^|\.)date\.today$|(^|\.)Timestamp\.(now|utcnow|today)$"
)
CHANCE_CALLS = re.compile(
    r"(^|\.)(np|numpy)\.random\.(?!default_rng$|Generator$|SeedSequence$|PCG64$|Philox$)\w+$|^random\.(?!Random$)\w+$|(^|\.)uuid[14]$|^secrets\.\w+$"
)
ENVIRONMENT_READS = re.compile(r"(^|\.)os\.(environ|environb|getenv)(\.|$)")


@dataclass(frozen=True)
class Row:
    """One line of the floors table: which paths stand on which floor, and what they may import besides themselves."""

    floor: int
    paths: tuple[str, ...]
    floors_below: frozenset[int]
    extra_paths: tuple[str, ...]


def table(root):
    """Return the rows of README's floors table."""
    section = (root / "README.md").read_text().split("## Floors")[1].split("\n## ")[0]
    rows = []
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[0].isdigit():
            allowed = cells[3]
            numbers = frozenset(int(n) for n in re.findall(r"\d+", re.sub(r"`[^`]*`", "", allowed)))
            rows.append(Row(int(cells[0]), tuple(re.findall(r"`([^`]+)`", cells[1])), numbers, tuple(re.findall(r"`([^`]+)`", allowed))))
    return rows


@pytest.fixture(scope="module")
def rows(root):
    found = table(root)
    assert found, "README.md has no floors table"
    return found


def sources(root, *folders):
    """Return every Python file of the folders, with its path inside the package (apps/… for apps)."""
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            inner = path.relative_to(root / "workbench") if folder == "workbench" else path.relative_to(root)
            yield inner.as_posix(), path


def row_of(rows, inner):
    """Return the row with the longest path that holds this file, or None."""
    held = [(len(path), row) for row in rows for path in row.paths if inner == path or (path.endswith("/") and inner.startswith(path))]
    return max(held, key=lambda pair: pair[0])[1] if held else None


def resolve(root, module):
    """Return the file inside the package that `import workbench.…` reads: a module, or a package's __init__."""
    parts = module.split(".")[1:]
    base = root / "workbench"
    for used in (parts, parts[:-1]):
        path = base.joinpath(*used)
        if path.with_suffix(".py").is_file() and used:
            return path.with_suffix(".py").relative_to(base).as_posix()
        if (path / "__init__.py").is_file():
            return (path / "__init__.py").relative_to(base).as_posix()
    return None


@cache
def parsed(path):
    """Return every node of a file's syntax tree, the module first; read once, since each rule looks at the same files."""
    return list(ast.walk(ast.parse(path.read_text(), str(path))))


def imports(path, inner):
    """Yield (line, absolute module, names) of every import statement, function bodies included."""
    package = ["workbench", *inner.split("/")[:-1]]
    for node in parsed(path):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, ()
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            yield node.lineno, module, tuple(alias.name for alias in node.names)


def targets(root, module, names):
    """Return the package's files that one import statement reads."""
    if module.split(".")[0] != "workbench":
        return set()
    found = {resolve(root, f"{module}.{name}") for name in names} or {resolve(root, module)}
    return {target for target in found if target is not None}


def dotted(node):
    """Return 'a.b.c' for a chain of names, '' for anything else."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def offences(root, pattern, *, but, folders=("workbench", "apps")):
    """Return 'file:line: code' of every use whose dotted name matches, except in the files `but`."""
    found = []
    for inner, path in sources(root, *folders):
        if inner in but:
            continue
        text = path.read_text()
        aliases = import_names(parsed(path))
        for node in parsed(path):
            if isinstance(node, ast.Attribute | ast.Name):
                name = dotted(node)
                head, _, rest = name.partition(".")
                full = aliases.get(head, head) + (f".{rest}" if rest else "")
                if name and pattern.search(full):
                    found.append(f"{path.relative_to(root)}:{node.lineno}: {text.splitlines()[node.lineno - 1].strip()}")
    return sorted(set(found))


def import_names(nodes):
    """Return local name -> what it was imported as."""
    names = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.asname: alias.name for alias in node.names if alias.asname}
            names |= {top: top for alias in node.names if not alias.asname for top in [alias.name.split(".")[0]]}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


# -- floors -----------------------------------------------------------------------------------------------------------------


def test_every_file_of_the_package_stands_on_a_floor(root, rows):
    homeless = [inner for inner, _ in sources(root, "workbench", "apps") if inner != "__init__.py" and row_of(rows, inner) is None]
    assert homeless == [], "files that README's floors table does not name"


def test_every_path_of_the_floors_table_exists(root, rows):
    places = {path: root / ("" if path.startswith("apps/") else "workbench") / path for row in rows for path in row.paths}
    gone = [path for path, place in places.items() if not place.exists()]
    assert gone == [], "README's floors table names what is not there"


def test_the_floors_table_is_in_order_from_the_ground_up(rows):
    assert [row.floor for row in rows] == sorted(row.floor for row in rows)
    assert all(below < row.floor or (row.floor == 0 == below) for row in rows for below in row.floors_below)


def test_imports_point_down(root, rows):
    broken = []
    for inner, path in sources(root, "workbench", "apps"):
        own = row_of(rows, inner)
        if own is None:
            continue  # the public names at the top, and what the test above reports
        for line, module, names in imports(path, inner):
            for target in targets(root, module, names):
                other = row_of(rows, target)
                if other is None or other is own or other.floor in own.floors_below:
                    continue
                if any(target == extra or (extra.endswith("/") and target.startswith(extra)) for extra in own.extra_paths):
                    continue
                broken.append(f"{path.relative_to(root)}:{line}: floor {own.floor} imports {target} of floor {other.floor}")
    assert broken == [], "\n".join(broken)


def test_no_module_imports_itself_through_others(root):
    graph = {inner: set() for inner, _ in sources(root, "workbench")}
    for inner, path in sources(root, "workbench"):
        if inner == "__init__.py":
            continue
        top = {node.lineno for node in parsed(path)[0].body if isinstance(node, ast.Import | ast.ImportFrom)}
        for line, module, names in imports(path, inner):
            if line in top:
                graph[inner] |= targets(root, module, names) - {inner, "__init__.py"}
    assert find_cycle(graph) == []


def find_cycle(graph):
    """Return one ring of modules that import each other, [] when there is none."""
    done, path = set(), []

    def visit(node):
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        path.append(node)
        for target in sorted(graph.get(node, ())):
            ring = visit(target)
            if ring:
                return ring
        path.pop()
        done.add(node)
        return []

    return next((ring for node in sorted(graph) if (ring := visit(node))), [])


def test_each_foreign_package_has_one_home(root):
    astray = []
    for inner, path in sources(root, "workbench"):
        for line, module, _ in imports(path, inner):
            homes = HOMES.get(module.split(".")[0])
            if homes and not any(inner == home or inner.startswith(home) for home in homes):
                astray.append(f"workbench/{inner}:{line}: import {module}, at home in {', '.join(homes)}")
    assert astray == [], "\n".join(astray)


# -- determinism ------------------------------------------------------------------------------------------------------------


def test_only_the_clock_reads_the_time(root):
    found = offences(root, CLOCK_CALLS, but={"clock.py"})
    assert found == [], "\n".join(found)


def test_chance_is_seeded_and_passed_in(root):
    found = offences(root, CHANCE_CALLS, but={"door/chance.py"})  # tokens and salts: what can be told again protects nothing
    for inner, path in sources(root, "workbench", "apps"):
        for node in parsed(path):
            if isinstance(node, ast.Call) and dotted(node.func).endswith("default_rng") and not node.args and not node.keywords:
                found.append(f"{inner}:{node.lineno}: default_rng() without a seed")
    assert found == [], "\n".join(found)


def test_only_the_settings_read_the_environment(root):
    found = offences(root, ENVIRONMENT_READS, but={"config.py"})
    assert found == [], "\n".join(found)


def test_only_the_command_line_prints(root):
    found = []
    for inner, path in sources(root, "workbench"):
        for node in parsed(path):
            if isinstance(node, ast.Call) and dotted(node.func) == "print" and not inner.startswith("cli/"):
                found.append(f"workbench/{inner}:{node.lineno}: print(…)")
    assert found == [], "\n".join(found)


# -- the tree ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tracked(root):
    """Paths of all files under version control (all files present, where there is no git)."""
    listing = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [path for path in listing.stdout.splitlines() if (root / path).is_file()]


def test_the_top_level_holds_exactly_what_it_should(tracked):
    files = {path for path in tracked if "/" not in path and not path.startswith(".")}
    folders = {path.split("/")[0] for path in tracked if "/" in path and not path.startswith(".")}
    assert files == TOP_LEVEL_FILES
    assert folders == TOP_LEVEL_FOLDERS


def test_the_tests_mirror_the_package(root, tracked):
    """tests/<folder> exists in the package, or is one of the few folders of another kind."""
    other = {"bench", "browser", "notebooks", "oracles", "apps", "lab", "servers"}
    folders = {path.split("/")[1] for path in tracked if path.startswith("tests/") and path.count("/") > 1}
    strangers = {folder for folder in folders - other if not (root / "workbench" / folder).is_dir()}
    assert strangers == set()


def test_no_file_names_one_persons_machine(root, tracked):
    personal = re.compile(r"(?<![\w.~)])/(?:root|work|home/[a-z]\w*|Users/\w+|tmp/wb)/")
    text_kinds = {".py", ".md", ".toml", ".yml", ".yaml", ".ipynb", ".json", ".js", ".ts", ".css", ".html", ""}
    found = []
    for path in tracked:
        if re.search(r"(\.[a-z]+)?$", path.rsplit("/", 1)[-1].lstrip(".")).group() in text_kinds:
            for number, line in enumerate((root / path).read_text(errors="replace").splitlines(), 1):
                if personal.search(line):
                    found.append(f"{path}:{number}: {line.strip()[:120]}")
    assert found == [], "\n".join(found)


def test_no_file_is_left_unfinished(root, tracked):
    marks = re.compile(r"(#|//).*\b(TO" + "DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
    found = []
    for path in tracked:
        if path.endswith((".py", ".js", ".ts", ".ipynb")):
            for number, line in enumerate((root / path).read_text(errors="replace").splitlines(), 1):
                if marks.search(line) and len(line) < 2000:
                    found.append(f"{path}:{number}: {line.strip()[:120]}")
    assert found == [], "\n".join(found)
