"""What describes containers is well formed, and says of Echoic what is so."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from echoic.storage.catalog.place import POINTER
from echoic.storage.catalog.sqlite import FILE
from tests.golden.make_cli_reference import TARGET

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "echoic"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")
FULL = """
names: [sounds.example.org]
store: http://milvus:19530
environmentSecrets: [aws]
environment: {AWS_ENDPOINT_URL: "http://minio:9000"}
index: {paths: [s3://a/b, s3://c], arguments: [--ray, auto]}
sounds: [{name: archive, persistentVolumeClaim: {claimName: archive}}]
ingress: {enabled: true, host: sounds.example.org, className: nginx, tlsSecret: tls}
serve: {arguments: [--rate, "600"]}
persistence: {storageClass: fast}
"""


def run(tool, *words):
    found = shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} is not installed")
    done = subprocess.run([found, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_image_passes_its_linter():
    assert run("hadolint", DEPLOY / "Dockerfile") == ""


def test_the_image_installs_extras_that_there_are_and_copies_what_is_there():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    [extras] = re.findall(r"'\.\[([\w,]+)\]'", DOCKERFILE)
    assert set(extras.split(",")) <= project["optional-dependencies"].keys()
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    assert all((ROOT / name).exists() for line in copied for name in line.split())
    needed = {project["readme"], *project["license-files"][:1], "pyproject.toml"}
    assert needed <= {name for line in copied for name in line.split()}
    shown = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert {f"!{name}" for line in copied for name in line.split()} <= set(shown)
    assert re.search(r"^USER 10001:10001$", DOCKERFILE, re.MULTILINE)


def test_the_chart_waits_for_a_library_wherever_its_catalog_lies():
    awaited = (DEPLOY / "helm" / "echoic" / "templates" / "deployment.yaml").read_text("utf-8")
    assert all(f"/library/{name}" in awaited for name in (FILE, POINTER))


def test_the_compose_file_fits_its_schema():
    run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")


def test_what_is_called_in_containers_are_verbs_and_options_that_there_are():
    reference = TARGET.read_text("utf-8")
    called = [json.loads(DOCKERFILE[DOCKERFILE.index('CMD ["serve') + 4 :])]
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"]
    called += [services[name]["command"] for name in ("serve", "index")]
    for template in (CHART / "templates").glob("*.yaml"):
        text = re.sub(r"{{.*?}}", "", template.read_text("utf-8"))
        called += [re.findall(r"^ +- (\S+)$", block, re.MULTILINE) for block in text.split("args:")[1:]]
    assert len(called) == 5
    for verb, *words in called:
        [said] = re.findall(rf"^## echoic {verb}$.*?(?=^## |\Z)", reference, re.MULTILINE | re.DOTALL)
        options = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert options <= set(re.findall(r"--[a-z][a-z-]+", said))


def test_the_chart_uses_what_can_be_set_and_all_of_it():
    def paths(value, at=""):
        if not isinstance(value, dict) or not value:
            return {at}
        return {path for key, below in value.items() for path in paths(below, f"{at}.{key}")}

    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    templates = "".join(path.read_text("utf-8") for path in (CHART / "templates").iterdir())
    used = set(re.findall(r"\.Values((?:\.\w+)+)", templates))
    settable = paths(values)
    assert all(any(path == one or path.startswith(f"{one}.") for one in used) for path in settable)
    assert all(any(path == one or path.startswith(f"{one}.") for path in settable) for one in used)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))["appVersion"] == project["version"]


@pytest.mark.parametrize(("values", "kinds"), [("", 3), (FULL, 5)])
def test_the_chart_renders(tmp_path, values, kinds):
    (tmp_path / "values.yaml").write_text(values, "utf-8")
    run("helm", "lint", CHART, "--values", tmp_path / "values.yaml")
    rendered = run("helm", "template", "my", CHART, "--values", tmp_path / "values.yaml")
    documents = list(yaml.safe_load_all(rendered))
    assert len({one["kind"] for one in documents}) == kinds
    [deployment] = [one for one in documents if one["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    names = {volume["name"] for volume in pod["volumes"]}
    for container in (*pod["initContainers"], *pod["containers"]):
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert {mount["name"] for mount in container["volumeMounts"]} == names
