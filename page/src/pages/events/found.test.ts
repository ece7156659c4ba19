import { test } from "node:test";
import assert from "node:assert/strict";
import type { Entry } from "../../store/api";
import { comparable, differences, filtersOf, folded, matches, pathOf, type Filters } from "./found";

function entry(offset: number, type: string, more: Record<string, unknown> = {}): Entry {
  const event = { type, subject: "digits", actor: "ada", ...more };
  return { offset, appended_at: "2026-01-01T00:00:00Z", event } as unknown as Entry;
}

const ANALYSIS = "hotswap.rollout.analysis-recorded.v1";
const NONE: Filters = { model: "", type: "", actor: "", text: "", void: "" };

test("a page is the last events, those before an offset, those from one on, or those up to a moment", () => {
  const asked = (query: string, asOf: number | null = null) => new URLSearchParams(pathOf(filtersOf(new URLSearchParams(query)), new URLSearchParams(query), asOf).split("?")[1]);
  assert.equal(asked("").get("before_offset"), "999999999999999");
  assert.equal(asked("before=50").get("before_offset"), "50");
  assert.equal(asked("from=50").get("from_offset"), "50");
  assert.equal(asked("", 7).get("before_offset"), "8");
  assert.equal(asked("before=x").get("before_offset"), "999999999999999");
  const all = asked("model=a%26b&type=staged&actor=ada&text=x&void=without");
  assert.deepEqual([...all].slice(2), [["model_name", "a&b"], ["type", "staged"], ["actor", "ada"], ["text", "x"], ["void", "false"]]);
});

test("what just came is counted if it is looked for", () => {
  const promoted = entry(3, "hotswap.model.promoted.v1", { reason: "Because" });
  for (const filters of [NONE, { ...NONE, model: "digits" }, { ...NONE, type: "promoted" }, { ...NONE, text: "because" }, { ...NONE, void: "without" }]) assert.ok(matches(promoted, filters));
  for (const filters of [{ ...NONE, model: "x" }, { ...NONE, type: "staged" }, { ...NONE, text: "nowhere" }, { ...NONE, void: "only" }, { ...NONE, actor: "bob" }]) assert.ok(!matches(promoted, filters));
});

test("analyses in a row that changed nothing are one line, until somebody opens it", () => {
  const entries = [1, 2, 3, 4].map((offset) => entry(offset, ANALYSIS, { data: { outcome: "undecided" } }));
  assert.deepEqual(folded(entries, new Set()).map((line) => line.kind), ["folded"]);
  assert.equal(folded(entries, new Set([1])).length, 4);
  const failed = entry(5, ANALYSIS, { data: { outcome: "failed" } });
  const other = entry(6, ANALYSIS, { subject: "fraud", data: { outcome: "undecided" } });
  assert.deepEqual(folded([...entries, failed, other], new Set()).map((line) => line.kind), ["folded", "entry", "entry"]);
  assert.equal(folded(entries.slice(0, 2), new Set()).length, 2);
});

test("states differ in fields, and versions by their names", () => {
  const before = { offset: 1, active_version: "v1", versions: [{ model_version: "v1", stage: "active" }] };
  const after = { offset: 2, active_version: "v2", versions: [{ model_version: "v1", stage: "superseded" }, { model_version: "v2", stage: "active" }] };
  assert.deepEqual(differences(comparable(before), comparable(after)).map((one) => one.path), ["active_version", "versions.v1.stage", "versions.v2"]);
  assert.deepEqual(differences(comparable(before), comparable(before)), []);
  assert.equal(differences(undefined, comparable(after)).length, 1);
});
