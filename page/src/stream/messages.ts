/** The messages of `/api/live`, read once and with care: what is not understood is passed over. */
import type { Arm, Entry, Health, Model, ModelSummary, RolloutNow, Status } from "../store/api";

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

/** One model in one look; `condition` is the API's word. */
export interface Line {
  readonly model_name: string;
  readonly condition: "hurts" | "needs-you" | "moves" | "calm";
  readonly reasons: readonly string[];
  /** The command that shows more, or that is waited for. */
  readonly try_next: string | null;
  readonly active_version: string | null;
  readonly arms: readonly Arm[];
  readonly rollout_id?: string | null;
  readonly rollout_status?: string | null;
  readonly requests_per_second?: number | null;
  readonly p95_ms?: number | null;
  readonly error_rate?: number | null;
  readonly live_workers?: number | null;
  readonly silent_workers?: number | null;
  readonly waiting?: number | null;
}

export interface Totals {
  readonly hurts: number;
  readonly needs_you: number;
  readonly moves: number;
  readonly calm: number;
  readonly requests_per_second: number | null;
}

/** All there is when the stream begins. `offset`: the log is read up to, not including, it. */
export interface Beginning {
  readonly offset: number;
  readonly status: Status;
  readonly overview: Totals & { readonly models: readonly Line[] };
  readonly models: readonly ModelSummary[];
  readonly evidence: readonly Evidence[];
}

/** A model after one or more of its events. */
export interface Changed {
  readonly offset: number;
  readonly summary: ModelSummary;
  readonly model: Model;
  readonly rollout: RolloutNow;
}

/** How those models do whose figures changed. */
export interface Observed extends Totals {
  readonly at: string;
  readonly known: boolean;
  readonly lines: readonly Line[];
  readonly health: readonly Health[];
}

export type Message =
  | { readonly kind: "beginning"; readonly data: Beginning }
  | { readonly kind: "state"; readonly data: Changed }
  | { readonly kind: "event"; readonly data: Entry }
  | { readonly kind: "observed"; readonly data: Observed }
  | { readonly kind: "evidence"; readonly data: Evidence }
  | { readonly kind: "training"; readonly data: { readonly run_id: string } }
  | { readonly kind: "heartbeat"; readonly data: { readonly at: string; readonly offset: number; readonly behind_by: number | null } }
  | { readonly kind: "end"; readonly data: { readonly reason: string; readonly next_offset: number } };

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
