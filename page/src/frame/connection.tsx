/** Whether what is shown is what is. */
import { behindBy, connection, heardAt, observedKnown } from "../store/now";
import { now } from "./time";
import { ago, count, trimmed } from "./format";

export function ConnectionState() {
  const state = connection.value;
  const heard = heardAt.value;
  const age = heard === null ? null : Math.max(0, (now.value - heard) / 1000);
  const behind = behindBy.value;
  if (state.state === "broken") return <Sign tone="bad" shape="▲" text={`broken${age === null ? "" : `, ${ago(heard ?? 0, now.value)} old`}`} title={state.because} />;
  if (state.state === "paused") return <Sign tone="plain" shape="○" text="paused" title="A hidden tab holds no connection" />;
  if (state.state === "connecting") return <Sign tone="plain" shape="○" text="connecting" title="Waiting for the first message" />;
  if (behind === null) return <Sign tone="warn" shape="◆" text="maybe behind" title="The log cannot be asked how far it is" />;
  if (behind > 0) return <Sign tone="warn" shape="◆" text={`behind by ${count(behind)}`} title="Records of the log that the API has not read yet" />;
  if (!observedKnown.value) return <Sign tone="warn" shape="◆" text="live, no figures" title="The workers' observations do not reach the API" />;
  return <Sign tone="good" shape="●" text={`live ${trimmed(age ?? 0, 1)} s`} title="Since the last message" />;
}

function Sign({ tone, shape, text, title }: { tone: string; shape: string; text: string; title: string }) {
  return (
    <span class={`sign ${tone}`} title={title}>
      <span aria-hidden="true">{shape}</span> {text}
    </span>
  );
}

/** Under the time bar, where something is not as it should be: in words, and what it means for the reader. */
export function Trouble() {
  const state = connection.value;
  const heard = heardAt.value;
  if (state.state === "broken") {
    const old = heard === null ? "nothing was heard yet" : `what you see is ${ago(heard, now.value)} old`;
    return (
      <p class="note bad" role="status">
        <strong>Not live:</strong> {state.because}; {old}. It is tried again.
      </p>
    );
  }
  if (state.state === "live" && (behindBy.value ?? 0) > 0) {
    return (
      <p class="note warn" role="status">
        <strong>Behind the log</strong> by {count(behindBy.value)} records: the newest events are not shown yet.
      </p>
    );
  }
  return null;
}
