/** The log of a rollout, without what says the same again. */
import type { Entry } from "../../store/api";

/** Analyses that say the same again are one line; a reason is told once of the events that one command made. */
export function folded(entries: readonly Entry[]): { entry: Entry; times: number; why: string }[] {
  const found: { entry: Entry; times: number; why: string }[] = [];
  for (const [index, entry] of entries.entries()) {
    const last = found.at(-1);
    const analysis = /analysis-recorded/.test(String(entry.event?.type)) && (entry.event?.data as { outcome?: string } | undefined)?.outcome === "inconclusive";
    if (last && analysis && last.entry.event?.type === entry.event?.type) last.times += 1;
    else {
      const reason = String(entry.event?.reason ?? "");
      const older = entries[index + 1]?.event;
      found.push({ entry, times: 1, why: older?.reason === reason && older.causationid === entry.event?.causationid ? "" : reason });
    }
  }
  return found;
}
