/** The confirmation: what will change, why, and on what reading of the log it was decided. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { CommandAnswer, Entry } from "../store/api";
import { Refused, get, newKey, send, upload } from "../store/asking";
import { head } from "../store/now";
import { session } from "../store/session";
import { type Action, type Field, type Filled, asking } from "./actions";
import { percent } from "./format";
import { Copied } from "./parts";
import { say } from "./said";

export function Confirmation() {
  const action = asking.value;
  return action && <Asking key={`${action.name} ${action.sequence}`} action={action} />;
}

function Asking({ action }: { action: Action }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const key = useRef(newKey());
  const filled = useSignal<Filled>(Object.fromEntries((action.fields ?? []).map((field) => [field.name, field.value])));
  const reason = useSignal("");
  const waits = useSignal(false);
  const refused = useSignal<Refused | null>(null);
  const changed = useSignal<Entry | null>(null);
  const offset = useRef(head.peek());
  const file = useRef<File | null>(null);
  const left = useSignal<number | null>(null);
  const close = (): void => void (asking.value = null);
  useEffect(() => {
    dialog.current?.showModal();
    dialog.current?.querySelector<HTMLElement>("[data-first]")?.focus();
  }, []);

  const sent = async (): Promise<void> => {
    waits.value = true;
    refused.value = null;
    try {
      let given = filled.value;
      if (action.upload && file.current) {
        left.value = 0;
        given = { ...given, ...(await upload<Filled>(action.upload(given), file.current, (share) => (left.value = share))) };
      }
      const body = { ...action.body?.(given), reason: reason.value || null };
      const { value } = await send<CommandAnswer>(typeof action.path === "string" ? action.path : action.path(given), {
        body,
        method: action.method ?? "POST",
        ifMatch: action.sequence === null ? null : `"${action.sequence}"`,
        key: key.current,
      });
      close();
      const where = value.offset === null || value.offset === undefined ? "" : `, offset ${value.offset}`;
      const what = value.status === "unchanged" ? "nothing to change" : value.status;
      say(`${action.title}: ${what}${where}${value.detail ? `. ${value.detail}` : ""}`);
    } catch (error) {
      refused.value = error instanceof Refused ? error : new Refused({ title: "Failed", detail: String(error), code: "failed", status: 0 });
      if (refused.value.problem.status === 412) changed.value = await lastOf(action.model);
      // The same key would be answered with the same no.
      if (refused.value.problem.status >= 400) key.current = newKey();
    } finally {
      waits.value = false;
      left.value = null;
    }
  };

  const stale = refused.value?.problem.status === 412;
  return (
    <dialog ref={dialog} onClose={close} onCancel={close} aria-labelledby="asking">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (!waits.value && !stale) void sent();
        }}
      >
        <h2 id="asking">{action.title}</h2>
        <dl class="facts">
          {action.facts.map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
          <div>
            <dt>decided at</dt>
            <dd>
              {offset.current !== null && `offset ${offset.current}`}
              {action.sequence !== null && `${offset.current === null ? "" : ", "}sequence ${action.sequence}`}
            </dd>
          </div>
          <div>
            <dt>by</dt>
            <dd>{session.value?.name ?? "anonymous"}</dd>
          </div>
        </dl>
        {action.fields?.map((field) => (
          <Input key={field.name} field={field} onFile={(chosen) => (file.current = chosen)} value={filled.value[field.name] ?? ""} onInput={(value) => (filled.value = { ...filled.value, [field.name]: value })} />
        ))}
        <label class="field">
          <span>Reason, kept in the log</span>
          <input type="text" maxLength={1000} value={reason.value} onInput={(event) => (reason.value = event.currentTarget.value)} autocomplete="off" />
        </label>
        {left.value !== null && (
          <p class="note" role="status">
            {left.value < 1 ? `Uploading, ${percent(left.value, 0)} …` : "It is there, and is tried in a process of its own …"}
          </p>
        )}
        {refused.value && (
          <div class="note bad" role="alert">
            {stale ? (
              <>
                <strong>Changed since you looked</strong>{" "}
                {changed.value ? `by ${String(changed.value.event?.actor)}: ${changed.value.described ?? ""} (offset ${changed.value.offset}).` : "."} Look again.
              </>
            ) : (
              <>
                <strong>{refused.value.problem.title}</strong> {refused.value.problem.detail}
              </>
            )}
          </div>
        )}
        <footer>
          <Copied text={action.cli(filled.value)} label="Copy as command" />
          <span class="gap" />
          <button type="button" class="plain" onClick={close}>
            {stale ? "Look again" : "Cancel"}
          </button>
          <button type="submit" class={action.danger ? "danger" : "first"} data-first disabled={waits.value || stale}>
            {waits.value ? "Sending …" : action.verb}
          </button>
        </footer>
      </form>
    </dialog>
  );
}

function typed(numeric: boolean): { type: "number"; step: "any" } {
  // The types of Preact want one literal; the element takes both.
  return { type: (numeric ? "number" : "text") as "number", step: "any" };
}

async function lastOf(model: string): Promise<Entry | null> {
  try {
    const { value } = await get<{ events: Entry[] }>(`/api/events?before_offset=${Number.MAX_SAFE_INTEGER}&limit=1&model_name=${encodeURIComponent(model)}`);
    return value.events.at(-1) ?? null;
  } catch {
    return null;
  }
}

interface Inputs {
  readonly field: Field;
  readonly value: string | number | boolean;
  readonly onInput: (value: string | number | boolean) => void;
  readonly onFile: (file: File | null) => void;
}

function Input({ field, value, onInput, onFile }: Inputs) {
  if (field.kind === "check") {
    return (
      <label class="field check">
        <input type="checkbox" checked={value === true} onChange={(event) => onInput(event.currentTarget.checked)} /> <span>{field.label}</span>
      </label>
    );
  }
  if (field.kind === "file") {
    return (
      <label class="field">
        <span>{field.label}</span>
        <input
          type="file"
          accept={field.accept}
          required
          onChange={(event) => {
            const [chosen = null] = event.currentTarget.files ?? [];
            onFile(chosen);
            onInput(chosen?.name ?? "");
          }}
        />
      </label>
    );
  }
  const numeric = field.kind === "number" || field.kind === "percent";
  return (
    <label class="field">
      <span>{field.label}</span>
      {field.kind === "choice" ? (
        <select value={String(value)} onChange={(event) => onInput(event.currentTarget.value)}>
          {field.choices?.map((choice) => (
            <option key={choice} value={choice}>
              {choice}
            </option>
          ))}
        </select>
      ) : (
        <input {...typed(numeric)} value={Number.isNaN(value) ? "" : String(value)} min={field.min} max={field.max} required={field.required ?? (numeric && !field.optional)} onInput={(event) => onInput(numeric ? event.currentTarget.valueAsNumber : event.currentTarget.value)} />
      )}
    </label>
  );
}
