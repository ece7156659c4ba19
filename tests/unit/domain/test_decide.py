"""Every command against `decide`: what it leads to, what is refused and what is said to be legal instead."""

import pytest
from msgspec.structs import replace

from hotswap_events.commands import AnyCommand
from hotswap_events.registry.events import ArtifactFacts, ModelTrained, Provenance, TrainingFailed, TrainingStarted
from hotswap_stream.domain.decide import Accepted, decide
from hotswap_stream.domain.evolve import evolve_unknown_in_place
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.versions.validation import ValidationPolicy
from tests.support.decider_specification import given
from tests.support.samples.registry import (
    archive,
    archived,
    artifact_of,
    fail_training,
    promote,
    promoted,
    register,
    roll_back,
    stage,
    staged,
    start_training,
    switch,
    trained,
    training_failed,
    training_started,
    validate,
    validated,
)

V1_ACTIVE = (trained("v1"), validated("v1"), promoted("v1"))
V2_ACTIVE = (*V1_ACTIVE, trained("v2"), validated("v2", baseline=("v1", 0.97)), promoted("v2", "v1"))


class TestAnyCommand:
    def test_applied_before_yields_nothing_whatever_it_asks(self) -> None:
        # `in_envelope` names the cause of the event with sequence 2 of a stream "cause-digits-2"
        given(*V1_ACTIVE).when(switch("v9", command_id="cause-digits-2")).then_nothing("cause-digits-2", "before")

    def test_expected_sequence_that_holds(self) -> None:
        given(trained("v1")).when(stage("v1", expected_sequence=1)).then(staged("v1"))

    def test_expected_sequence_that_has_passed(self) -> None:
        given(*V1_ACTIVE).when(stage("v1", expected_sequence=1)).then_refused("sequence-mismatch", "1", "is at 3")

    def test_expected_sequence_of_a_model_that_must_be_new(self) -> None:
        given().when(register("v1", expected_sequence=0)).then(trained("v1"))
        given(trained("v1")).when(register("v2", expected_sequence=0)).then_refused("sequence-mismatch")

    @pytest.mark.parametrize(
        "command",
        [
            fail_training(),
            validate("v1"),
            stage("v1"),
            promote("v1"),
            switch("v1"),
            archive("v1"),
            roll_back(),
        ],
        ids=lambda command: type(command).__name__,
    )
    def test_on_a_model_that_does_not_exist(self, command: AnyCommand) -> None:
        given().when(command).then_refused("unknown-model", legal=("register a version", "start a training run"))

    @pytest.mark.parametrize(
        "command",
        [validate("v3"), stage("v3"), promote("v3"), switch("v3"), archive("v3")],
        ids=lambda command: type(command).__name__,
    )
    def test_on_a_version_that_does_not_exist_lists_what_does(self, command: AnyCommand) -> None:
        given(*V2_ACTIVE).when(command).then_refused("unknown-version", "'v3'", "v2, v1", legal=("v2", "v1"))

    def test_on_a_model_that_has_no_version_yet(self) -> None:
        given(training_started()).when(promote("v1")).then_refused("unknown-version", "none yet", legal=())

    @pytest.mark.parametrize("model_name", ["", "a.b", "-a", "a b", "ä", "../a", "a" * 64, "a\n"])
    def test_a_new_model_needs_a_name_that_fits_into_a_topic_name(self, model_name: str) -> None:
        decision = decide(ModelState(model_name), register("v1", model_name=model_name))
        assert not isinstance(decision, Accepted)
        assert decision.code == "invalid-value"
        assert "letters, digits" in decision.reason


class TestStartTraining:
    def test_starts_a_new_model(self) -> None:
        given().when(start_training("run-1", parameters={"epochs": "3"}, data_snapshot="sha256:aa")).then(
            TrainingStarted(
                run_id="run-1", architecture="digits-cnn", data_snapshot="sha256:aa", parameters={"epochs": "3"}
            )
        )

    def test_run_ids_are_used_once(self) -> None:
        given(training_started("run-1")).when(start_training("run-1")).then_refused("invalid-value", "'run-1' is taken")

    def test_parameters_have_limits(self) -> None:
        many = {str(number): "" for number in range(65)}
        given().when(start_training(parameters=many)).then_refused("invalid-value", "65", "at most 64")

    def test_texts_have_limits(self) -> None:
        given().when(start_training(architecture="x" * 513)).then_refused("invalid-value", "training.architecture")


