"""The public names: sorted, complete, documented, and the same for people, tools and type checkers."""

from __future__ import annotations

import ast
import inspect
import pkgutil

import pytest

import workbench


def test_public_names_are_sorted_and_unique():
    assert workbench.__all__ == sorted(set(workbench.__all__))


@pytest.mark.parametrize("name", workbench.__all__)
def test_every_public_name_can_be_fetched(name):
    assert getattr(workbench, name) is not None


def test_a_star_import_gives_exactly_the_public_names():
    scope = {}
    exec("from workbench import *", scope)
    assert set(scope) - {"__builtins__"} == set(workbench.__all__)


def test_no_public_name_is_also_a_submodule():
    """Importing the submodule would put the module in the name's place, so what a program gets would depend on what it imported first."""
    submodules = {module.name for module in pkgutil.iter_modules(workbench.__path__)}
    assert submodules & set(workbench.__all__) == set()


def test_dir_shows_the_public_names_only():
    assert dir(workbench) == workbench.__all__


def test_an_unknown_name_is_told_with_the_known_ones():
    with pytest.raises(AttributeError, match=r"public names: .*Bar"):
        workbench.Baar  # noqa: B018


def test_type_checkers_see_the_same_names_from_the_same_modules():
    tree = ast.parse(inspect.getsource(workbench))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.asname: statement.module for statement in block.body for alias in statement.names}
    assert seen == workbench._HOME


def test_every_public_class_and_function_says_what_it_is():
    public = [getattr(workbench, name) for name in workbench.__all__]
    silent = [thing.__name__ for thing in public if (inspect.isclass(thing) or inspect.isfunction(thing)) and not inspect.getdoc(thing)]
    assert silent == []
