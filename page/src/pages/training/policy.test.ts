import { test } from "node:test";
import assert from "node:assert/strict";
import type { TrainingPolicy } from "../../store/api";
import { partsOf, policyOf, triggerActions } from "./policy";

const known = { trainer: "sklearn", parameters: { depth: 3 }, drift: { limit: 0.2, consecutive: 5 }, data: { files: true }, freeze: [{ from_time: "22:00", to_time: "06:00" }], after: { strategy: { kind: "shadow" } }, cooldown_seconds: 60 } as unknown as TrainingPolicy;
const filled = { trainer: "sklearn", cron: " 0 3 * * 1 ", timezone: "Europe/Berlin", drift: 0.3, drop: Number.NaN, rows: "", cooldown: 60, after: "as it is", by_hand: true };

test("what the form does not ask for stays as it is", () => {
  const made = policyOf(filled, known);
  assert.deepEqual(made.parameters, { depth: 3 });
  assert.deepEqual(made.freeze, known.freeze);
  assert.deepEqual(made.after, known.after);
  assert.deepEqual(made.drift, { limit: 0.3, consecutive: 5 });
  assert.deepEqual(made.schedule, { cron: "0 3 * * 1", timezone: "Europe/Berlin" });
  assert.deepEqual(made.data, { rows: null, files: true });
  assert.equal(made.quality, null);
});

test("what is left empty starts nothing", () => {
  const made = policyOf({ ...filled, cron: "", drift: "", after: "canary" }, null);
  assert.deepEqual([made.schedule, made.drift, made.quality, made.data, made.after], [null, null, null, null, "canary"]);
});

test("without a policy one can be set, and nothing be fired", () => {
  const verbs = (policy: TrainingPolicy | null): string[] => triggerActions({ model_name: "digits", policy, sequence: 4 }).map((one) => one.verb);
  assert.deepEqual(verbs(null), ["Set a policy"]);
  assert.deepEqual(verbs(known), ["Fire", "Change the policy", "Take the policy away"]);
  assert.deepEqual(verbs({ ...known, by_hand: false }), ["Change the policy", "Take the policy away"]);
});

test("a policy is told in words, and as its command", () => {
  assert.equal(partsOf(known), "sklearn: input-drift above 0.2, for each new file, by hand");
  const [, change] = triggerActions({ model_name: "digits", policy: known, sequence: 4 });
  assert.equal(change!.cli(filled), "hotswap-stream triggers set digits --trainer sklearn --cron '0 3 * * 1' --timezone Europe/Berlin --drift 0.3 --cooldown 60");
});
