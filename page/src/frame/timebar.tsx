/** The time bar: which moment of the log is looked at. In the past nothing can be commanded. */
import { useSignal } from "@preact/signals";
import type { Entry } from "../store/api";
import { asOf, goTo, route } from "../store/route";
import { events, head, lines } from "../store/now";
import { session } from "../store/session";
import { useAsked } from "./asked";
import { clock } from "./format";
import { step } from "./keys";
import { rangesOf } from "./ranges";

export function TimeBar() {
  const last = head.value;
  const moment = asOf.value;
  const dragged = useSignal<number | null>(null);
  const shown = dragged.value ?? moment ?? last;
  const known = events.value.find((entry) => entry.offset === shown);
  const past = moment !== null;
  return (
    <section class={`timebar ${past ? "past" : ""}`} aria-label="Moment of the log">
      <button class="plain step" title="One event back ([)" aria-label="One event back" disabled={!last || shown === 0} onClick={() => step(-1)}>
        ‹
      </button>
      <span class="track">
        <input
          type="range"
          min={0}
          max={last ?? 0}
          value={shown ?? 0}
          disabled={last === null}
          aria-label="Moment of the log"
          aria-valuetext={past ? `the past, offset ${shown}` : `now, offset ${shown ?? "not known"}`}
          onInput={(event) => (dragged.value = event.currentTarget.valueAsNumber)}
          onChange={(event) => {
            const chosen = event.currentTarget.valueAsNumber;
            dragged.value = null;
            goTo(chosen >= (last ?? 0) ? null : chosen);
          }}
        />
        {session.value && <Rollouts last={last ?? 0} />}
      </span>
      <button class="plain step" title="One event forth (])" aria-label="One event forth" disabled={!past} onClick={() => step(1)}>
        ›
      </button>
      <span class="moment">
        {past ? <strong>past</strong> : "now"} · offset {shown ?? "–"}
        {past && known && <span class="soft"> · {clock(known.appended_at)}</span>}
      </span>
      {past && (
        <>
          <span class="note-past">What was; commands are off.</span>
          <button class="first" onClick={() => goTo(null)}>
            Back to now
          </button>
        </>
      )}
    </section>
  );
}

const MARKS_MAX = 200;

/** Each rollout is a stroke under the bar, from the event that began it to the one that ended it; on a model's page its own. */
function Rollouts({ last }: { last: number }) {
  const [page = "", name] = route.value.parts;
  const model = /^(models|rollout|training)$/.test(page) ? name : undefined;
  // Asked again when one begins or ends, of which the stream tells.
  const going = [...lines.value.values()].flatMap((line) => line.rollout_id ?? []).join();
  const query = (kind: string): string => `/api/events?before_offset=${Number.MAX_SAFE_INTEGER}&limit=${MARKS_MAX}&type=hotswap.rollout.${kind}.v1`;
  const known = ["started", "completed"].flatMap((kind) => useAsked<{ events: Entry[] }>(query(kind), going).value?.events ?? []);
  const shown = rangesOf(known).filter((range) => !model || range.model === model);
  if (!shown.length || !last) return null;
  const words = shown.map(({ rollout, model: of, from, to }) => `${rollout} of ${of}, offset ${from} ${to === null ? "until now" : `to ${to}`}`);
  return (
    <svg class="ranges" viewBox={`0 0 ${last} 1`} preserveAspectRatio="none" role="img" aria-label={`Rollouts: ${words.join("; ")}`}>
      {shown.map(({ from, to }, index) => (
        <rect key={words[index]} class={to === null ? "going" : ""} x={from} width={Math.max((to ?? last) - from, last / 250)} height={1} data-from={from} data-to={to}>
          <title>{words[index]}</title>
        </rect>
      ))}
    </svg>
  );
}
