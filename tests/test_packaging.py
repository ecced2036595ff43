"""Package metadata: one version, ranges of dependencies, links that work on PyPI."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = CONFIG["project"]
README = CONFIG["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
HOME = "https://github.com/mini-gemini/mini-gemini/"
TARGET = re.compile(r'\]\(([^)\s]+)\)|(?:src|href)="([^"]+)"')


def pypi_page(text: str) -> str:
    """What the build makes of the README."""
    for substitution in README["substitutions"]:
        text = re.sub(substitution["pattern"], substitution["replacement"], text)
    return text


def test_the_newest_release_in_the_changelog_is_this_version():
    released = re.findall(r"^## \[(\d[^\]]*)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert released[0] == PROJECT["version"]


def test_every_release_in_the_changelog_has_a_link():
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert re.findall(r"^## \[([^\]]+)\]", changelog, re.MULTILINE) == re.findall(
        rf"^\[([^\]]+)\]: {HOME}", changelog, re.MULTILINE
    )


@pytest.mark.parametrize("name", ["torch", "transformers"])
def test_packages_that_users_have_already_are_ranges(name):
    requirement = next(r for r in PROJECT["dependencies"] if re.match(rf"{name}\b", r))
    assert ">=" in requirement
    assert "==" not in requirement


def test_the_constraints_pin_torch_within_its_range():
    pinned = re.search(r"^torch==(\d+)\.(\d+)\.\d+$", (ROOT / "constraints" / "cpu.txt").read_text(), re.MULTILINE)
    lowest = re.search(r"torch>=(\d+)\.(\d+)", "\n".join(PROJECT["dependencies"]))
    assert pinned
    assert lowest
    assert tuple(map(int, pinned.groups())) >= tuple(map(int, lowest.groups()))


def test_links_of_the_readme_exist_and_are_absolute_on_pypi():
    readme = (ROOT / "README.md").read_text()
    local = [target for pair in TARGET.findall(readme) for target in pair if target and not re.match(r"\w+:|#", target)]
    assert local
    assert [target for target in local if not (ROOT / target.partition("#")[0]).exists()] == []
    on_pypi = [target for pair in TARGET.findall(pypi_page(readme)) for target in pair if target]
    assert [target for target in on_pypi if not re.match(r"https?://|mailto:|#", target)] == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("[a](docs/a.md#b)", f"[a]({HOME}blob/v$HFPR_VERSION/docs/a.md#b)"),
        ("![a](docs/a.png)", f"![a]({HOME}raw/v$HFPR_VERSION/docs/a.png)"),
        ('<img width="9" src="docs/a.png">', f'<img width="9" src="{HOME}raw/v$HFPR_VERSION/docs/a.png">'),
        ('<a href="docs/a.md">', f'<a href="{HOME}blob/v$HFPR_VERSION/docs/a.md">'),
        (
            "[![a](a.png)](docs/a.md)",
            f"[![a]({HOME}raw/v$HFPR_VERSION/a.png)]({HOME}blob/v$HFPR_VERSION/docs/a.md)",
        ),
        ("[a](https://example.org/a.md) [b](#b)", "[a](https://example.org/a.md) [b](#b)"),
    ],
)
def test_relative_links_become_those_of_the_release(given, expected):
    assert pypi_page(given) == expected


def test_every_package_of_the_wheel_is_marked_as_typed():
    packages = CONFIG["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert [package for package in packages if not (ROOT / package / "py.typed").is_file()] == []


def test_python_versions_agree():
    """In the classifiers, the requirement and the workflow that tests them."""
    versions = [c.rpartition(" ")[2] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)]
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    assert PROJECT["requires-python"] == f">={versions[0]}"
    assert re.findall(r'"(3\.\d+)"', re.search(r"python: \[(.*)\]", workflow)[1]) == versions