class TestFailTraining:
    def test_ends_a_running_one(self) -> None:
        given(training_started()).when(fail_training()).then(training_failed())

    def test_unknown_run(self) -> None:
        given(trained("v1")).when(fail_training()).then_refused("unknown-run", "no training run 'run-1'")

    def test_ended_run(self) -> None:
        given(training_started(), training_failed()).when(fail_training()).then_refused("illegal-step", "failed")
        given(training_started(), trained("v1", "run-1")).when(fail_training()).then_refused(
            "illegal-step", "succeeded"
        )

    def test_detail_is_cut_not_refused(self) -> None:
        given(training_started()).when(fail_training(detail="x" * 9_000)).then(
            TrainingFailed(run_id="run-1", cause="bad-data", detail="x" * 8_000)
        )


class TestRegister:
    def test_names_count_up_by_themselves(self) -> None:
        given().when(register(artifact=artifact_of("v1"))).then(trained("v1"))
        given(*V1_ACTIVE).when(register(artifact=artifact_of("v2"))).then(trained("v2"))

    def test_who_hands_in_figures_hears_why_a_version_failed(self) -> None:
        of_v2 = given(*V1_ACTIVE, trained("v2")).when(validate("v2", 0.5, baseline=("v1", 0.97)))
        of_v2.and_says("v2 failed and is archived: accuracy 0.5 against 0.97 of v1")

    def test_the_bytes_of_a_failed_version_are_told_of(self) -> None:
        failed = given(*V1_ACTIVE, trained("v2"), validated("v2", "failed", baseline=("v1", 0.97)))
        again = failed.when(register("v3", artifact=artifact_of("v2")))
        again.then(replace(trained("v3"), artifact=artifact_of("v2")))
        again.and_says("that of v2, which failed validation")
        twins = given(
            *V1_ACTIVE,
            trained("v2"),
            validated("v2", "failed", baseline=("v1", 0.97)),
            replace(trained("v3"), artifact=artifact_of("v2")),
        )
        twins.when(promote("v3")).then_refused("illegal-step", "not been validated", "that of 'v2', which failed")

    def test_names_that_are_taken_are_left_out(self) -> None:
        given(trained("v2")).when(register(artifact=artifact_of("v3"))).then(trained("v3"))
        given(trained("first"), trained("v3")).when(register(artifact=artifact_of("v4"))).then(trained("v4"))

    def test_carries_everything_it_is_given(self) -> None:
        provenance = Provenance(origin="trained", created_by="trainer", code_revision="4f0c", environment={"a": "b"})
        given(training_started()).when(
            register("blue-1.0", provenance=provenance, run_id="run-1", metrics={"accuracy": 0.9}, tags={"k": "v"})
        ).then(
            ModelTrained(
                model_version="blue-1.0",
                artifact=artifact_of("blue-1.0"),
                provenance=provenance,
                run_id="run-1",
                metrics={"accuracy": 0.9},
                tags={"k": "v"},
            )
        )

    def test_a_version_never_changes(self) -> None:
        given(trained("v1")).when(register("v1")).then_refused("duplicate-version", "'v1'", "to get 'v2'")

    def test_a_run_ends_once(self) -> None:
        given(training_started(), training_failed()).when(register("v1", run_id="run-1")).then_refused(
            "illegal-step", "failed"
        )
        given(training_started(), trained("v1", "run-1")).when(register("v2", run_id="run-1")).then_refused(
            "illegal-step", "succeeded"
        )

    def test_an_imported_version_may_name_a_run_of_elsewhere(self) -> None:
        given().when(register("v1", run_id="mlflow-7")).then(trained("v1", "mlflow-7"))

    @pytest.mark.parametrize("name", ["", ".hidden", "a/b", "a b", "v" * 64, "v1\n"])
    def test_version_names(self, name: str) -> None:
        given().when(register(name, artifact=artifact_of("x"))).then_refused("invalid-value", "version name")

    @pytest.mark.parametrize(
        ("attributes", "words"),
        [
            ({"artifact": ArtifactFacts(digest="md5:00", size_bytes=1)}, "64 lower-case hex digits"),
            ({"graph": ArtifactFacts(digest="md5:00", size_bytes=1)}, "64 lower-case hex digits"),
            ({"artifact": ArtifactFacts(digest="sha256:" + "A" * 64, size_bytes=1)}, "64 lower-case hex digits"),
            ({"metrics": {"accuracy": float("nan")}}, "a finite number is needed"),
            ({"metrics": {"accuracy": float("inf")}}, "a finite number is needed"),
            ({"metrics": {"": 1.0}}, "key of 0 characters"),
            ({"metrics": {str(number): 0.0 for number in range(65)}}, "at most 64"),
            ({"tags": {"k" * 129: ""}}, "key of 129 characters"),
            ({"tags": {"k": "v" * 1_025}}, "at most 1024"),
            ({"provenance": Provenance(origin="imported", created_by="a" * 513)}, "provenance.created_by"),
            ({"provenance": Provenance(origin="imported", created_by="a", environment={"": ""})}, "environment"),
        ],
    )
    def test_limits(self, attributes: dict[str, object], words: str) -> None:
        given().when(register("v1", **attributes)).then_refused("invalid-value", words)


