/** The messages of `/api/live`, read once and with care: what is not understood is passed over. */
import type { Beginning, Changed, Entry, Evidence, Heartbeat, Observed, StreamEnd } from "../store/api";

export type { Beginning, Changed, Evidence, Observed };
export type { Line, Totals } from "../store/api";
export type Verdict = Evidence["verdict"];

export type Message =
  | { readonly kind: "beginning"; readonly data: Beginning }
  | { readonly kind: "state"; readonly data: Changed }
  | { readonly kind: "event"; readonly data: Entry }
  | { readonly kind: "observed"; readonly data: Observed }
  | { readonly kind: "evidence"; readonly data: Evidence }
  | { readonly kind: "training"; readonly data: { readonly run_id: string } }
  | { readonly kind: "heartbeat"; readonly data: Heartbeat }
  | { readonly kind: "end"; readonly data: StreamEnd };

export const KINDS: readonly Message["kind"][] = ["beginning", "state", "event", "observed", "evidence", "training", "heartbeat", "end"];

/** Return the message, or null where it is none. */
export function messageOf(kind: Message["kind"], text: string): Message | null {
  try {
    const data: unknown = JSON.parse(text);
    return typeof data === "object" && data !== null ? ({ kind, data } as Message) : null;
  } catch {
    return null;
  }
}
