/** What the stream has said so far, in signals: a component that reads one is drawn again when it changes. */
import { batch, computed, signal } from "@preact/signals";
import type { Entry, Health, Model, ModelSummary, Status } from "./api";
import type { Evidence, Message } from "../stream/messages";
import { appended, type Point, type Series } from "./series";

export const EVENTS_KEPT_MAX = 200;
export const EVIDENCE_POINTS_MAX = 900;

export type Connection =
  | { readonly state: "connecting" }
  | { readonly state: "live" }
  | { readonly state: "broken"; readonly because: string }
  | { readonly state: "paused" };

export const connection = signal<Connection>({ state: "connecting" });
/** Milliseconds since 1970, when anything came by the stream. */
export const heardAt = signal<number | null>(null);
/** How many records of the log the server has not read yet. */
export const behindBy = signal(0);
/** The offset of the last record that is known; the next one is one higher. */
export const head = signal<number | null>(null);
export const status = signal<Status | null>(null);
export const summaries = signal<ReadonlyMap<string, ModelSummary>>(new Map());
/** Models of which more is known than their line: those that changed, and those that a page asked for. */
export const models = signal<ReadonlyMap<string, Model>>(new Map());
export const health = signal<ReadonlyMap<string, Health>>(new Map());
/** The last records of the log, the newest last. */
export const events = signal<readonly Entry[]>([]);
/** Rates and latencies of the last minutes, by model and version. */
export const series = signal<ReadonlyMap<string, Series>>(new Map());
/** By model, candidate and metric: how the evidence went, the newest last. */
export const evidence = signal<ReadonlyMap<string, readonly Evidence[]>>(new Map());
export const training = signal<ReadonlyMap<string, unknown>>(new Map());

export const environment = computed(() => status.value?.environment ?? "");

export function evidenceKey(record: Pick<Evidence, "rollout_id" | "model_version" | "metric">): string {
  return `${record.rollout_id}/${record.model_version}/${record.metric}`;
}

/** Take one message of the stream. */
export function take(message: Message, now: number): void {
  batch(() => {
    heardAt.value = now;
    switch (message.kind) {
      case "state":
        return takeState(message.data);
      case "event":
        return takeEvent(message.data);
      case "observed":
        return takeObserved(message.data.models, message.data.at);
      case "evidence":
        return takeEvidence(message.data);
      case "training":
        training.value = with_(training.value, String(message.data.run_id), message.data);
        return;
      case "heartbeat":
        behindBy.value = message.data.behind_by;
        return raiseHead(message.data.offset);
      case "end":
        return;
    }
  });
}

type StateData = Extract<Message, { kind: "state" }>["data"];

function takeState(data: StateData): void {
  if (data.status) status.value = data.status;
  if (data.models) summaries.value = new Map(data.models.map((one) => [one.model_name, one]));
  if (data.model) takeModel(data.model);
  raiseHead(data.offset);
}

/** Know a model; an older state than the known one changes nothing. */
export function takeModel(model: Model): void {
  const known = models.value.get(model.model_name);
  if (known && known.sequence > model.sequence) return;
  models.value = with_(models.value, model.model_name, model);
  const stages: Record<string, number> = {};
  for (const version of model.versions) stages[version.stage] = (stages[version.stage] ?? 0) + 1;
  summaries.value = with_(summaries.value, model.model_name, {
    model_name: model.model_name,
    active_version: model.active_version ?? null,
    answered_by: model.answered_by ?? null,
    former_version: model.former_version ?? null,
    disabled: model.disabled ?? false,
    alerts_raised: model.alerts?.length ?? 0,
    offset: model.offset,
    sequence: model.sequence,
    versions_by_stage: stages,
    versions_total: model.versions_total,
  });
}

function takeEvent(entry: Entry): void {
  const known = events.value;
  const last = known.at(-1);
  if (last && entry.offset <= last.offset) return;
  events.value = [...known.slice(1 - EVENTS_KEPT_MAX), entry];
  raiseHead(entry.offset);
}

function takeObserved(all: Readonly<Record<string, Health>>, at: string): void {
  const known = new Map<string, Health>();
  const drawn = new Map(series.value);
  const time = Date.parse(at);
  for (const [name, one] of Object.entries(all)) {
    known.set(name, one);
    for (const version of one.versions) {
      const key = `${name}/${version.model_version}`;
      const point: Point = { at: time, rate: version.answers.requests_per_second, p50: version.answers.p50_ms, p95: version.answers.p95_ms };
      drawn.set(key, appended(drawn.get(key) ?? [], point));
    }
  }
  health.value = known;
  series.value = drawn;
}

function takeEvidence(record: Evidence): void {
  const key = evidenceKey(record);
  const known = evidence.value.get(key) ?? [];
  const last = known.at(-1);
  if (last && Date.parse(last.at) >= Date.parse(record.at)) return;
  evidence.value = with_(evidence.value, key, thinned([...known, record]));
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

function with_<V>(map: ReadonlyMap<string, V>, key: string, value: V): ReadonlyMap<string, V> {
  return new Map(map).set(key, value);
}
