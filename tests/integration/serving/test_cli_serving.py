"""Circuits, their policy, the off switch and heuristics on the command line, on the real broker."""

import pytest

from tests.support.stages.command_line import Cli, read_json

pytestmark = pytest.mark.usefixtures("one_version")


def test_a_heuristic_stands_in_for_a_version_taken_out_by_hand(cli: Cli) -> None:
    cli("make-heuristic", "digits", "--output", "0.25,0.75", "--use")
    policy = read_json(cli("serving-policy", "show", "digits", "--json"))
    assert (policy["fallback"], policy["fallback_version"]) == ("version", "heuristic")
    (heuristic,) = [
        version
        for version in read_json(cli("models", "show", "digits", "--json"))["versions"]
        if version["model_version"] == "heuristic"
    ]
    assert heuristic["tags"] == {"kind": "heuristic"}

    cli("circuit", "open", "digits", "--reason", "drill")
    shown = cli("circuit", "show", "digits").stdout
    assert "heuristic" in shown
    assert "open" in shown
    view = read_json(cli("circuit", "show", "digits", "--json"))
    assert (view["answered_by"], view["fallback_for"]) == ("heuristic", "v1")
    cli("circuit", "probe", "digits")
    assert read_json(cli("circuit", "show", "digits", "--json"))["probed"] == "v1"
    cli("circuit", "reset", "digits", "v1")
    assert read_json(cli("circuit", "show", "digits", "--json"))["answered_by"] == "v1"
    refused = cli("circuit", "probe", "digits", code=3)
    assert "legal: open circuit" in refused.output


def test_a_heuristic_must_fit_the_model(cli: Cli) -> None:
    assert "2 are needed" in cli("make-heuristic", "digits", "--output", "1", code=3).output
    assert "the model answers ['y']" in cli("make-heuristic", "digits", "--output", "z=1,2", code=3).output
    assert "not [NAME=]NUMBER" in cli("make-heuristic", "digits", "--output", "one", code=2).output
    assert "there is digits" in cli("make-heuristic", "nobody", "--output", "1", code=3).output


def test_a_policy_keeps_what_is_not_named(cli: Cli) -> None:
    assert "the default holds" in cli("serving-policy", "show", "digits").stdout
    cli("serving-policy", "set", "digits", "--latency-ms-max", "20", "--slow-share-max", "0.05")
    cli("serving-policy", "set", "digits", "--error-rate-max", "0.1", "--fallback", "none")
    policy = read_json(cli("serving-policy", "show", "digits", "--json"))
    assert (policy["latency_ms_max"], policy["slow_share_max"]) == (20.0, 0.05)
    assert (policy["error_rate_max"], policy["fallback"]) == (0.1, "none")
    cli("serving-policy", "set", "digits", "--error-rate-max", "1", "--latency-ms-max", "0")
    policy = read_json(cli("serving-policy", "show", "digits", "--json"))
    assert (policy["error_rate_max"], policy["latency_ms_max"]) == (None, None)
    assert "at least one thing" in cli("serving-policy", "set", "digits", code=2).output
    assert "a share from 0 to 1" in cli("serving-policy", "set", "digits", "--error-rate-max", "2", code=3).output


def test_a_model_is_switched_off_and_on(cli: Cli) -> None:
    cli("disable", "digits", "--reason", "wrong answers")
    assert "(disabled)" in cli("models").stdout
    assert "wrong answers" in cli("models", "show", "digits").stdout
    assert "unchanged" in cli("disable", "digits").stdout
    cli("enable", "digits")
    assert "(disabled)" not in cli("models").stdout
    assert "disabled digits: wrong answers" in cli("events", "--model", "digits").stdout