class TestValidate:
    def test_passed(self) -> None:
        given(trained("v1")).when(validate("v1", 0.97)).then(validated("v1", "passed", 0.97))

    def test_failed_is_archived_in_the_same_decision(self) -> None:
        given(trained("v1")).when(validate("v1", 0.1)).then(validated("v1", "failed", 0.1), archived("v1"))

    def test_failed_leaves_the_active_one_alone(self) -> None:
        given(*V1_ACTIVE, trained("v2")).when(validate("v2", 0.2, ("v1", 0.97))).then(
            validated("v2", "failed", 0.2, ("v1", 0.97)), archived("v2")
        )

    def test_inconclusive_is_left_to_a_person(self) -> None:
        given(*V1_ACTIVE, trained("v2")).when(validate("v2", 0.90, ("v1", 0.97))).then(
            validated("v2", "inconclusive", 0.90, ("v1", 0.97))
        )

    def test_first_one_is_promoted_when_asked(self) -> None:
        given(trained("v1")).when(validate("v1", promote_first=True)).then(validated("v1"), promoted("v1"))

    def test_promote_first_leaves_an_active_one_alone(self) -> None:
        given(*V1_ACTIVE, trained("v2")).when(validate("v2", 0.97, ("v1", 0.97), promote_first=True)).then(
            validated("v2", "passed", 0.97, ("v1", 0.97))
        )

    def test_promote_first_does_not_help_one_that_failed(self) -> None:
        given(trained("v1")).when(validate("v1", 0.1, promote_first=True)).then(
            validated("v1", "failed", 0.1), archived("v1")
        )

    def test_again_with_another_verdict(self) -> None:
        given(trained("v1"), validated("v1")).when(validate("v1", 0.1)).then(
            validated("v1", "failed", 0.1), archived("v1")
        )

    def test_the_policy_is_the_caller_s(self) -> None:
        policy = ValidationPolicy(first_accuracy_min=0.99)
        after = given(trained("v1")).under(policy)
        decision = decide(after.state, validate("v1", 0.98), policy)
        assert isinstance(decision, Accepted)
        assert len(decision.events) == 2

    def test_compared_with_a_version_that_is_no_longer_active(self) -> None:
        given(*V2_ACTIVE, trained("v3")).when(validate("v3", 0.97, ("v1", 0.97))).then_refused(
            "conflict", "compared with v1", "v2 is active", "evaluate again"
        )

    def test_compared_with_none_though_one_is_active(self) -> None:
        given(*V1_ACTIVE, trained("v2")).when(validate("v2")).then_refused("conflict", "no version", "v1 is active")

    def test_compared_with_one_though_none_is_active(self) -> None:
        given(trained("v1"), trained("v2")).when(validate("v2", 0.97, ("v1", 0.97))).then_refused(
            "conflict", "compared with v1", "no version is active"
        )

    def test_too_late_for_the_active_one(self) -> None:
        given(*V1_ACTIVE).when(validate("v1", 0.97, ("v1", 0.97))).then_refused("illegal-step", "production", legal=())

    def test_too_late_for_an_archived_one(self) -> None:
        given(trained("v1"), archived("v1")).when(validate("v1")).then_refused(
            "illegal-step", "archived", legal=("stage", "switch")
        )

    @pytest.mark.parametrize(
        ("attributes", "words"),
        [
            ({"figures": {}}, "need 'accuracy'"),
            ({"figures": {"accuracy": 97.0}}, "97.0"),
            ({"figures": {"accuracy": -0.1}}, "not a share from 0 to 1"),
            ({"figures": {"accuracy": float("nan")}}, "finite"),
            ({"baseline_figures": {"f1": float("inf")}}, "baseline_figures"),
            ({"baseline_figures": {"accuracy": 2.0}}, "baseline_figures['accuracy'] is 2.0"),
            ({"validation_set": "x" * 513}, "validation.validation_set"),
        ],
    )
    def test_figures_that_make_no_sense(self, attributes: dict[str, object], words: str) -> None:
        given(trained("v1")).when(validate("v1", **attributes)).then_refused("invalid-value", words)  # type: ignore[arg-type]

    def test_the_active_one_s_figures_are_needed(self) -> None:
        given(*V1_ACTIVE, trained("v2")).when(
            validate("v2", baseline_version="v1", baseline_figures={"f1": 0.9})
        ).then_refused("invalid-value", "'v1' is active", "'accuracy'")


