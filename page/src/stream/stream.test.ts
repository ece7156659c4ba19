import { test } from "node:test";
import assert from "node:assert/strict";
import { effect } from "@preact/signals";
import { connection, events, head } from "../store/now";
import { AGAIN_MS_MIN, SILENT_MS_MAX, Stream, TOGETHER_MS, type Browser } from "./stream";

class Source {
  listeners = new Map<string, (event: { data: string }) => void>();
  onerror: (() => void) | null = null;
  closed = false;
  constructor(readonly url: string) {}
  addEventListener(kind: string, run: (event: { data: string }) => void): void {
    this.listeners.set(kind, run);
  }
  close(): void {
    this.closed = true;
  }
  say(kind: string, data: unknown): void {
    this.listeners.get(kind)?.({ data: typeof data === "string" ? data : JSON.stringify(data) });
  }
}

function world() {
  const sources: Source[] = [];
  const timers: { run: () => void; ms: number }[] = [];
  let turned: () => void = () => undefined;
  const at = { now: 1_000, hidden: false };
  const browser: Browser = {
    open: (url) => {
      const source = new Source(url);
      sources.push(source);
      return source as unknown as EventSource;
    },
    now: () => at.now,
    later: (run, ms) => timers.push({ run, ms }),
    hidden: () => at.hidden,
    onVisibility: (run) => void (turned = run),
  };
  const due = (ms: number): void => timers.splice(0).forEach((timer) => (timer.ms === ms ? timer.run() : timers.push(timer)));
  events.value = [];
  head.value = null;
  connection.value = { state: "connecting" };
  const stream = new Stream(browser);
  stream.start();
  return { sources, at, due, turn: (hidden: boolean) => ((at.hidden = hidden), turned()) };
}

const beginning = (offset: number) => ({ offset, status: null, overview: { models: [] }, models: [], evidence: [] });
const entry = (offset: number) => ({ offset, appended_at: "2026-01-01T00:00:00Z", event: null });

test("it goes on after the last event, and says none twice", () => {
  const { sources, due } = world();
  sources[0]!.say("beginning", beginning(5));
  assert.equal(connection.value.state, "live");
  sources[0]!.say("event", entry(5));
  sources[0]!.onerror?.();
  assert.equal(connection.value.state, "broken");
  assert.ok(sources[0]!.closed);
  due(AGAIN_MS_MIN);
  assert.match(sources[1]!.url, /from_offset=6$/);
  sources[1]!.say("event", entry(5));
  sources[1]!.say("event", entry(6));
  due(TOGETHER_MS);
  assert.deepEqual(events.value.map((one) => one.offset), [5, 6]);
  assert.equal(connection.value.state, "live");
});

test("a hidden tab holds no connection", () => {
  const { sources, turn } = world();
  sources[0]!.say("beginning", beginning(10));
  turn(true);
  assert.ok(sources[0]!.closed);
  assert.equal(connection.value.state, "paused");
  turn(false);
  assert.equal(sources.length, 2);
  assert.match(sources[1]!.url, /from_offset=10$/);
});

test("silence counts as a break", () => {
  const { sources, at, due } = world();
  sources[0]!.say("heartbeat", { at: "", offset: 3, behind_by: 0 });
  at.now += SILENT_MS_MAX + 1;
  due(1_000);
  assert.equal(connection.value.state, "broken");
});

test("what is not understood is passed over", () => {
  const { sources } = world();
  sources[0]!.say("event", "{");
  sources[0]!.say("event", "null");
  assert.equal(events.value.length, 0);
  assert.equal(connection.value.state, "connecting");
});

test("a burst is drawn twice, and none of it is lost", () => {
  const { sources, due } = world();
  let drawn = 0;
  const stop = effect(() => void (events.value, (drawn += 1)));
  for (let offset = 0; offset < 1_000; offset += 1) sources[0]!.say("event", entry(offset));
  due(TOGETHER_MS);
  stop();
  assert.equal(drawn, 3);
  assert.equal(events.value.at(-1)?.offset, 999);
  sources[0]!.onerror?.();
  due(AGAIN_MS_MIN);
  assert.match(sources[1]!.url, /from_offset=1000$/);
});
