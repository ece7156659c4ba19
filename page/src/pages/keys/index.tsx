/** API keys: who may do what; made, rotated and revoked by whoever has the scope admin. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Shown, useAsked } from "../../frame/asked";
import { Ago, Badge, Copied, PageHead, Panel, Table, type Tone } from "../../frame/parts";
import { say } from "../../frame/said";
import type { KeyWithSecret, ShownKey } from "../../store/api";
import { Refused, send } from "../../store/asking";
import { may } from "../../store/session";

const TONES: Record<ShownKey["state"], Tone> = { active: "good", expired: "plain", revoked: "bad" };
const SCOPES = ["read", "infer", "operate", "admin"] as const;
const DAY_SECONDS = 86_400;

export function Keys() {
  const asked = useAsked<{ keys: ShownKey[] }>(may("admin") ? "/api/keys" : null);
  const secret = useSignal<KeyWithSecret | null>(null);
  const made = (key: KeyWithSecret): void => {
    secret.value = key;
    asked.again();
  };
  if (!may("admin")) {
    return (
      <>
        <PageHead title="Keys" json="/api/keys" cli="hotswap-stream keys list" />
        <p class="note">Keys are shown to whoever has the scope admin; yours does not.</p>
      </>
    );
  }
  return (
    <>
      <PageHead title="Keys" json="/api/keys" cli="hotswap-stream keys list" />
      {secret.value && <Secret made={secret.value} close={() => (secret.value = null)} />}
      <NewKey made={made} />
      <Shown asked={asked} name="the keys">
        {({ keys }) => (
          <Panel title={keys.length === 1 ? "1 key" : `${keys.length} keys`}>
            {keys.length > 0 && <KeyTable keys={keys} made={made} again={asked.again} />}
            {keys.length === 0 && <p class="soft">None but those of the server's settings, which are not listed.</p>}
          </Panel>
        )}
      </Shown>
    </>
  );
}

/** The one time that a secret is shown: it is kept nowhere. */
function Secret({ made, close }: { made: KeyWithSecret; close: () => void }) {
  const box = useRef<HTMLElement>(null);
  useEffect(() => box.current?.focus(), [made]);
  return (
    <section class="note warn" tabIndex={-1} ref={box} aria-label="The new secret">
      <p>
        <strong>The key of {made.name}.</strong> It is shown this once and kept nowhere:
      </p>
      <p>
        <Copied text={made.token} />{" "}
        <button type="button" class="plain" onClick={close}>
          I have it
        </button>
      </p>
    </section>
  );
}

function NewKey({ made }: { made: (key: KeyWithSecret) => void }) {
  const name = useSignal("");
  const scope = useSignal<string>("read");
  const models = useSignal("");
  const days = useSignal("");
  const refused = useSignal<string | null>(null);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    refused.value = null;
    const body = {
      name: name.value.trim(),
      scopes: [scope.value],
      models: models.value.split(/[\s,]+/).filter(Boolean),
      valid_seconds: days.value ? Number(days.value) * DAY_SECONDS : null,
    };
    try {
      made((await send<KeyWithSecret>("/api/keys", { body })).value);
      name.value = "";
    } catch (error) {
      refused.value = error instanceof Refused ? error.message : String(error);
    }
  };
  return (
    <Panel title="Make a key">
      <form class="filter" onSubmit={(event) => void submit(event)}>
        <label class="field">
          <span>Name, the actor of what is done with it</span>
          <input value={name.value} required maxLength={100} autocomplete="off" spellcheck={false} onInput={(event) => (name.value = event.currentTarget.value)} />
        </label>
        <label class="field">
          <span>Scope</span>
          <select value={scope.value} onChange={(event) => (scope.value = event.currentTarget.value)}>
            {SCOPES.map((one) => (
              <option key={one} value={one}>
                {one}
              </option>
            ))}
          </select>
        </label>
        <label class="field">
          <span>Models; empty: all</span>
          <input value={models.value} placeholder="digits fraud-*" autocomplete="off" spellcheck={false} onInput={(event) => (models.value = event.currentTarget.value)} />
        </label>
        <label class="field">
          <span>Days; empty: no end</span>
          <input value={days.value} inputMode="numeric" pattern="[0-9]{1,4}" autocomplete="off" onInput={(event) => (days.value = event.currentTarget.value)} />
        </label>
        <button type="submit">Make</button>
      </form>
      {refused.value && (
        <p class="note bad" role="alert">
          {refused.value}
        </p>
      )}
    </Panel>
  );
}

interface Changing {
  readonly made: (key: KeyWithSecret) => void;
  readonly again: () => void;
}

function KeyTable({ keys, made, again }: { keys: readonly ShownKey[] } & Changing) {
  return (
    <Table label="Keys" heads={["name", "state", "scopes", "models", "made", "ends", "-change"]}>
      {keys.map((key) => (
        <tr key={key.key_id}>
          <td class="w">
            {key.name} <span class="soft small">{key.key_id}</span>
          </td>
          <td>
            <Badge tone={TONES[key.state]}>{key.state}</Badge>
          </td>
          <td class="w">{key.scopes.join(", ")}</td>
          <td>{key.models.length ? key.models.join(", ") : "all"}</td>
          <td class="w">
            <Ago at={key.created_at} /> by {key.created_by}
          </td>
          <td class="w">{key.revoked_at ? `revoked by ${key.revoked_by ?? "somebody"}` : (key.expires_at ?? "never")}</td>
          <td>{key.state === "active" && <Change keyShown={key} made={made} again={again} />}</td>
        </tr>
      ))}
    </Table>
  );
}

/** Both are asked once more: a revocation cannot be taken back. */
function Change({ keyShown, made, again }: { keyShown: ShownKey } & Changing) {
  const sure = useSignal<"rotate" | "revoke" | null>(null);
  const path = `/api/keys/${encodeURIComponent(keyShown.key_id)}`;
  const run = async (): Promise<void> => {
    try {
      if (sure.value === "rotate") made((await send<KeyWithSecret>(`${path}/rotate`)).value);
      else await send(`${path}/revoke`, { body: { reason: "by the page" } });
      say(sure.value === "rotate" ? `${keyShown.name} has a new secret; the old one is valid for a day` : `${keyShown.name} is revoked`);
    } catch (error) {
      say(error instanceof Refused ? error.message : String(error));
    }
    sure.value = null;
    again();
  };
  if (sure.value) {
    return (
      <div class="actions">
        <button type="button" class={sure.value === "revoke" ? "danger" : "first"} onClick={() => void run()}>
          {sure.value === "revoke" ? `Revoke ${keyShown.name} for good` : `New secret for ${keyShown.name}`}
        </button>
        <button type="button" class="plain" onClick={() => (sure.value = null)}>
          Cancel
        </button>
      </div>
    );
  }
  return (
    <div class="actions">
      <button type="button" onClick={() => (sure.value = "rotate")}>
        Rotate
      </button>
      <button type="button" onClick={() => (sure.value = "revoke")}>
        Revoke
      </button>
    </div>
  );
}
