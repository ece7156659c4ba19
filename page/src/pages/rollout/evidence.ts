/** What the evidence says: in words, and in the order in which somebody looks at it. */
import { signed, trimmed } from "../../frame/format";
import type { Rollout, RolloutShown } from "../../store/api";
import { evidenceKey } from "../../store/now";
import type { Evidence, Verdict } from "../../stream/messages";

const ORDER: readonly Verdict[] = ["harmful", "undecided", "no-data", "passed"];
/** Metrics that are shares: a difference of them is told in points. Of latency it is the share of slow answers. */
export const SHARES = new Set(["success-rate", "accuracy", "agreement", "hit-rate", "latency"]);

export function named(metric: string): string {
  return metric === "latency" ? "slow answers" : metric.replaceAll("-", " ");
}

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
        watermark: analysis.watermark,
        status: "running",
        arms: rollout.arms,
        compared_with: one.threshold !== null && one.threshold !== undefined && !one.margin ? "threshold" : "baseline",
        count: one.count,
        value: one.value ?? null,
        baseline_value: one.baseline_value ?? null,
        baseline_count: one.baseline_count ?? null,
        lower: one.lower ?? null,
        upper: one.upper ?? null,
        margin: one.margin ?? null,
        threshold: one.threshold ?? null,
        estimate: difference && one.value !== null && one.value !== undefined ? one.value - (one.baseline_value ?? 0) : one.value ?? null,
        limit: one.threshold ?? (one.margin === null || one.margin === undefined ? null : -one.margin) ?? null,
      };
      const key = evidenceKey(record);
      found.set(key, [...(found.get(key) ?? []), record]);
    }
  }
  return found;
}

/** The way of each metric as the API remembers it. */
export function fromTopic(shown: RolloutShown): Map<string, Evidence[]> {
  const found = new Map<string, Evidence[]>();
  for (const last of shown.latest) {
    const { estimate: _e, lower: _l, upper: _u, limit: _m, step_index: _s, ...same } = last;
    const points = shown.history.find((one) => one.metric === last.metric && one.model_version === last.model_version)?.points ?? [];
    const before = points
      .filter((point) => point.at < last.at)
      .map(({ at, verdict, count, ...figures }) => {
        return { ...same, at, verdict, count, ...figures };
      });
    found.set(evidenceKey(last), [...before, last]);
  }
  return found;
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
  const { lower, upper, limit, harm_limit: harmful, model_version: candidate, baseline_version: baseline } = record;
  if (lower === undefined || lower === null || upper === undefined || upper === null) return `Nothing of ${candidate} was counted yet.`;
  const write = written(record);
  const points = SHARES.has(record.metric) && record.compared_with !== "threshold" ? " points" : "";
  const of = record.compared_with === "threshold" ? "" : ` of ${baseline}`;
  const between = `${candidate} is between ${write(lower)} and ${write(upper)}${points}${of}`;
  const bound = limit === undefined || limit === null ? "" : `; the limit is ${write(limit)}`;
  const [good, harm] = record.lower_is_better ? ["upper", "lower"] : ["lower", "upper"];
  const zero = harmful === undefined || harmful === null ? (record.compared_with === "threshold" ? "the limit" : "0") : write(harmful);
  const end =
    record.verdict === "passed"
      ? past(record)
        ? "Passed: the whole interval is on the good side."
        : "Passed by the test, which may tell before the whole interval is on the good side."
      : record.verdict === "harmful"
        ? "Harm: the whole interval is on the bad side."
        : `Advances when the ${good} end passes ${bound ? write(limit ?? 0) : zero}; aborts when the ${harm} end passes ${zero}.`;
  return `${between}${bound}. ${end} True at every look.`;
}

function past({ lower, upper, limit, lower_is_better: low }: Evidence): boolean {
  return limit !== undefined && limit !== null && (low ? (upper ?? Infinity) < limit : (lower ?? -Infinity) > limit);
}
