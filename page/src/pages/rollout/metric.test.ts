import { test } from "node:test";
import assert from "node:assert/strict";
import type { Entry, Rollout } from "../../store/api";
import type { Evidence } from "../../stream/messages";
import { folded } from "./folded";
import { fromAnalyses, fromTopic, ordered, sentence, written } from "./evidence";

const record: Evidence = {
  model_name: "digits",
  rollout_id: "r1",
  metric: "accuracy",
  model_version: "v2",
  baseline_version: "v1",
  verdict: "undecided",
  at: "2026-01-01T00:00:00Z",
  registry_offset: 7,
  watermark: 0,
  status: "running",
  arms: [],
  compared_with: "baseline",
  lower: -0.009,
  upper: 0.021,
  limit: -0.02,
  margin: 0.02,
};

test("the sentence has the figures of the interval, in points", () => {
  assert.equal(
    sentence(record),
    "v2 is between −0.9 and +2.1 points of v1; the limit is −2. Advances when the lower end passes −2; aborts when the upper end passes 0. True at every look.",
  );
});

test("what is held to a threshold is written as it is", () => {
  const held: Evidence = { ...record, compared_with: "threshold", lower: 0.9, upper: 1, limit: 0.95 };
  assert.equal(written(held)(0.9754), "97.54 %");
  assert.match(sentence(held), /between 90 % and 100 %; the limit is 95 %/);
});

test("a verdict before the interval has passed is not told as if it had", () => {
  assert.match(sentence({ ...record, verdict: "passed", lower: -0.023 }), /Passed by the test/);
  assert.match(sentence({ ...record, verdict: "passed" }), /the whole interval is on the good side/);
});

test("failed comes first", () => {
  const all = (["passed", "undecided", "harmful", "no-data"] as const).map((verdict) => ({ key: verdict, points: [{ ...record, verdict }] }));
  assert.deepEqual(ordered(all).map((one) => one.key), ["harmful", "undecided", "no-data", "passed"]);
});

test("recorded analyses are read as the stream would have said them", () => {
  const evidence = [{ metric: "accuracy", model_version: "v2", outcome: "inconclusive", count: 80, value: 0.9, baseline_value: 0.88, lower: -0.05, upper: 0.09, margin: 0.02 }];
  const rollout = { rollout_id: "r1", baseline_version: "v1", analyses: [{ recorded_at: record.at, evidence }] } as unknown as Rollout;
  const [point] = fromAnalyses("digits", rollout).get("digits/r1/v2/accuracy")!;
  assert.equal(point!.verdict, "undecided");
  assert.equal(Number(point!.estimate!.toFixed(6)), 0.02);
  assert.equal(point!.limit, -0.02);
});

test("the way of a metric has the figures of each time, and the words of the last", () => {
  const point = { at: "2025-12-31T23:59:00Z", verdict: "no-data", count: 8, estimate: null, lower: -0.9, upper: 0.9, limit: -0.02, step_index: null } as const;
  const [first, last] = fromTopic({ model_name: "digits", rollout_id: "r1", latest: [record], history: [{ model_version: "v2", metric: "accuracy", points: [point, { ...point, at: record.at }] }] }).get("digits/r1/v2/accuracy")!;
  assert.equal(last, record);
  assert.deepEqual([first!.lower, first!.count, first!.verdict, first!.baseline_version], [-0.9, 8, "no-data", "v1"]);
  assert.equal(first!.estimate, null);
});

test("the same outcome again is one line, and one command's reason is told once", () => {
  const entry = (offset: number, type: string, reason: string, cause: string): Entry =>
    ({ offset, appended_at: "", event: { type, reason, causationid: cause, data: { outcome: "inconclusive" } } }) as unknown as Entry;
  const analysis = "hotswap.rollout.analysis-recorded.v1";
  const rows = folded([entry(5, "b", "why", "x"), entry(4, "a", "why", "x"), entry(3, analysis, "", "y"), entry(2, analysis, "", "z")]);
  assert.deepEqual(rows.map((row) => [row.entry.offset, row.times, row.why]), [[5, 1, ""], [4, 1, "why"], [3, 2, ""]]);
});
