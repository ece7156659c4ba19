/** Keys. They can be switched off, and never act while the reader writes. */
import { signal } from "@preact/signals";
import { asOf, go, goTo, link } from "../store/route";
import { head } from "../store/now";
import { PAGES } from "../pages/pages";
import { actions, ask } from "./actions";
import { command, help, palette } from "./shown";

const STORED = "hotswap-stream.keys";
export const keysOn = signal(true);

export function switchKeys(on: boolean): void {
  keysOn.value = on;
  globalThis.localStorage?.setItem(STORED, on ? "on" : "off");
}

let goes = false;

export function followKeys(): void {
  keysOn.value = globalThis.localStorage?.getItem(STORED) !== "off";
  document.addEventListener("keydown", pressed);
}

function pressed(event: KeyboardEvent): void {
  if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    palette.value = !palette.value;
    return;
  }
  const target = event.target as HTMLElement;
  const writes = /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) && (target as HTMLInputElement).type !== "range";
  if (event.ctrlKey || event.metaKey || event.altKey || writes || document.querySelector("dialog[open]")) return;
  if (event.key === "?") return void (help.value = true);
  if (!keysOn.value) return;
  if (goes) {
    goes = false;
    const page = PAGES.find((one) => one.key === event.key);
    if (page) go(link(page.parts?.() ?? [page.path].filter(Boolean)));
    return;
  }
  const run = BY_KEY[event.key];
  const action = actions.value.find((one) => one.key === event.key);
  if (!run && !action) return;
  event.preventDefault();
  if (run) run();
  else if (action && asOf.value === null) ask(action);
}

const BY_KEY: Record<string, () => void> = {
  g: () => {
    goes = true;
    setTimeout(() => (goes = false), 1_500);
  },
  j: () => move(1),
  k: () => move(-1),
  "/": () => document.querySelector<HTMLElement>("[data-filter]")?.focus(),
  "[": () => step(-1),
  "]": () => step(1),
  n: () => goTo(null),
  c: () => void globalThis.navigator.clipboard?.writeText(command.value).catch(() => undefined),
};

/** One event back or forth; forth from the last one is now. */
export function step(by: number): void {
  const last = head.value ?? 0;
  const next = (asOf.value ?? last) + by;
  goTo(next >= last && by > 0 ? null : Math.max(0, next));
}

function move(by: number): void {
  const rows = [...document.querySelectorAll<HTMLElement>("main [data-row]")];
  const here = rows.indexOf(document.activeElement as HTMLElement);
  rows[Math.min(rows.length - 1, Math.max(0, here + by))]?.focus();
}
