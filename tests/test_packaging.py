"""What is shipped is complete: dependencies, files of the package, make, the systemd unit."""

from __future__ import annotations

import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import godkaiser
from godkaiser.host.extras import MODULES
from godkaiser.http.endpoints import ENDPOINTS
from godkaiser.http.reference import renewed, role_of
from tests import ROOT

PACKAGE = ROOT / "godkaiser"
# Data without a module to import: zoneinfo reads it where the system has no time zones.
NEVER_IMPORTED = {"tzdata"}
MINDED_IN = {
    "demo": "demo/embedded_broker.py",
    "docs": "http/pages.py",
    "postgresql": "storage/engine/driver.py",
}


@pytest.fixture(scope="module")
def setup_cfg():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def normal(name: str) -> str:
    """As PEP 503 has it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(text: str) -> set[str]:
    names = {
        normal(re.split(r"[\s<>=!~;\[]", line.strip())[0])
        for line in text.splitlines()
        if line.strip()
    }
    return names - {"godkaiser"}


def imported(folder: Path) -> set[str]:
    """The distributions behind every import, in lower case, the standard library left out."""
    modules = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(node.module.split(".")[0])
    foreign = modules - sys.stdlib_module_names - {"godkaiser", "tests", "benchmarks"}
    owners = metadata.packages_distributions()
    return {normal(owners[module][0]) for module in foreign}


def test_what_the_package_imports_is_what_it_depends_on(setup_cfg):
    wanted = declared(setup_cfg["options"]["install_requires"])
    extras = setup_cfg["options.extras_require"]
    for name in MODULES:
        wanted |= declared(extras[name])
    assert imported(PACKAGE) == wanted - NEVER_IMPORTED


def test_what_an_extra_brings_is_imported_where_its_absence_is_minded(setup_cfg):
    owners = metadata.packages_distributions()
    for extra, module in MODULES.items():
        assert declared(setup_cfg["options.extras_require"][extra]) == {normal(owners[module][0])}
        found = {
            file.relative_to(PACKAGE).as_posix()
            for file in PACKAGE.rglob("*.py")
            if re.search(rf"^\s*(?:import|from) {module}\b", file.read_text(), re.MULTILINE)
        }
        assert found == {MINDED_IN[extra]}


def test_what_tests_and_benchmarks_import_comes_with_the_extra_dev(setup_cfg):
    wanted = declared(setup_cfg["options"]["install_requires"])
    for extra in (*MODULES, "dev"):
        wanted |= declared(setup_cfg["options.extras_require"][extra])
    assert imported(ROOT / "tests") | imported(ROOT / "benchmarks") <= wanted


def test_the_exact_versions_of_the_tests_are_within_what_is_declared(setup_cfg):
    pinned = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
    )  # fmt: skip
    pins = {normal(name): version for name, version in pinned.items()}
    extras = setup_cfg["options.extras_require"].values()
    lines = "\n".join((setup_cfg["options"]["install_requires"], *extras)).splitlines()
    wanted = [Requirement(line) for line in lines if line and not line.startswith("godkaiser")]
    assert len(wanted) > len(MODULES)
    for requirement in wanted:
        assert requirement.specifier.contains(pins[normal(requirement.name)]), str(requirement)


def test_every_file_of_the_package_is_installed(setup_cfg):
    patterns = setup_cfg["options.package_data"]["godkaiser"].replace(",", " ").split()
    shipped = {file for pattern in patterns for file in PACKAGE.glob(pattern)}
    data = {
        file for file in PACKAGE.rglob("*") if file.is_file() and file.suffix not in {".py", ".pyc"}
    }
    assert data <= shipped
    for folder in {file.parent for file in PACKAGE.rglob("*.py")}:
        assert (folder / "__init__.py").exists(), f"{folder} would not be found"


def test_the_command_tells_the_version():
    asked = [sys.executable, "-m", "godkaiser", "version"]
    answer = subprocess.run(asked, check=True, capture_output=True, text=True, timeout=30)
    assert answer.stdout.strip() == godkaiser.__version__


def test_the_console_script_names_a_function(setup_cfg):
    (script,) = setup_cfg["options.entry_points"]["console_scripts"].strip().splitlines()
    (entry,) = metadata.EntryPoints(
        (metadata.EntryPoint(*map(str.strip, script.split("=")), group="console_scripts"),)
    )
    assert entry.name == "godkaiser"
    assert callable(entry.load())


def make(*arguments, path):
    return subprocess.run(
        [shutil.which("make"), "--no-print-directory", *arguments],
        cwd=ROOT, env={"PATH": str(path)}, check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


@pytest.fixture
def programs(tmp_path):
    """A folder for PATH with the few programs that every system has."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("rm", "touch", "echo"):
        (folder / name).symlink_to(shutil.which(name))
    return folder


