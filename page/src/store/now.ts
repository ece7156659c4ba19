/** What the stream has said so far, in signals: a component that reads one is drawn again when it changes. */
import { batch, computed, signal } from "@preact/signals";
import type { Beginning, Changed, Evidence, Line, Message, Observed, Totals } from "../stream/messages";
import type { Entry, Health, Model, ModelSummary, RolloutNow, Status } from "./api";
import { appended, type Point, type Series } from "./series";

export const EVENTS_KEPT_MAX = 200;
export const EVIDENCE_POINTS_MAX = 900;

export type Connection =
  | { readonly state: "connecting" }
  | { readonly state: "live" }
  | { readonly state: "broken"; readonly because: string }
  | { readonly state: "paused" };

type ByName<T> = ReadonlyMap<string, T>;

export const connection = signal<Connection>({ state: "connecting" });
/** Milliseconds since 1970, when anything came by the stream. */
export const heardAt = signal<number | null>(null);
/** How many records of the log the server has not read yet; null where it cannot know. */
export const behindBy = signal<number | null>(0);
/** The offset of the last record that is known. */
export const head = signal<number | null>(null);
export const status = signal<Status | null>(null);
export const totals = signal<Totals | null>(null);
/** Whether the workers' observations reach the API; else the figures are old. */
export const observedKnown = signal(true);
export const lines = signal<ByName<Line>>(new Map());
export const summaries = signal<ByName<ModelSummary>>(new Map());
/** Models of which more is known than their line: those that changed since the stream began. */
export const models = signal<ByName<Model>>(new Map());
export const rollouts = signal<ByName<RolloutNow>>(new Map());
export const health = signal<ByName<Health>>(new Map());
/** The last records of the log, the newest last. */
export const events = signal<readonly Entry[]>([]);
/** Rates and latencies of the last minutes, by `model/version`. */
export const series = signal<ByName<Series>>(new Map());
/** By rollout, candidate and metric: how the evidence went, the newest last. */
export const evidence = signal<ByName<readonly Evidence[]>>(new Map());
export const training = signal<ByName<unknown>>(new Map());

export const environment = computed(() => status.value?.environment ?? "");

export function evidenceKey(record: Pick<Evidence, "model_name" | "rollout_id" | "model_version" | "metric">): string {
  return [record.model_name, record.rollout_id, record.model_version, record.metric].join("/");
}

/** Take one message of the stream. */
export function take(message: Message, now: number): void {
  batch(() => {
    heardAt.value = now;
    switch (message.kind) {
      case "beginning":
        return takeBeginning(message.data);
      case "state":
        return takeChanged(message.data);
      case "event":
        return takeEvent(message.data);
      case "observed":
        return takeObserved(message.data);
      case "evidence":
        return takeEvidence(message.data);
      case "training":
        training.value = having(training.value, String(message.data.run_id), message.data);
        return;
      case "heartbeat":
        behindBy.value = message.data.behind_by;
        return raiseHead(message.data.offset - 1);
      case "end":
        return;
    }
  });
}

function takeBeginning(data: Beginning): void {
  status.value = data.status;
  totals.value = data.overview;
  lines.value = new Map(data.overview.models.map((one) => [one.model_name, one]));
  summaries.value = new Map(data.models.map((one) => [one.model_name, one]));
  models.value = new Map();
  rollouts.value = new Map();
  behindBy.value = 0;
  for (const record of data.evidence) takeEvidence(record);
  raiseHead(data.offset - 1);
}

function takeChanged(data: Changed): void {
  const name = data.summary.model_name;
  const known = summaries.value.get(name);
  if (known && known.sequence > data.summary.sequence) return;
  summaries.value = having(summaries.value, name, data.summary);
  models.value = having(models.value, name, data.model);
  rollouts.value = having(rollouts.value, name, data.rollout);
  raiseHead(data.offset);
}

function takeEvent(entry: Entry): void {
  takeEvents([entry]);
  raiseHead(entry.offset);
}

/** Know entries that the stream did not bring, or did; none is known twice. */
export function takeEvents(entries: readonly Entry[]): void {
  const known = new Set(events.value.map((entry) => entry.offset));
  const fresh = entries.filter((entry) => !known.has(entry.offset));
  if (!fresh.length) return;
  const all = [...events.value, ...fresh].sort((one, other) => one.offset - other.offset);
  events.value = all.slice(-EVENTS_KEPT_MAX);
}

function takeObserved(data: Observed): void {
  totals.value = data;
  observedKnown.value = data.known;
  const time = Date.parse(data.at);
  const known = new Map(health.value);
  const drawn = new Map(series.value);
  for (const one of data.health) {
    known.set(one.model_name, one);
    for (const { model_version, answers } of one.versions) {
      const key = `${one.model_name}/${model_version}`;
      const point: Point = { at: time, rate: answers.requests_per_second, p50: answers.p50_ms, p95: answers.p95_ms };
      drawn.set(key, appended(drawn.get(key) ?? [], point));
    }
  }
  const shown = new Map(lines.value);
  for (const line of data.lines) shown.set(line.model_name, line);
  lines.value = shown;
  health.value = known;
  series.value = drawn;
}

function takeEvidence(record: Evidence): void {
  const key = evidenceKey(record);
  const known = evidence.value.get(key) ?? [];
  const last = known.at(-1);
  if (last && Date.parse(last.at) >= Date.parse(record.at)) return;
  evidence.value = having(evidence.value, key, thinned([...known, record]));
}

/** Every second point of the older half goes where there are too many: a long rollout keeps its whole shape. */
export function thinned<T>(all: readonly T[], most = EVIDENCE_POINTS_MAX): readonly T[] {
  if (all.length <= most) return all;
  const half = all.length >> 1;
  return [...all.slice(0, half).filter((_, index) => index % 2 === 0), ...all.slice(half)];
}

function raiseHead(offset: number): void {
  if (head.value === null || offset > head.value) head.value = offset;
}

function having<V>(map: ByName<V>, key: string, value: V): ByName<V> {
  return new Map(map).set(key, value);
}
