/** What came of a command, said once at the foot of the page. */
import { signal } from "@preact/signals";

const SAID_MS = 8_000;

const said = signal<{ text: string; number: number } | null>(null);
let number = 0;

export function say(text: string): void {
  number += 1;
  const mine = number;
  said.value = { text, number };
  setTimeout(() => said.value?.number === mine && (said.value = null), SAID_MS);
}

export function Said() {
  return (
    <div class="said" role="status" aria-live="polite">
      {said.value && <p key={said.value.number}>{said.value.text}</p>}
    </div>
  );
}
