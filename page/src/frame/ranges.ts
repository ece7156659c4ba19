/** When rollouts went on, by offsets of the log: from the events that began and ended them. */
import type { Entry } from "../store/api";

export interface Range {
  readonly model: string;
  readonly rollout: string;
  readonly from: number;
  /** Null: it goes on. */
  readonly to: number | null;
}

const KIND = /^hotswap\.rollout\.(started|completed)\./;

export function rangesOf(entries: readonly Entry[]): Range[] {
  const found = new Map<string, Range>();
  for (const entry of [...entries].sort((one, other) => one.offset - other.offset)) {
    const kind = KIND.exec(String(entry.event?.type))?.[1];
    const rollout = String((entry.event?.data as { rollout_id?: unknown } | undefined)?.rollout_id);
    if (!kind || entry.void_because) continue;
    const model = String(entry.event?.subject);
    const key = `${model}/${rollout}`;
    const known = found.get(key);
    if (kind === "started") found.set(key, { model, rollout, from: entry.offset, to: known?.to ?? null });
    // What began before the events that are known is drawn from where they begin.
    else found.set(key, { model, rollout, from: known?.from ?? 0, to: entry.offset });
  }
  return [...found.values()];
}
