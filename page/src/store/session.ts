/** Who the reader is, and what the reader may do. */
import { computed, signal } from "@preact/signals";

export interface Session {
  /** `open`: no key is needed here, and everything may be done. */
  readonly state: "signed-in" | "open" | "signed-out";
  readonly name: string | null;
  readonly key_id: string | null;
  readonly scopes: readonly string[];
  /** Patterns of model names; empty: all. */
  readonly models: readonly string[];
  readonly environment: string;
  readonly version: string;
  readonly expires_at: string | null;
  readonly why: "expired" | "revoked" | "idle" | "unknown" | null;
}

/** Null until the API has said it. */
export const session = signal<Session | null>(null);

/** Whether commands may be sent, as far as the session says; the API decides. */
export const mayOperate = computed(() => may("operate"));

export function may(scope: string): boolean {
  const known = session.value;
  return known !== null && (known.state === "open" || known.scopes.includes(scope) || known.scopes.includes("admin"));
}

/** Called when the API says 401: the login takes the place of the page. */
export function sessionEnded(): void {
  const known = session.peek();
  if (known && known.state !== "signed-out") session.value = { ...known, state: "signed-out", why: known.why ?? "expired" };
}