class TestStage:
    def test_before_validation(self) -> None:
        given(trained("v1")).when(stage("v1")).then(staged("v1"))

    def test_twice(self) -> None:
        given(trained("v1"), staged("v1")).when(stage("v1")).then_nothing("in staging already")

    def test_a_superseded_or_archived_one_comes_back(self) -> None:
        given(*V2_ACTIVE).when(stage("v1")).then(staged("v1"))
        given(trained("v1"), archived("v1")).when(stage("v1")).then(staged("v1"))

    def test_not_one_that_failed(self) -> None:
        given(trained("v1"), validated("v1", "failed", 0.1), archived("v1")).when(stage("v1")).then_refused(
            "illegal-step", "failed validation", legal=("switch",)
        )

    def test_not_the_active_one(self) -> None:
        given(*V2_ACTIVE).when(stage("v2")).then_refused("illegal-step", "production", legal=("roll back",))


class TestPromote:
    def test_passed(self) -> None:
        given(trained("v1"), validated("v1")).when(promote("v1")).then(promoted("v1"))

    def test_names_the_one_it_replaces(self) -> None:
        given(*V1_ACTIVE, trained("v2"), validated("v2", baseline=("v1", 0.97)), staged("v2")).when(promote("v2")).then(
            promoted("v2", "v1")
        )

    def test_inconclusive_is_a_person_s_word(self) -> None:
        given(trained("v1"), validated("v1", "inconclusive")).when(promote("v1")).then(promoted("v1"))

    def test_superseded_comes_back(self) -> None:
        given(*V2_ACTIVE).when(promote("v1")).then(promoted("v1", "v2"))

    def test_active_already(self) -> None:
        given(*V1_ACTIVE).when(promote("v1")).then_nothing("active already")

    def test_not_validated(self) -> None:
        given(trained("v1")).when(promote("v1")).then_refused(
            "illegal-step", "not been validated", legal=("validate", "stage", "switch", "archive")
        )

    def test_failed(self) -> None:
        given(trained("v1"), validated("v1", "failed", 0.1), archived("v1")).when(promote("v1")).then_refused(
            "illegal-step", "failed validation", legal=("switch",)
        )

    def test_archived(self) -> None:
        given(trained("v1"), validated("v1"), archived("v1")).when(promote("v1")).then_refused(
            "illegal-step", "archived", legal=("stage", "switch")
        )

    def test_superseded_that_failed_since(self) -> None:
        given(*V2_ACTIVE, validated("v1", "failed", 0.1, ("v2", 0.97))).when(promote("v1")).then_refused(
            "illegal-step", "failed validation", legal=("validate", "switch", "archive")
        )


class TestSwitch:
    def test_forces_what_was_never_validated(self) -> None:
        given(*V1_ACTIVE, trained("v2")).when(switch("v2")).then(promoted("v2", "v1", forced=True))

    def test_forces_what_failed(self) -> None:
        given(trained("v1"), validated("v1", "failed", 0.1), archived("v1")).when(switch("v1")).then(
            promoted("v1", forced=True)
        )

    def test_active_already(self) -> None:
        given(*V1_ACTIVE).when(switch("v1")).then_nothing("active already")


class TestArchive:
    def test_one_that_is_not_active(self) -> None:
        given(trained("v1")).when(archive("v1")).then(archived("v1"))
        given(*V2_ACTIVE).when(archive("v1")).then(archived("v1"))

    def test_twice(self) -> None:
        given(trained("v1"), archived("v1")).when(archive("v1")).then_nothing("archived already")

    def test_the_active_one_would_leave_none(self) -> None:
        given(*V1_ACTIVE).when(archive("v1")).then_refused("illegal-step", "put another one into production first")


def test_an_event_of_a_newer_release_still_marks_its_command_as_applied() -> None:
    state = ModelState("digits")
    evolve_unknown_in_place(state, "hotswap.model.frozen.v1", 1, "command-of-the-newer-release")
    decision = decide(state, register("v1", command_id="command-of-the-newer-release"))
    assert isinstance(decision, Accepted)
    assert decision.events == ()
