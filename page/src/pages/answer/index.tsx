/** Why an answer was what it was: from the answer back to the event that chose its weights. */
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { Shown, useAsked } from "../../frame/asked";
import { clock, weight } from "../../frame/format";
import { Badge, Copied, Empty, PageHead, Panel } from "../../frame/parts";
import type { Explained } from "../../store/api";
import { modelPath } from "../../store/asking";
import { summaries } from "../../store/now";
import { go, goTo, link, type Route } from "../../store/route";

const BECAUSE: Record<Explained["because"], string> = {
  "in-production": "It was in production.",
  "arm-of-rollout": "It was an arm of a rollout, and the request fell into it.",
  "named-by-request": "The request named this version.",
  "stands-in": "It stood in for a version whose circuit was not closed.",
  refused: "Nothing was chosen: the request was refused.",
  other: "The log does not tell: a probe, or weights that it knows nothing of.",
};

export function Answer({ route }: { route: Route }) {
  const id = route.query.get("id") ?? "";
  const [, model, partition, offset] = route.parts;
  const place = model && partition && offset ? { model, partition, offset } : null;
  const path = place
    ? `${modelPath(place.model)}/answers/${encodeURIComponent(place.partition)}/${encodeURIComponent(place.offset)}`
    : id
      ? `/api/answers/${encodeURIComponent(id)}`
      : null;
  const cli = place ? `hotswap-stream why ${place.partition}:${place.offset} --model ${place.model}` : `hotswap-stream why ${id || "REQUEST"}`;
  return (
    <>
      <PageHead title="Why this answer" json={path ?? "/api/answers/REQUEST"} cli={cli} />
      <Question id={id} place={place} />
      {path ? (
        <Found key={path} path={path} />
      ) : (
        <Panel>
          <Empty>
            Each answer says where it is: its request's id, and in its parameters <code>request_partition</code> and <code>request_offset</code>. By id the newest answers are
            found, by place all that the topic still keeps.
          </Empty>
        </Panel>
      )}
    </>
  );
}

interface Place {
  readonly model: string;
  readonly partition: string;
  readonly offset: string;
}

function Question({ id, place }: { id: string; place: Place | null }) {
  const asked = useSignal(id);
  const model = useSignal(place?.model ?? "");
  const partition = useSignal(place?.partition ?? "0");
  const offset = useSignal(place?.offset ?? "");
  const names = [...new Set([...summaries.value.keys(), ...(place ? [place.model] : [])])].sort();
  const chosen = model.value || names[0] || "";
  return (
    <div class="questions">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (asked.value.trim()) go(link(["answer"], null, { id: asked.value.trim() }));
        }}
      >
        <label class="field">
          <span>Request id</span>
          <input data-filter value={asked.value} maxLength={256} required autocomplete="off" spellcheck={false} onInput={(event) => (asked.value = event.currentTarget.value)} />
        </label>
        <button type="submit">Explain</button>
      </form>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (chosen) go(link(["answer", chosen, partition.value, offset.value], null));
        }}
      >
        <label class="field">
          <span>Model</span>
          <select value={chosen} onChange={(event) => (model.value = event.currentTarget.value)}>
            {names.map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <label class="field">
          <span>Partition</span>
          <input inputMode="numeric" pattern="[0-9]{1,6}" required value={partition.value} onInput={(event) => (partition.value = event.currentTarget.value)} />
        </label>
        <label class="field">
          <span>Offset</span>
          <input inputMode="numeric" pattern="[0-9]{1,15}" required value={offset.value} onInput={(event) => (offset.value = event.currentTarget.value)} />
        </label>
        <button type="submit">Explain</button>
      </form>
    </div>
  );
}

function Found({ path }: { path: string }) {
  const asked = useAsked<Explained>(path);
  return (
    <Shown asked={asked} name="the answer">
      {(answer) => (
        <Panel title={`An answer of ${answer.model_name}`} extra={answer.ok ? <Badge tone="good">answered</Badge> : <Badge tone="bad">an error</Badge>}>
          <ol class="chain">
            <Step name="The answer">
              {clock(answer.answered_at)} by worker {answer.worker}; to the request at partition {answer.request_partition}, offset {answer.request_offset}
              {answer.request_id && (
                <>
                  , with the id <code>{answer.request_id}</code>
                </>
              )}
              .{answer.window && ` It was made of ${answer.window.steps} of ${answer.window.needed} steps of its series.`}
              {!answer.ok && (
                <p class="note bad">
                  {answer.error_code ?? "an error"}
                  {answer.error && `: ${answer.error}`}
                </p>
              )}
            </Step>
            <Step name="The version">
              {answer.model_version ? (
                <>
                  <a href={link(["models", answer.model_name], null)}>{answer.model_version}</a>, weights <code>{answer.artifact_digest ?? "not known"}</code>
                </>
              ) : (
                "None: it was refused before one was chosen."
              )}
              {answer.registered_digest && answer.registered_digest !== answer.artifact_digest && (
                <p class="note bad">
                  The log says this version is <code>{answer.registered_digest}</code>.
                </p>
              )}
            </Step>
            <Step name="Why this version">
              {BECAUSE[answer.because]}
              {answer.arm && ` In rollout ${answer.arm.rollout_id} it was the ${answer.arm.role}, with ${weight(answer.arm.weight)} of the requests.`}
              {answer.stands_in_for && ` It stood in for ${answer.stands_in_for}.`}{" "}
              {answer.follows_the_log === true && <Badge tone="good">as the log says</Badge>}
              {answer.follows_the_log === false && <Badge tone="bad">the log did not allow it</Badge>}
            </Step>
            <Step name="The event that chose it">
              {answer.chosen_by ? (
                <>
                  {answer.chosen_by.words}{" "}
                  <button type="button" class="plain" onClick={() => goTo(answer.chosen_by?.offset ?? null)}>
                    View the system at offset {answer.chosen_by.offset}
                  </button>{" "}
                  <a href={link(["events"], null, { from: String(answer.chosen_by.offset) })}>in the log</a>
                </>
              ) : (
                "None."
              )}
            </Step>
            <Step name="Compute it again">{answer.compute_again ? <Copied text={answer.compute_again} /> : "Nothing was computed."}</Step>
          </ol>
        </Panel>
      )}
    </Shown>
  );
}

function Step({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <li>
      <h3>{name}</h3>
      <div class="words">{children}</div>
    </li>
  );
}
