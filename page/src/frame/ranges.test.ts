import { test } from "node:test";
import assert from "node:assert/strict";
import type { Entry } from "../store/api";
import { rangesOf } from "./ranges";

const entry = (offset: number, kind: string, rollout: string, more: Partial<Entry> = {}): Entry =>
  ({ offset, appended_at: "", event: { type: `hotswap.rollout.${kind}.v1`, subject: "digits", data: { rollout_id: rollout } }, ...more }) as unknown as Entry;

test("a rollout is a range from its start to its end, and one that goes on has none", () => {
  const all = [entry(20, "started", "r2"), entry(9, "completed", "r1"), entry(4, "started", "r1"), entry(6, "paused", "r1")];
  assert.deepEqual(rangesOf(all), [
    { model: "digits", rollout: "r1", from: 4, to: 9 },
    { model: "digits", rollout: "r2", from: 20, to: null },
  ]);
});

test("what is void counts for nothing, and what began before all that is known begins at the left", () => {
  assert.deepEqual(rangesOf([entry(4, "started", "r1", { void_because: "conflict" })]), []);
  assert.deepEqual(rangesOf([entry(9, "completed", "r7")]), [{ model: "digits", rollout: "r7", from: 0, to: 9 }]);
});
