"""What is installed: pins with the hash of every file, base images by tag or digest, and the bill of materials."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.support.checkout import ROOT
from tools.hashed_requirements import HASHES, direct_requirements, main, name_of, normalized, pinned, pins
from tools.sbom import describe_page, restrict

_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
_IMAGE = re.compile(r"[a-z0-9./-]+:[\w.-]+(?P<digest>@sha256:[0-9a-f]{64})?")


def _of_constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return {
        normalized(name): number for name, number in (line.split("==") for line in lines if not line.startswith("#"))
    }


@pytest.mark.parametrize("file", [HASHES, "tools/sbom.txt"])
def test_every_pin_has_the_hash_of_each_of_its_files(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    found = list(pins(text))
    assert len(found) > 20
    assert [name for name, _, hashes in found if not hashes] == []
    assert [digest for _, _, hashes in found for digest in hashes if not _SHA256.fullmatch(digest)] == []
    assert text.count("--hash=") == sum(len(hashes) for _, _, hashes in found)
    assert not re.search(r"://|^\s*--(?!hash)", text, re.MULTILINE), "it says what, and not from where"


def test_the_hashes_are_those_of_the_pins() -> None:
    """If this fails after a change of constraints.txt: `make hashes`."""
    assert {name: number for name, number, _ in pins((ROOT / HASHES).read_text(encoding="utf-8"))} == _of_constraints()


def test_what_is_asked_for_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {name_of(each) for each in direct_requirements(list(project["optional-dependencies"]))}
    assert asked - _of_constraints().keys() == set()
    assert {"torch", "litestar", "pytest", "hatchling"} <= asked


def test_an_extra_brings_those_that_it_names_and_no_others() -> None:
    of_train = {name_of(each) for each in direct_requirements(["train"])}
    assert {"torch", "onnxruntime", "scikit-learn", "msgspec"} <= of_train
    assert not {"litestar", "faust-streaming", "pytest", "hotswap-stream"} & of_train
    with pytest.raises(KeyError):
        direct_requirements(["trane"])


def test_one_pin_is_printed_as_every_pip_reads_it(capsys: pytest.CaptureFixture[str]) -> None:
    ((name, number, hashes),) = pins(pinned(["pip"]))
    assert (name, number) == ("pip", _of_constraints()["pip"])
    assert hashes
    assert main(["--pinned", "no-such-package"]) == 1
    assert HASHES in capsys.readouterr().err


def test_base_images_are_named_once_and_may_be_digests() -> None:
    """No digest is here yet: nothing that builds this project reaches a registry of images. The form is held."""
    lines = (ROOT / "deploy" / "images.env").read_text(encoding="utf-8").splitlines()
    images = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    assert images.keys() == {"PYTHON_IMAGE", "KAFKA_IMAGE"}
    assert [image for image in images.values() if not _IMAGE.fullmatch(image)] == []
    compose = (ROOT / "docker-compose.kafka.yml").read_text(encoding="utf-8")
    for name, image in images.items():
        assert set(re.findall(rf"\$\{{{name}:-([^}}]+)\}}", compose)) == {image.partition("@")[0]}
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE) == ["${PYTHON_IMAGE}"] * 2
    assert f"ARG PYTHON_IMAGE={images['PYTHON_IMAGE'].partition('@')[0]}\n" in dockerfile


def test_every_container_of_ours_writes_to_its_home_alone() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.kafka.yml").read_text(encoding="utf-8"))["services"]
    ours = {name: service for name, service in services.items() if "build" in service}
    assert len(ours) == 4
    for service in ours.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert (service["tmpfs"], service["volumes"]) == (["/tmp"], ["hotswap:/var/lib/hotswap"])
        assert "user" not in service, "the user is the image's, which is none of the system's"


def test_a_bill_of_materials_leaves_out_what_only_development_needs() -> None:
    def component(name: str) -> dict[str, str]:
        return {"name": name, "bom-ref": f"{name}==1"}

    whole = {
        "metadata": {"component": {"bom-ref": "root"}},
        "components": [component(name) for name in ("Need_ed", "inner", "pytest", "pluggy")],
        "dependencies": [
            {"ref": "root", "dependsOn": ["Need_ed==1", "pytest==1"]},
            {"ref": "Need_ed==1", "dependsOn": ["inner==1"]},
            {"ref": "inner==1", "dependsOn": ["Need_ed==1"]},
            {"ref": "pytest==1", "dependsOn": ["pluggy==1"]},
            {"ref": "pluggy==1"},
        ],
    }
    part = restrict(whole, ["need-ed", "not-installed"])
    assert [each["bom-ref"] for each in part["components"]] == ["Need_ed==1", "inner==1"]
    assert {each["ref"]: each.get("dependsOn") for each in part["dependencies"]} == {
        "root": ["Need_ed==1"],
        "Need_ed==1": ["inner==1"],
        "inner==1": ["Need_ed==1"],
    }


def test_the_bill_of_the_page_is_the_lock_file_without_its_tools(tmp_path: Path) -> None:
    document = describe_page(tmp_path)
    packages = json.loads((ROOT / "page" / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    shipped = {
        (name.rpartition("node_modules/")[2], package["version"])
        for name, package in packages.items()
        if name and not package.get("dev")
    }
    found = {
        ("/".join(filter(None, (each.get("group"), each["name"]))), each["version"]) for each in document["components"]
    }
    assert found == shipped
    assert all(each["hashes"] for each in document["components"])
    assert document["metadata"]["component"]["name"] == "hotswap-stream-page"
