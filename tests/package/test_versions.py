"""The package's version has one place; records of versions come from one function."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import pytest

import bmretriever_integrations
from bmretriever_integrations.versions import MADE_BY, NAME, OF_VECTORS, VERSION, versions_of


def test_versions_are_named_in_the_order_given_and_our_own_is_the_code_s(monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", lambda name: f"installed {name}")
    assert list(versions_of((NAME, *OF_VECTORS)).items()) == [
        (NAME, VERSION),
        ("tokenizers", "installed tokenizers"),
        ("torch", "installed torch"),
        ("transformers", "installed transformers"),
    ]


def test_the_root_package_and_what_is_written_name_the_same_version():
    assert bmretriever_integrations.__version__ == VERSION
    assert f"bmretriever-integrations {VERSION}" == MADE_BY


def test_a_package_that_is_not_installed_is_refused_by_name():
    assert versions_of(["numpy"]) == {"numpy": version("numpy")}
    with pytest.raises(PackageNotFoundError, match="no-such-package"):
        versions_of(["no-such-package"])
