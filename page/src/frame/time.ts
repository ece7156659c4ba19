/** The reader's clock, once a second while the tab is visible: for "4 s ago". */
import { signal } from "@preact/signals";

export const now = signal(Date.now());

export function followClock(): void {
  setInterval(() => document.visibilityState === "hidden" || (now.value = Date.now()), 1_000);
}
