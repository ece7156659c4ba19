"""Plug-ins by name: what is declared, what conflicts, what is missing, and that nothing else is imported."""

import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from hotswap_stream.adapters.torch.modules import architectures
from hotswap_stream.application.artifacts.bundle import files_of
from hotswap_stream.application.artifacts.file import ArtifactFormatError, digest_of_artifact, read_manifest
from hotswap_stream.application.artifacts.manifest import ArtifactManifest, Package, TensorSpec
from hotswap_stream.application.plugins.declared import Declared, by_key, declared_plugins
from hotswap_stream.application.plugins.finding import find_plugin, import_once, name_modules, package_of
from hotswap_stream.application.plugins.names import (
    BUILT_IN_ARCHITECTURES,
    MissingPlugin,
    MissingPluginError,
    PluginConflictError,
    PluginKey,
    PluginKind,
    parse_modules,
)
from hotswap_stream.application.plugins.registered import architecture, registered_keys, runtime
from hotswap_stream.errors import ConfigurationError
from tests.support.samples.plugins import SIGNATURE, Texts, foreign_artifact, texts_artifact

ONE, TWO = Package(name="one", version="1.0"), Package(name="two", version="2.0")


def declared(
    package: Package, kind: PluginKind = "architecture", name: str = "net", module: str = "a.nets"
) -> Declared:
    return Declared(kind=kind, name=name, module=module, package=package)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to import from; modules of the operator are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    name_modules([])


def test_two_packages_with_one_name_are_named_both() -> None:
    with pytest.raises(PluginConflictError, match=r"'net' is declared twice: by one 1\.0 .*and by two 2\.0"):
        by_key([declared(ONE), declared(TWO)])
    found = by_key([declared(ONE), declared(TWO, kind="runtime"), declared(TWO, name="other")])
    assert sorted(found) == [("architecture", "net"), ("architecture", "other"), ("runtime", "net")]


def test_a_built_in_name_is_taken() -> None:
    with pytest.raises(PluginConflictError, match=r"'linear' is declared by one 1\.0 \(a\.nets\), and hotswap-stream"):
        by_key([declared(ONE, name="linear")])
    with pytest.raises(PluginConflictError, match="twice: by hotswap-stream itself and by tests"):
        architecture("linear", lambda: SIGNATURE)(test_a_built_in_name_is_taken)


def test_the_built_in_names_are_those_that_there_are() -> None:
    """They are written down a second time, so that a worker without torch knows them."""
    ours = {
        key.name
        for key in registered_keys()
        if key.kind == "architecture" and architectures.module_of_architecture(key.name) == architectures.__name__
    }
    assert ours == BUILT_IN_ARCHITECTURES


def test_a_name_is_registered_once() -> None:
    with pytest.raises(PluginConflictError, match=r"twice: by tests\.support\.samples\.plugins and by tests\.unit"):
        runtime("test-texts")(type("Other", (Texts,), {"__module__": __name__}))


@pytest.mark.parametrize("name", ["", "My", "a b", "../x", "x" * 64])
def test_a_name_that_no_artifact_could_have_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not valid"):
        runtime(name)(Texts)


def test_modules_are_imported_when_a_name_is_asked_for(folder: Path) -> None:
    (folder / "asked_plugins.py").write_text(
        "from hotswap_stream.plugins import runtime\n"
        "@runtime('asked-for')\nclass Asked:\n    def load(self, files, arguments): ...\n"
        "    def infer(self, inputs): return inputs\n    def close(self): ...\n"
    )
    with pytest.raises(MissingPluginError, match="runtime 'asked-for' is not known here"):
        find_plugin(PluginKey("runtime", "asked-for"))
    name_modules(["asked_plugins"])
    assert "asked_plugins" not in sys.modules
    assert find_plugin(PluginKey("runtime", "asked-for")).module == "asked_plugins"


