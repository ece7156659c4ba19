import { test } from "node:test";
import assert from "node:assert/strict";
import { Funnel, span } from "./funnel";
import { LinesChart } from "./lines";
import { drawn, found } from "./drawn";
import { brief, logarithmic, powers, round, ticks } from "./scale";

const point = (count: number, estimate: number, half: number) => ({ count, estimate, lower: estimate - half, upper: estimate + half });
const format = (value: number) => value.toFixed(3);
const shown = { title: "success-rate of v2", limit: -0.02, margin: 0.02, lowerIsBetter: false, format, width: 600, difference: true };

test("the interval of the picture is that of the last figures", () => {
  const tree = drawn(<Funnel {...shown} points={[point(100, 0, 0.05), point(1_000, 0.004, 0.015)]} />);
  assert.match(found(tree, "desc")[0]!.text, /between -0\.011 and 0\.019, about 0\.004, after 1000 answers; the limit is -0\.020/);
  const [stem] = found(tree, "g.end line");
  const low = Number(stem!.props["y2"]);
  const high = Number(stem!.props["y1"]);
  // From 10 to 170 pixels are 0.16: 1,000 pixels a unit, 0 at 90.
  assert.equal(Math.round(low - 90), 11);
  assert.equal(Math.round(90 - high), 19);
  assert.equal(found(tree, "path.arrow").length, 0);
});

test("the axis stays at four margins, and what leaves it is an arrow", () => {
  assert.deepEqual(span([point(8, 0, 0.9)], -0.02, 0.02, true), [-0.08, 0.08]);
  const tree = drawn(<Funnel {...shown} points={[point(8, 0, 0.9)]} />);
  assert.equal(found(tree, "path.arrow").length, 2);
});

test("a figure that is held to a threshold is drawn around it", () => {
  assert.deepEqual(span([point(8, 0.95, 0.1)], 0.9, 0.05, false), [0.9 - 0.2, 0.9 + 0.2]);
});

test("nothing counted is said, and drawn as nothing", () => {
  const tree = drawn(<Funnel {...shown} points={[]} />);
  assert.match(found(tree, "desc")[0]!.text, /nothing was counted yet/);
  assert.equal(found(tree, "g.end").length, 0);
});

test("a line breaks where nothing was known, and a switch is a vertical line", () => {
  const at = (seconds: number, value: number | null) => ({ at: seconds * 1000, value });
  const tree = drawn(
    <LinesChart
      title="rate"
      unit="/s"
      lines={[{ name: "v1", look: "first", points: [at(0, 4), at(1, 5), at(2, null), at(60, 6)] }]}
      marks={[{ at: 30_000, text: "v2" }, { at: 900_000, text: "later" }]}
      stretches={[{ from: 20_000, to: 50_000, text: "r1 of v2" }, { from: 90_000, to: null, text: "r2 of v3" }, { from: -9_000, to: -1_000, text: "r0 of v1" }]}
      from={0}
      to={100_000}
      width={500}
    />,
  );
  // From 44 to 492 pixels are 100 s.
  const drawnStretches = found(tree, "rect.stretch").map((one) => [one.props["x"], one.props["width"]].map(Math.round));
  assert.deepEqual(drawnStretches, [[134, 134], [447, 45]]);
  assert.equal(found(tree, "path.line")[0]!.props["d"].split("M").length, 3);
  assert.equal(found(tree, "g.mark").length, 1);
  const near = drawn(<LinesChart title="rate" unit="/s" lines={[]} marks={[{ at: 30_000, text: "v2" }, { at: 31_000, text: "v3" }]} from={0} to={100_000} width={500} />);
  assert.deepEqual([found(near, "g.mark").length, found(near, "g.mark text").map((one) => one.text)], [2, ["v3"]]);
  assert.match(found(tree, "desc")[0]!.text, /now: v1 6 \/s/);
});

test("scales and their words", () => {
  assert.deepEqual([0.3, 1, 1.1, 7, 43, 0].map(round), [0.5, 1, 2, 10, 50, 1]);
  assert.deepEqual(ticks(-8, 8), [-5, 0, 5]);
  assert.deepEqual(ticks(0.8954, 1).map((value) => value.toFixed(2)), ["0.90", "0.95", "1.00"]);
  assert.deepEqual(powers(10, 10_000), [10, 100, 1_000, 10_000]);
  assert.equal(logarithmic(1, 100, 0, 10)(10), 5);
  assert.equal(logarithmic(1, 100, 0, 10)(0), 0);
  assert.deepEqual([8, 1_500, 2e6].map(brief), ["8", "1.5k", "2M"]);
});
