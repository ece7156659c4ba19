/**
 * The one stream of a tab: opened when the tab is visible, closed when it is hidden, and opened again after the last
 * offset that came. A browser gives six connections to a host; hidden tabs must not hold them.
 */
import { batch } from "@preact/signals";
import { connection, head, take } from "../store/now";
import { session } from "../store/session";
import { KINDS, messageOf, type Message } from "./messages";

/** What is used of the browser, so that the tests can be one. */
export interface Browser {
  open(url: string): EventSource;
  now(): number;
  later(run: () => void, ms: number): unknown;
  hidden(): boolean;
  onVisibility(run: () => void): void;
}

export const AGAIN_MS_MIN = 500;
export const AGAIN_MS_MAX = 5_000;
/** The server says something each second, and a heartbeat each 5 s. */
export const SILENT_MS_MAX = 12_000;
/** What comes within this after a message is drawn with the next one: a burst of thousands must not draw as often. */
export const TOGETHER_MS = 50;

export class Stream {
  private source: EventSource | null = null;
  private waits = AGAIN_MS_MIN;
  private lastOffset: number | null = null;
  private heard = 0;
  private arrived: Message[] = [];
  private waitsForMore = false;

  constructor(private readonly browser: Browser) {}

  start(): void {
    this.browser.onVisibility(() => (this.browser.hidden() ? this.pause() : this.open()));
    if (!this.browser.hidden()) this.open();
    this.watch();
  }

  /** Open it, unless it is open. */
  open(): void {
    if (this.source || session.peek()?.state === "signed-out") return;
    if (connection.peek().state !== "broken") connection.value = { state: "connecting" };
    const from = this.lastOffset === null ? "" : `?from_offset=${this.lastOffset + 1}`;
    const source = this.browser.open(`api/live${from}`);
    this.source = source;
    this.heard = this.browser.now();
    for (const kind of KINDS) {
      source.addEventListener(kind, (event) => {
        const message = messageOf(kind, (event as MessageEvent<string>).data);
        if (!message || this.source !== source) return;
        this.heard = this.browser.now();
        this.arrived.push(message);
        if (this.waitsForMore) return;
        this.waitsForMore = true;
        this.drawn();
        this.browser.later(() => {
          this.waitsForMore = false;
          this.drawn();
        }, TOGETHER_MS);
      });
    }
    source.onerror = () => this.source === source && this.broken("the API cannot be reached");
  }

  close(): void {
    this.drawn();
    this.source?.close();
    this.source = null;
  }

  /** Take what has arrived, all at once. */
  private drawn(): void {
    const messages = this.arrived;
    if (!messages.length) return;
    this.arrived = [];
    this.waits = AGAIN_MS_MIN;
    batch(() => {
      for (const message of messages) {
        take(message, this.heard);
        if (message.kind === "event") this.lastOffset = message.data.offset;
        if (message.kind === "beginning") this.lastOffset ??= head.peek();
      }
      if (connection.peek().state !== "live") connection.value = { state: "live" };
    });
    if (messages.some((message) => message.kind === "end")) this.broken("the server ended the stream");
  }

  private pause(): void {
    this.close();
    connection.value = { state: "paused" };
  }

  /** A closed stream is opened again by us: a browser gives up for good after an answer that is no stream. */
  private broken(because: string): void {
    this.close();
    connection.value = { state: "broken", because };
    this.browser.later(() => this.browser.hidden() || this.open(), this.waits);
    this.waits = Math.min(AGAIN_MS_MAX, this.waits * 2);
  }

  private watch(): void {
    if (this.source && this.browser.now() - this.heard > SILENT_MS_MAX) this.broken("nothing came for a while");
    this.browser.later(() => this.watch(), 1_000);
  }
}

export const browser: Browser = {
  open: (url) => new EventSource(url),
  now: () => Date.now(),
  later: (run, ms) => setTimeout(run, ms),
  hidden: () => document.visibilityState === "hidden",
  onVisibility: (run) => document.addEventListener("visibilitychange", run),
};

