import { test } from "node:test";
import assert from "node:assert/strict";
import type { LegalSteps, Model, Rollout, RolloutNow } from "../store/api";
import { modelActions, publishAction, rolloutActions, stepOf, versionActions } from "./steps";

const model = { model_name: "digits", active_version: "v2", former_version: "v1", sequence: 9 } as Model;
const traffic = { arms: [{ model_version: "v2", weight: 10_000 }], shadows: [], shadow_share: 0, fleet_share: 0, fleet_workers: [] };
const calm: RolloutNow = { model_name: "digits", sequence: 9, rollout: null, on_success: null, legal: ["start"], traffic };
const steps: LegalSteps = {
  model_name: "digits",
  sequence: 9,
  model: ["reload", "disable"],
  rollout: ["start"],
  versions: { v3: ["validate", "stage", "promote", "switch", "archive", "open circuit"], v2: ["roll back"], v1: ["switch with allow_signature_change"] },
};
const verbs = (all: readonly { readonly verb: string }[]): string[] => all.map((one) => one.verb);

test("a step says what it needs besides", () => {
  assert.deepEqual(stepOf("promote v2 with forced and allow_signature_change"), { verb: "promote v2", needs: ["forced", "allow_signature_change"] });
  assert.deepEqual(stepOf("abort"), { verb: "abort", needs: [] });
});

test("a rollback names what it leaves, and is sent on the sequence that was seen", () => {
  const [rollback] = modelActions(model, steps, calm);
  assert.equal(rollback!.title, "Roll back digits to v1");
  assert.deepEqual(rollback!.body!({ cause: "emergency" }), { from_version: "v2", cause: "emergency" });
  assert.equal(rollback!.sequence, 9);
  assert.deepEqual(rollback!.facts[0], ["answers now", "v2 100 %"]);
  assert.equal(rollback!.cli({}), "hotswap-stream rollback digits --from v2");
});

test("what is not legal is not offered", () => {
  assert.deepEqual(verbs(modelActions(model, { ...steps, model: ["enable"], versions: {} }, calm)), ["Switch on"]);
  assert.deepEqual(verbs(versionActions(model, "v3", steps, calm)), ["Promote", "Shadow", "Roll out", "Activate"]);
  assert.deepEqual(verbs(versionActions(model, "v3", { ...steps, rollout: ["abort"] }, calm)), ["Promote", "Activate"]);
  assert.deepEqual(verbs(versionActions(model, "v2", steps, calm)), []);
  assert.deepEqual(verbs(versionActions(model, "nobody", steps, calm)), []);
});

test("what is needed besides is sent, and told", () => {
  const force = versionActions(model, "v1", steps, calm).find((one) => one.verb === "Activate");
  assert.deepEqual(force!.body!({}), { model_version: "v1", allow_signature_change: true });
  assert.ok(force!.facts.some(([name]) => name === "needs besides"));
  const shadow = versionActions(model, "v1", steps, calm).find((one) => one.verb === "Shadow");
  assert.deepEqual(shadow!.body!({ share: 50 }), { candidates: ["v1"], strategy: { kind: "shadow", sample_share: 5_000 }, forced: true });
});

test("the steps of a rollout are those of the API, in its unit and in the command's", () => {
  const roll = versionActions(model, "v3", steps, calm).find((one) => one.verb === "Roll out")!;
  assert.deepEqual(roll.body!({ share: 2.5 }), {
    candidates: ["v3"],
    strategy: { kind: "progressive", steps: [{ step: "set_weight", weight: 250 }, { step: "analysis" }, { step: "set_weight", weight: 5_000 }, { step: "analysis" }, { step: "set_weight", weight: 10_000 }] },
  });
  assert.equal(roll.cli({ share: 60 }), "hotswap-stream rollout start digits v3 --steps 60%,analysis,100%");
});

test("a rollout's actions name it and its arms", () => {
  const rollout = { rollout_id: "r1", candidates: ["v3"], baseline_version: "v2", status: "paused", strategy: { kind: "shadow" } } as unknown as Rollout;
  const found = rolloutActions("digits", { ...calm, rollout, legal: ["resume", "promote with forced", "abort", "set-strategy"] });
  assert.deepEqual(verbs(found), ["Resume", "Promote v3 by force", "Cancel"]);
  assert.deepEqual(found[1]!.body!({}), { rollout_id: "r1", model_version: "v3", forced: true });
  assert.deepEqual(found.map((one) => one.key), ["p", undefined, "x"]);
});

test("a file goes ahead of its version, with the names of its classes", () => {
  const anew = publishAction();
  const filled = { model_name: "a b", file: "m.onnx", labels: "no, yes", artifact_digest: "sha256:1" };
  assert.equal(anew.upload!(filled), "/api/artifacts?label=no&label=yes");
  assert.equal((anew.path as (filled: object) => string)(filled), "/api/models/a%20b/versions");
  assert.deepEqual(anew.body!(filled), { artifact_digest: "sha256:1" });
  assert.equal(anew.cli(filled), "hotswap-stream publish 'a b' m.onnx --label no --label yes");
  assert.equal((publishAction("digits").path as (filled: object) => string)({}), "/api/models/digits/versions");
});