def put(folder, name, script):
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_a_machine_without_a_fitting_python_is_told_so_in_one_line(programs, tmp_path):
    put(programs, "python3", "exit 1")
    made = make(f"VENV={tmp_path}/venv", f"{tmp_path}/venv/bin/pip", path=programs)
    told = [line for line in made.stderr.splitlines() if not line.startswith("make: ***")]
    assert made.returncode != 0
    assert len(told) == 1
    assert "needs Python 3.11 or newer with the venv module" in told[0]


def test_the_first_python_that_fits_makes_the_environment(programs, tmp_path):
    # python3 is too old or lacks venv; python3.12 answers the check and is asked for a venv.
    put(programs, "python3", "exit 1")
    put(programs, "python3.12", f'[ "$1" = -c ] || echo "$0 $*" > {tmp_path}/called')
    made = make(f"VENV={tmp_path}/venv", f"{tmp_path}/venv/bin/pip", path=programs)
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "called").read_text().strip() == (
        f"{programs}/python3.12 -m venv {tmp_path}/venv"
    )


@pytest.mark.parametrize(
    "target",
    ["run", "test", "test-all", "coverage", "check", "reference", "constraints", "bench", "clean"],
)
def test_every_target_of_the_makefile_can_be_planned(programs, target):
    planned = make("--dry-run", target, path=programs)
    assert planned.returncode == 0, planned.stderr


def test_arguments_reach_the_demo(programs):
    planned = make("--dry-run", "run", "ARGS=--devices 20 --data DIR", path=programs)
    assert planned.stdout.splitlines()[-1].endswith("godkaiser demo --devices 20 --data DIR")


def test_the_script_of_continuous_integration_can_be_run():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True, timeout=10)


def test_the_systemd_unit_says_what_the_gateway_speaks():
    unit = configparser.ConfigParser(strict=False)
    unit.optionxform = str
    unit.read(ROOT / "systemd" / "godkaiser.service")
    service = unit["Service"]
    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) > 0
    assert service["Restart"] == "on-failure"
    assert service["StateDirectory"] == "godkaiser"
    assert "/godkaiser run --config /etc/" in service["ExecStart"]


def test_the_systemd_unit_has_no_mistake(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    text = (ROOT / "systemd" / "godkaiser.service").read_text()
    copy = tmp_path / "godkaiser.service"
    copy.write_text(re.sub(r"(?m)^(ExecStart|ExecReload)=\S+", rf"\1={shutil.which('true')}", text))
    checked = subprocess.run(
        ["systemd-analyze", "verify", copy], check=False, capture_output=True, text=True, timeout=60
    )
    assert str(copy) not in checked.stderr, checked.stderr
    assert "godkaiser.service" not in checked.stderr, checked.stderr


def test_the_page_of_the_api_is_what_the_records_of_the_endpoints_say():
    """`make reference` renews it."""
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert renewed(page) == page
    for endpoint in ENDPOINTS:
        row = f"| `{endpoint.method} {endpoint.path}` | {role_of(endpoint)} | {endpoint.says}"
        assert page.count(row) == 1, row


def test_links_between_the_documents_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
