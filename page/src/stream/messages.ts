/** The messages of `/api/live`, read once and with care: what is not understood is passed over. */
import type { Entry, Health, Model, ModelSummary, Status } from "../store/api";

export type Verdict = "passed" | "harmful" | "undecided" | "no-data";

/** What one metric of one candidate shows now; as on the topic `hotswap.evidence`. */
export interface Evidence {
  readonly model_name: string;
  readonly rollout_id: string;
  readonly metric: string;
  readonly model_version: string;
  readonly baseline_version: string;
  readonly verdict: Verdict;
  readonly at: string;
  readonly registry_offset: number;
  readonly step_index?: number;
  readonly steps?: number;
  readonly compared_with?: "baseline" | "threshold";
  readonly lower_is_better?: boolean;
  readonly count?: number;
  readonly value?: number;
  readonly baseline_value?: number;
  readonly baseline_count?: number;
  readonly estimate?: number;
  readonly lower?: number;
  readonly upper?: number;
  readonly limit?: number;
  readonly threshold?: number;
  readonly margin?: number;
  readonly answers?: number;
  readonly answers_max?: number;
  readonly answers_min?: number;
  readonly seconds?: number;
  readonly seconds_max?: number;
  readonly budget_used?: number;
}

export type Message =
  | { readonly kind: "state"; readonly data: { readonly offset: number; readonly status?: Status; readonly models?: readonly ModelSummary[]; readonly model?: Model } }
  | { readonly kind: "event"; readonly data: Entry }
  | { readonly kind: "observed"; readonly data: { readonly at: string; readonly models: Readonly<Record<string, Health>> } }
  | { readonly kind: "evidence"; readonly data: Evidence }
  | { readonly kind: "training"; readonly data: { readonly run_id: string } }
  | { readonly kind: "heartbeat"; readonly data: { readonly at: string; readonly offset: number; readonly behind_by: number } }
  | { readonly kind: "end"; readonly data: { readonly reason: string; readonly next_offset: number } };

export const KINDS: readonly Message["kind"][] = ["state", "event", "observed", "evidence", "training", "heartbeat", "end"];

/** Return the message, or null where it is none. */
export function messageOf(kind: Message["kind"], text: string): Message | null {
  try {
    const data: unknown = JSON.parse(text);
    return typeof data === "object" && data !== null ? ({ kind, data } as Message) : null;
  } catch {
    return null;
  }
}
