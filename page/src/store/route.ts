/** Where the reader is: the address's hash, so that a link shows what was seen, the moment in the past included. */
import { computed, signal } from "@preact/signals";

export interface Route {
  /** Parts of the path: `#/models/digits/rollout` has three. */
  readonly parts: readonly string[];
  readonly query: URLSearchParams;
  /** The offset of the log that is looked at; null is now. */
  readonly asOf: number | null;
}

export function routeOf(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#/, "").split("?", 2);
  const parts = path.split("/").filter(Boolean).map(decoded);
  const search = new URLSearchParams(query);
  const asked = search.get("as_of") ?? "";
  return { parts, query: search, asOf: /^\d{1,15}$/.test(asked) ? Number(asked) : null };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The hash of a page, in the same moment as the page that it is linked from. */
export function link(parts: readonly string[], asOf: number | null = route.value.asOf, query?: Record<string, string>): string {
  const search = new URLSearchParams(query);
  if (asOf !== null) search.set("as_of", String(asOf));
  const asked = search.toString();
  return `#/${parts.map(encodeURIComponent).join("/")}${asked && `?${asked}`}`;
}

const hash = signal(globalThis.location?.hash ?? "");
export const route = computed(() => routeOf(hash.value));
export const asOf = computed(() => route.value.asOf);

export function go(target: string): void {
  globalThis.location.hash = target;
}

/** Show this page at another moment; null is now. */
export function goTo(offset: number | null): void {
  const query = Object.fromEntries([...route.value.query].filter(([name]) => name !== "as_of"));
  go(link(route.value.parts, offset, query));
}

export function followAddress(): void {
  const read = (): void => void (hash.value = globalThis.location.hash);
  globalThis.addEventListener("hashchange", read);
  read();
}
