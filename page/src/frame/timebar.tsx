/** The time bar: which moment of the log is looked at. In the past nothing can be commanded. */
import { useSignal } from "@preact/signals";
import { asOf, goTo } from "../store/route";
import { events, head } from "../store/now";
import { clock } from "./format";
import { step } from "./keys";

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
