/** All that the page asks of the API. */
import { asOf } from "./route";
import type { Problem } from "./api";
import { sessionEnded } from "./session";

/** What the API said no to, or why it could not be asked. */
export class Refused extends Error {
  constructor(
    readonly problem: Pick<Problem, "title" | "detail" | "code" | "status"> & Partial<Problem>,
  ) {
    super(problem.detail || problem.title);
  }
}

export interface Answered<T> {
  readonly value: T;
  /** For `If-Match`: what was seen when the reader decided. */
  readonly etag: string | null;
}

const ASKING_MS_MAX = 15_000;
/** A command may have much to do before its event: a version is tried before it is registered. */
const SENDING_MS_MAX = 180_000;

/**
 * Ask a query.
 *
 * @param past whether the query may be asked of a moment in the past, which it then is.
 */
export async function get<T>(path: string, past = false, signal?: AbortSignal): Promise<Answered<T>> {
  const offset = asOf.peek();
  const joint = path.includes("?") ? "&" : "?";
  if (!past || offset === null) return answered<T>(await asked(path, { signal: signal ?? null }));
  const before = pastAsked;
  const mine = before.then(async () => answered<T>(await asked(`${path}${joint}as_of_offset=${offset}`, { signal: signal ?? null })));
  pastAsked = mine.catch(() => undefined);
  return mine;
}

/** The past is asked one question after the other: the first makes the fold that all others are answered from. */
let pastAsked: Promise<unknown> = Promise.resolve();

export interface Sending {
  readonly method?: "POST" | "PUT" | "DELETE" | "PATCH";
  readonly body?: unknown;
  /** The ETag that the reader decided on. */
  readonly ifMatch?: string | null;
  /** The same key again never applies twice. */
  readonly key?: string;
}

/** Send a command. */
export async function send<T>(path: string, { method = "POST", body = {}, ifMatch, key }: Sending = {}): Promise<Answered<T>> {
  const headers: Record<string, string> = { "Content-Type": "application/json", "Idempotency-Key": key ?? newKey() };
  if (ifMatch) headers["If-Match"] = ifMatch;
  return answered<T>(await asked(path, { method, headers, body: JSON.stringify(body) }));
}

/**
 * Send a file as it is: the browser reads it piece by piece.
 *
 * @param told is called with the share that has left, while it goes.
 */
export function upload<T>(path: string, file: Blob, told: (share: number) => void): Promise<T> {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    request.open("POST", relative(path));
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (event) => told(event.loaded / (event.total || 1));
    request.onload = () => answered<T>(new Response(request.responseText, { status: request.status })).then(({ value }) => done(value), failed);
    request.onerror = () => failed(notReached("the connection ended"));
    request.send(file);
  });
}

/** Where a model is in the API. */
export function modelPath(name: string): string {
  return `/api/models/${encodeURIComponent(name)}`;
}

export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return `page-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

function notReached(detail: string): Refused {
  return new Refused({ title: "Not reached", detail, code: "not-reached", status: 0 });
}

async function asked(url: string, request: RequestInit): Promise<Response> {
  const msMax = request.method ? SENDING_MS_MAX : ASKING_MS_MAX;
  const limit = AbortSignal.timeout(msMax);
  const signal = request.signal ? AbortSignal.any([request.signal, limit]) : limit;
  try {
    return await fetch(relative(url), { ...request, signal, headers: { Accept: "application/json", ...request.headers } });
  } catch (error) {
    if (request.signal?.aborted) throw error;
    const late = error instanceof DOMException && error.name === "TimeoutError";
    const detail = late ? `no answer within ${msMax / 1000} s` : "the API cannot be reached";
    throw notReached(detail);
  }
}

/** The page may lie below a prefix of a proxy, and the API then does, too. */
export function relative(path: string): string {
  return path.replace(/^\//, "");
}

async function answered<T>(response: Response): Promise<Answered<T>> {
  const text = await response.text();
  let value: unknown = null;
  try {
    value = text ? JSON.parse(text) : null;
  } catch {
    throw new Refused({ title: "Not understood", detail: "the answer is no JSON: is a proxy in between?", code: "not-json", status: response.status });
  }
  if (response.ok) return { value: value as T, etag: response.headers.get("ETag") };
  if (response.status === 401) sessionEnded();
  const problem = (value ?? {}) as Partial<Problem>;
  throw new Refused({ title: response.statusText, detail: "", code: "", ...problem, status: response.status });
}
