/** The keys, and the switch that turns them off. */
import { useEffect, useRef } from "preact/hooks";
import { keysOn, switchKeys } from "./keys";
import { help } from "./shown";

const KEYS: readonly (readonly [string, string])[] = [
  ["j k", "next, former row"],
  ["Enter", "open"],
  ["g then o r e a f t", "overview, rollout, events, answer, fleet, training"],
  ["/", "filter"],
  ["[ ]", "one event back, forth"],
  ["n", "back to now"],
  ["Ctrl K", "everything by name"],
  ["c", "copy the command of this page"],
  ["a p x b", "advance, pause, abort, roll back: each is confirmed"],
  ["?", "this help"],
  ["Esc", "close"],
];

export function Help() {
  const dialog = useRef<HTMLDialogElement>(null);
  const close = (): void => void (help.value = false);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} onClose={close} aria-labelledby="help">
      <h2 id="help">Keys</h2>
      <dl class="keys">
        {KEYS.map(([keys, what]) => (
          <div key={keys}>
            <dt>
              <kbd>{keys}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <label class="field check">
        <input type="checkbox" checked={keysOn.value} onChange={(event) => switchKeys(event.currentTarget.checked)} />
        <span>Single keys act (Ctrl K, ? and Esc always do)</span>
      </label>
      <footer>
        <a href="schema">The API's documentation</a>
        <span class="gap" />
        <button class="first" onClick={() => dialog.current?.close()}>
          Close
        </button>
      </footer>
    </dialog>
  );
}
