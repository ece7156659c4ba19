import { test } from "node:test";
import assert from "node:assert/strict";
import type { TrainingRun } from "../../store/api";
import { causeOf, share, wordsOf } from "./runs";

test("how far a run is, as far as its runner says", () => {
  assert.equal(share({ run_id: "r", epoch: 3, epochs: 12 }), 0.25);
  assert.equal(share({ run_id: "r", step: 30, steps: 20 }), 1);
  assert.equal(share({ run_id: "r" }), null);
  assert.equal(share({ run_id: "r", epoch: 1, epochs: 0 }), null);
  assert.equal(wordsOf({ run_id: "r", phase: "training", epoch: 3, epochs: 12, figures: { loss: 0.414159 } }), "training, epoch 3 of 12, loss 0.4142");
  assert.equal(wordsOf({ run_id: "r" }), "running");
});

test("why a run is there", () => {
  const run = (cause: unknown): TrainingRun => ({ cause, requested_by: "ada" }) as unknown as TrainingRun;
  assert.equal(causeOf(run(null)), "by ada");
  assert.equal(causeOf(run({ kind: "trigger", trigger: "drift", figures: { psi: 0.3 } })), "trigger drift, psi 0.3");
  assert.equal(causeOf(run({ kind: "again", run_id: "r1", attempt: 2 })), "again after r1, attempt 2");
});