@pytest.mark.parametrize("content", ["import nowhere_at_all", "raise SystemExit(3)", "1 / 0", "syntax error"])
def test_a_module_that_does_not_import_is_said_with_the_reason(folder: Path, content: str) -> None:
    name = f"broken_{abs(hash(content))}"
    (folder / f"{name}.py").write_text(content)
    name_modules([name])
    with pytest.raises(MissingPluginError, match=f"{name} does not import: "):
        find_plugin(PluginKey("runtime", "whatever"))
    assert import_once(name) is not None


def test_a_name_out_of_an_artifact_imports_nothing(folder: Path) -> None:
    (folder / "secret_module.py").write_text("raise AssertionError('imported')")
    for name in ("secret_module", "os", "hotswap_stream.settings", "secret_module:x"):
        for kind in ("architecture", "runtime"):
            with pytest.raises(MissingPluginError) as raised:
                find_plugin(PluginKey(kind, name))
            assert "does not import" not in str(raised.value)
    assert "secret_module" not in sys.modules


def test_what_is_missing_is_said_with_its_package() -> None:
    error = MissingPluginError(MissingPlugin(kind="runtime", name="x"), "why not")
    assert str(error) == "runtime 'x' is not known here; why not"
    assert str(error.of(ONE)) == "runtime 'x' is not known here; the package one 1.0 brings it; why not"
    assert error.of(None) is error
    assert error.of(ONE).of(TWO).missing.package == ONE


def test_nothing_is_declared_by_what_is_installed_for_the_tests() -> None:
    assert declared_plugins() == {}
    assert package_of(PluginKey("runtime", "test-texts")) is None


@pytest.mark.parametrize("text", ["a b", "a.b.", "../a", "a:b", "a/b", "1a"])
def test_modules_are_names_of_modules(text: str) -> None:
    with pytest.raises(ConfigurationError, match="HOTSWAP_PLUGIN_MODULES"):
        parse_modules(f"good.one, {text}")
    assert parse_modules(" a.b , c_d ,") == ("a.b", "c_d")
    assert parse_modules(None) == ()


def test_an_artifact_of_a_runtime_holds_its_files() -> None:
    content = texts_artifact("hello", floats=True)
    manifest = read_manifest(content)
    assert (manifest.kind, manifest.runtime, manifest.what) == ("runtime", "test-texts", "test-texts")
    assert manifest.arguments == {"floats": True}
    assert {name: bytes(part) for name, part in files_of(content).items()} == {"prefix": b"hello"}
    assert digest_of_artifact(texts_artifact("hello", floats=True)) == digest_of_artifact(content)
    assert read_manifest(foreign_artifact()).package == Package(name="nobodys-package", version="3.1")


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "runtime"},
        {"kind": "runtime", "runtime": "Not A Name"},
        {"kind": "runtime", "runtime": "x", "architecture": "linear"},
        {"kind": "architecture", "architecture": "linear", "runtime": "x"},
        {"kind": "onnx", "runtime": "x"},
        {"kind": "onnx", "arguments": {"a": 1}},
        {"kind": "onnx", "package": {"name": "p"}},
        {"kind": "runtime", "runtime": "x", "package": {"name": "../p"}},
        {"kind": "runtime", "runtime": "x", "package": {"name": "p", "version": "1 2"}},
        {"kind": "runtime", "runtime": "x", "package": {"name": "p", "index": "https://example.com"}},
        {"kind": "other"},
    ],
)
def test_manifests_that_contradict_themselves_are_refused(fields: dict[str, object]) -> None:
    spec = msgspec.to_builtins(TensorSpec(name="x", datatype="FP32", shape=(-1, 4)))
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"inputs": [spec], "outputs": [spec], "warm_up": {"x": [1, 4]}, **fields}, ArtifactManifest)


def test_a_bundle_needs_files() -> None:
    from hotswap_stream.application.plugins.packing import pack_runtime

    spec = TensorSpec(name="x", datatype="FP32", shape=(-1, 4))
    with pytest.raises(ArtifactFormatError, match="0 files"):
        pack_runtime("x", {}, inputs=[spec], outputs=[spec], warm_up={"x": (1, 4)})
