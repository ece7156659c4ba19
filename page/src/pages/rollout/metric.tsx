/** One metric of one candidate: the verdict, the picture of how it came to it, the same in a sentence, and as a table. */
import { Funnel } from "../../charts/funnel";
import { clock, count } from "../../frame/format";
import { Badge, Panel, Table, type Tone, Wide } from "../../frame/parts";
import type { Evidence, Verdict } from "../../stream/messages";
import { SHARES, named, sentence, written } from "./evidence";

const TONES: Record<Verdict, Tone> = { harmful: "bad", undecided: "move", "no-data": "plain", passed: "good" };
const ROWS_SHOWN = 12;

export function Metric({ points: all, recorded }: { points: readonly Evidence[]; recorded: boolean }) {
  const last = all.at(-1);
  if (!last) return null;
  // A difference and a value held to a threshold are figures of two kinds: one axis has one of them.
  const points = all.filter((point) => point.compared_with === last.compared_with && point.step_index === last.step_index);
  const write = written(last);
  const first = points.findIndex((point) => typeof point.lower === "number");
  return (
    <Panel
      title={
        <>
          {named(last.metric)} <span class="soft">of {last.model_version}</span>
        </>
      }
      extra={<Badge tone={TONES[last.verdict]}>{last.verdict.replace("-", " ")}</Badge>}
    >
      <Wide>
        {(width) => (
          <Funnel
            title={`${named(last.metric)} of ${last.model_version}`}
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
        {typeof last.baseline_count === "number" && `, ${count(last.baseline_count)} of ${last.baseline_version}`} · {recorded ? "as recorded" : `next look in about a second`}
      </p>
      {first >= 0 && (
        <details>
          <summary>The same as a table</summary>
          <Table label="Evidence" heads={["at", "#answers", "#lower", "#estimate", "#upper", "verdict"]}>
            {spread(points.slice(first), ROWS_SHOWN).map((point) => (
              <tr key={point.at}>
                <td class="w">{clock(point.at)}</td>
                <td class="n">{count(point.count ?? 0)}</td>
                <td class="n">{typeof point.lower === "number" ? write(point.lower) : "–"}</td>
                <td class="n">{typeof point.estimate === "number" ? write(point.estimate) : "–"}</td>
                <td class="n">{typeof point.upper === "number" ? write(point.upper) : "–"}</td>
                <td>{point.verdict}</td>
              </tr>
            ))}
          </Table>
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
