/** One metric of one candidate: the verdict, the picture of how it came to it, the same in a sentence, and as a table. */
import { Funnel } from "../../charts/funnel";
import { clock, count, signed, trimmed } from "../../frame/format";
import { Badge, Panel, type Tone, Wide } from "../../frame/parts";
import type { Rollout } from "../../store/api";
import { evidenceKey } from "../../store/now";
import type { Evidence, Verdict } from "../../stream/messages";

const TONES: Record<Verdict, Tone> = { harmful: "bad", undecided: "move", "no-data": "plain", passed: "good" };
const ORDER: readonly Verdict[] = ["harmful", "undecided", "no-data", "passed"];
const ROWS_SHOWN = 12;
/** Metrics that are shares: a difference of them is told in points. */
const SHARES = new Set(["success-rate", "accuracy", "agreement", "hit-rate"]);

/** What the analyses recorded, as the stream would have said it then. */
export function fromAnalyses(name: string, rollout: Rollout): Map<string, Evidence[]> {
  const found = new Map<string, Evidence[]>();
  for (const analysis of rollout.analyses ?? []) {
    for (const one of analysis.evidence ?? []) {
      const difference = one.baseline_value !== null && one.baseline_value !== undefined;
      const record: Evidence = {
        model_name: name,
        rollout_id: rollout.rollout_id,
        metric: one.metric,
        model_version: one.model_version,
        baseline_version: rollout.baseline_version,
        verdict: one.outcome === "failed" ? "harmful" : one.outcome === "successful" ? "passed" : one.count ? "undecided" : "no-data",
        at: analysis.recorded_at,
        registry_offset: 0,
        compared_with: one.threshold !== null && one.threshold !== undefined && !one.margin ? "threshold" : "baseline",
        count: one.count,
        ...given("value", one.value),
        ...given("baseline_value", one.baseline_value),
        ...given("baseline_count", one.baseline_count),
        ...given("lower", one.lower),
        ...given("upper", one.upper),
        ...given("margin", one.margin),
        ...given("threshold", one.threshold),
        ...given("estimate", difference && one.value !== null && one.value !== undefined ? one.value - (one.baseline_value ?? 0) : one.value),
        ...given("limit", one.threshold ?? (one.margin === null || one.margin === undefined ? null : -one.margin)),
      };
      const key = evidenceKey(record);
      found.set(key, [...(found.get(key) ?? []), record]);
    }
  }
  return found;
}

function given<Name extends string>(name: Name, value: number | null | undefined): Partial<Record<Name, number>> {
  return value === null || value === undefined ? {} : ({ [name]: value } as Record<Name, number>);
}

export function ordered<T extends { readonly points: readonly Evidence[]; readonly key: string }>(all: readonly T[]): T[] {
  const rank = (one: T): number => ORDER.indexOf(one.points.at(-1)?.verdict ?? "no-data");
  return [...all].sort((one, other) => rank(one) - rank(other) || one.key.localeCompare(other.key));
}

/** How a figure of this metric is written: points of a hundred for the difference of shares. */
export function written(record: Evidence): (value: number) => string {
  const difference = record.compared_with !== "threshold";
  if (SHARES.has(record.metric)) return difference ? (value) => signed(value * 100) : (value) => `${trimmed(value * 100, 2)} %`;
  const digits = Math.abs(record.margin ?? record.limit ?? 1) < 0.1 ? 4 : 2;
  return difference ? (value) => signed(value, digits) : (value) => trimmed(value, digits);
}

/** The evidence in one sentence, with what would end it. */
export function sentence(record: Evidence): string {
  const { lower, upper, limit, model_version: candidate, baseline_version: baseline } = record;
  if (lower === undefined || upper === undefined) return `Nothing of ${candidate} was counted yet.`;
  const write = written(record);
  const points = SHARES.has(record.metric) && record.compared_with !== "threshold" ? " points" : "";
  const of = record.compared_with === "threshold" ? "" : ` of ${baseline}`;
  const between = `${candidate} is between ${write(lower)} and ${write(upper)}${points}${of}`;
  const bound = limit === undefined ? "" : `; the limit is ${write(limit)}`;
  const [good, harm] = record.lower_is_better ? ["upper", "lower"] : ["lower", "upper"];
  const zero = record.compared_with === "threshold" ? "the limit" : "0";
  const end =
    record.verdict === "passed"
      ? "Passed: the whole interval is on the good side."
      : record.verdict === "harmful"
        ? "Harm: the whole interval is on the bad side."
        : `Advances when the ${good} end passes ${limit === undefined ? zero : write(limit)}; aborts when the ${harm} end passes ${zero}.`;
  return `${between}${bound}. ${end} True at every look.`;
}

export function Metric({ points: all, past }: { points: readonly Evidence[]; past: boolean }) {
  const last = all.at(-1);
  if (!last) return null;
  // A difference and a value held to a threshold are figures of two kinds: one axis has one of them.
  const points = all.filter((point) => point.compared_with === last.compared_with && point.step_index === last.step_index);
  const write = written(last);
  const first = points.findIndex((point) => point.lower !== undefined);
  return (
    <Panel
      title={
        <>
          {last.metric.replaceAll("-", " ")} <span class="soft">of {last.model_version}</span>
        </>
      }
      extra={<Badge tone={TONES[last.verdict]}>{last.verdict.replace("-", " ")}</Badge>}
    >
      <Wide>
        {(width) => (
          <Funnel
            title={`${last.metric} of ${last.model_version}`}
            points={points.map((point) => ({ count: point.count ?? 0, estimate: point.estimate ?? null, lower: point.lower ?? null, upper: point.upper ?? null }))}
            limit={last.limit ?? null}
            margin={last.margin ?? null}
            lowerIsBetter={last.lower_is_better ?? false}
            format={write}
            width={width}
            difference={last.compared_with !== "threshold"}
            share={SHARES.has(last.metric)}
          />
        )}
      </Wide>
      <p>{sentence(last)}</p>
      <p class="soft small">
        {count(last.count ?? 0)} answers of {last.model_version}
        {last.baseline_count !== undefined && `, ${count(last.baseline_count)} of ${last.baseline_version}`} · {past ? "as recorded" : `next look in about a second`}
      </p>
      {first >= 0 && (
        <details>
          <summary>The same as a table</summary>
          <div class="scroll" tabIndex={0} role="group" aria-label="Evidence">
            <table>
              <thead>
                <tr>
                  <th>at</th>
                  <th class="n">answers</th>
                  <th class="n">lower</th>
                  <th class="n">estimate</th>
                  <th class="n">upper</th>
                  <th>verdict</th>
                </tr>
              </thead>
              <tbody>
                {spread(points.slice(first), ROWS_SHOWN).map((point) => (
                  <tr key={point.at}>
                    <td class="w">{clock(point.at)}</td>
                    <td class="n">{count(point.count ?? 0)}</td>
                    <td class="n">{point.lower === undefined ? "–" : write(point.lower)}</td>
                    <td class="n">{point.estimate === undefined ? "–" : write(point.estimate)}</td>
                    <td class="n">{point.upper === undefined ? "–" : write(point.upper)}</td>
                    <td>{point.verdict}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </details>
      )}
    </Panel>
  );
}

/** At most this many, spread over all, the newest first. */
function spread<T>(all: readonly T[], most: number): T[] {
  const step = Math.max(1, Math.ceil(all.length / most));
  return all.filter((_, index) => (all.length - 1 - index) % step === 0).reverse();
}
