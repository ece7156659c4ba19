/** Which events are looked for, and how routine ones are folded: from data to data. */
import type { Entry } from "../../store/api";

export const PAGE_ENTRIES = 100;
/** So many analyses in a row that changed nothing become one line. */
export const FOLDED_MIN = 3;
/** Beyond every log's end. */
const END = "999999999999999";

export interface Filters {
  readonly model: string;
  readonly type: string;
  readonly actor: string;
  readonly text: string;
  /** "", "only" or "without". */
  readonly void: string;
}

export const FILTERS: readonly (keyof Filters)[] = ["model", "type", "actor", "text", "void"];

export function filtersOf(query: URLSearchParams): Filters {
  const get = (name: string): string => (query.get(name) ?? "").slice(0, 200);
  return { model: get("model"), type: get("type"), actor: get("actor"), text: get("text"), void: get("void") };
}

/** The query of a page: the last events before an offset, or those from one on. */
export function pathOf(filters: Filters, query: URLSearchParams, asOf: number | null): string {
  const asked = new URLSearchParams({ limit: String(PAGE_ENTRIES) });
  const from = offsetIn(query, "from");
  if (from !== null) asked.set("from_offset", String(from));
  else asked.set("before_offset", String(offsetIn(query, "before") ?? (asOf === null ? END : asOf + 1)));
  if (filters.model) asked.set("model_name", filters.model);
  if (filters.type) asked.set("type", filters.type);
  if (filters.actor) asked.set("actor", filters.actor);
  if (filters.text) asked.set("text", filters.text);
  if (filters.void) asked.set("void", String(filters.void === "only"));
  return `/api/events?${asked.toString()}`;
}

export function offsetIn(query: URLSearchParams, name: string): number | null {
  const value = query.get(name) ?? "";
  return /^\d{1,15}$/.test(value) ? Number(value) : null;
}

/** Whether an event that just came is one of those that are looked for; as the API decides it. */
export function matches(entry: Entry, filters: Filters): boolean {
  const event = entry.event ?? {};
  const stored = String(event.type ?? "");
  if (filters.model && event.subject !== filters.model) return false;
  if (filters.actor && event.actor !== filters.actor) return false;
  if (filters.void && (filters.void === "only") !== Boolean(entry.void_because)) return false;
  if (filters.type && stored !== filters.type && stored.split(".")[2] !== filters.type) return false;
  const words = entry.event ? JSON.stringify(entry.event) : (entry.unreadable_text ?? "");
  return !filters.text || words.toLowerCase().includes(filters.text.toLowerCase());
}

export type Line = { readonly kind: "entry"; readonly entry: Entry } | { readonly kind: "folded"; readonly entries: readonly Entry[] };

function isRoutine(entry: Entry): boolean {
  const event = entry.event;
  if (!event || entry.void_because || event.type !== "hotswap.rollout.analysis-recorded.v1") return false;
  return (event.data as { outcome?: string } | undefined)?.outcome !== "failed";
}

/** Fold routine analyses of one model that follow each other. `opened` are the first offsets of those that stay open. */
export function folded(entries: readonly Entry[], opened: ReadonlySet<number>): Line[] {
  const lines: Line[] = [];
  for (let at = 0; at < entries.length; ) {
    const first = entries[at] as Entry;
    let end = at + 1;
    if (isRoutine(first)) {
      while (end < entries.length && isRoutine(entries[end] as Entry) && entries[end]?.event?.subject === first.event?.subject) end += 1;
    }
    if (end - at >= FOLDED_MIN && !opened.has(first.offset)) lines.push({ kind: "folded", entries: entries.slice(at, end) });
    else for (const entry of entries.slice(at, end)) lines.push({ kind: "entry", entry });
    at = end;
  }
  return lines;
}

export interface Difference {
  readonly path: string;
  readonly before: string;
  readonly after: string;
}

export const DIFFERENCES_MAX = 60;
const SHOWN_CHARACTERS_MAX = 300;

/** What differs between two states of a model, field by field. */
export function differences(before: unknown, after: unknown, path = "", found: Difference[] = []): Difference[] {
  if (found.length >= DIFFERENCES_MAX || same(before, after)) return found;
  if (isObject(before) && isObject(after)) {
    for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
      differences(before[name], after[name], path ? `${path}.${name}` : name, found);
    }
    return found;
  }
  found.push({ path, before: words(before), after: words(after) });
  return found;
}

type Plain = Record<string, unknown>;

/** Lists of things that have a name of their own are compared by that name. */
function isObject(value: unknown): value is Plain {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function same(before: unknown, after: unknown): boolean {
  return JSON.stringify(before) === JSON.stringify(after);
}

function words(value: unknown): string {
  if (value === undefined || value === null) return "–";
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > SHOWN_CHARACTERS_MAX ? `${text.slice(0, SHOWN_CHARACTERS_MAX)} …` : text;
}

/** A state as its fields can be compared: versions by their names. */
export function comparable(model: unknown): unknown {
  if (!isObject(model)) return undefined;
  const shown: Plain = { ...model };
  for (const name of ["offset", "sequence", "updated_at", "next_steps", "legal"]) delete shown[name];
  const versions = model.versions;
  if (Array.isArray(versions)) {
    shown.versions = Object.fromEntries(versions.map((version: Plain) => [String(version.model_version), version]));
  }
  return shown;
}
