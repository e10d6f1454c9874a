"""pyproject.toml and environment.yml name the same packages with the same bounds, and every import is declared."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# where conda-forge's name differs from the package index's
CONDA_NAMES = {"python-duckdb": "duckdb", "python-tzdata": "tzdata"}
# import name -> distribution, where they differ
DISTRIBUTIONS = {"polygon": "polygon-api-client", "alpaca": "alpaca-py", "pydantic_core": "pydantic", "IPython": "ipykernel"}


@pytest.fixture(scope="module")
def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def conda(root):
    return yaml.safe_load((root / "environment.yml").read_text())


def bounds(lines, names=None):
    requirements = [Requirement(line) for line in lines]
    found = {canonicalize_name(r.name): str(r.specifier) for r in requirements}
    return {(names or {}).get(name, name): specifier for name, specifier in found.items()}


def conda_lines(conda):
    return [line for line in conda["dependencies"] if isinstance(line, str) and line != "pip"]


def test_conda_users_get_the_packages_and_bounds_of_core_and_lab(project, conda):
    wanted = bounds(project["dependencies"] + project["optional-dependencies"]["lab"])
    offered = bounds(conda_lines(conda), CONDA_NAMES)
    assert offered.pop("python") == project["requires-python"]
    assert offered == wanted


def test_conda_users_get_the_package_itself_with_extras_that_exist(project, conda):
    (pip,) = [line["pip"] for line in conda["dependencies"] if isinstance(line, dict)]
    (own,) = pip
    extras = re.fullmatch(r"-e \.\[([\w,]+)\]", own).group(1).split(",")
    assert set(extras) <= set(project["optional-dependencies"])


def test_bokeh_is_new_enough_to_refuse_foreign_origins(project):
    (bokeh,) = [r for r in map(Requirement, project["dependencies"]) if r.name == "bokeh"]
    assert not bokeh.specifier.contains("3.8.1")


def test_the_test_extra_brings_the_tools_of_the_test_command(project):
    assert {"pytest", "ruff", "mypy", "hypothesis", "nbval", "playwright"} <= set(bounds(project["optional-dependencies"]["test"]))


def test_every_import_of_the_package_and_the_apps_is_declared(root, project):
    lines = project["dependencies"] + [line for extra in project["optional-dependencies"].values() for line in extra]
    declared = set(bounds(lines))
    undeclared = [
        f"{path.relative_to(root)}:{line}: import {name}"
        for folder in ("workbench", "apps")
        for path in sorted((root / folder).rglob("*.py"))
        for line, name in third_party(path)
        if canonicalize_name(DISTRIBUTIONS.get(name, name)) not in declared
    ]
    assert undeclared == []


def third_party(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module]
        for name in names:
            top = name.split(".")[0]
            if top not in sys.stdlib_module_names and top != "workbench":
                yield node.lineno, top


def closure(names):
    """Return every installed distribution that these need, and what those need."""
    seen, queue = set(), [canonicalize_name(name) for name in names]
    while queue:
        name = queue.pop()
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if name not in seen:
            seen.add(name)
            needs = (Requirement(line) for line in distribution.requires or [])
            queue += [canonicalize_name(need.name) for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return sorted(seen)


def licences(name):
    """Return what a distribution says of its licence, in every place where it may."""
    meta = importlib.metadata.metadata(name)
    classifiers = [line for line in meta.get_all("Classifier") or [] if line.startswith("License")]
    return " | ".join([meta.get("License-Expression") or "", (meta.get("License") or "")[:60], *classifiers])


def test_nothing_at_run_time_is_under_gpl_or_agpl(project):
    extras = project["optional-dependencies"]
    lines = project["dependencies"] + extras["lab"] + extras["options"] + extras["polygon"] + extras["massive"]
    names = closure(Requirement(line).name for line in lines)
    assert len(names) > 20
    copyleft = {name: licences(name) for name in names if re.search(r"(?<!L)(?<!Lesser )\bA?GPL|Affero|Commons Clause", licences(name))}
    assert {name for name in copyleft if not may_be_chosen_otherwise(copyleft[name])} == set()


def may_be_chosen_otherwise(text):
    """Return whether another licence is offered beside the GPL."""
    return bool(re.search(r"\bOR\b|MIT|BSD|Apache|Mozilla|LGPL", text))
