/** What is shown to whoever must show a key first. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Refused } from "../../store/asking";
import { session, type Session } from "../../store/session";
import { signIn } from "../../store/signing";

const WHY: Record<NonNullable<Session["why"]>, string> = {
  expired: "You were signed in, and that has ended. Sign in again.",
  idle: "You were signed out, because nothing was asked for two hours.",
  revoked: "The key you signed in with was revoked. Ask for another one.",
  unknown: "You are signed in here no longer.",
};

export function Login() {
  const field = useRef<HTMLInputElement>(null);
  const busy = useSignal(false);
  const wrong = useSignal<string | null>(null);
  const why = session.value?.why ?? null;
  useEffect(() => field.current?.focus(), []);

  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const key = field.current?.value.trim() ?? "";
    if (!key || busy.value) return;
    busy.value = true;
    wrong.value = null;
    try {
      await signIn(key);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      wrong.value = error.message;
      busy.value = false;
      field.current?.select();
    }
  };

  return (
    <section class="login" aria-labelledby="login-title">
      <h1 id="login-title">Sign in</h1>
      {why && <p class="note warn">{WHY[why]}</p>}
      <form onSubmit={submit}>
        <label for="login-key">API key</label>
        <input
          id="login-key"
          ref={field}
          type="password"
          autocomplete="current-password"
          spellcheck={false}
          required
          maxLength={500}
          placeholder="hss_…"
          aria-describedby="login-help login-wrong"
          aria-invalid={wrong.value !== null}
        />
        <button type="submit" class="first" disabled={busy.value}>
          Sign in
        </button>
      </form>
      <p id="login-wrong" role="alert" class="bad">
        {wrong.value}
      </p>
      <p id="login-help" class="soft small">
        <code>hotswap-stream up</code> prints the first key once; whoever has it makes others:{" "}
        <code>hotswap-stream keys create NAME --scope operate</code>
      </p>
    </section>
  );
}
