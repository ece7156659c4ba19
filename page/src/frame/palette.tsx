/** Everything by name: pages, models, what may be done here, and any offset of the log. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { PAGES } from "../pages/pages";
import { asOf, go, goTo, link } from "../store/route";
import { summaries } from "../store/now";
import { actions, ask } from "./actions";
import { palette } from "./shown";

interface Choice {
  readonly text: string;
  readonly kind: string;
  readonly run: () => void;
}

const SHOWN_MAX = 12;

export function choices(typed: string): Choice[] {
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  const all: Choice[] = [
    ...(asOf.value === null ? actions.value.map((one) => ({ text: one.title, kind: "action", run: () => ask(one) })) : []),
    ...PAGES.map((one) => ({ text: one.title, kind: "page", run: () => go(link(one.parts?.() ?? [one.path].filter(Boolean))) })),
    ...[...summaries.value.keys()].map((name) => ({ text: name, kind: "model", run: () => go(link(["models", name])) })),
  ];
  const offset = /^#?(\d{1,15})$/.exec(typed.trim());
  if (offset) all.unshift({ text: `The system at offset ${offset[1]}`, kind: "past", run: () => goTo(Number(offset[1])) });
  return all.filter((one) => offset !== null && one.kind === "past" ? true : words.every((word) => `${one.kind} ${one.text}`.toLowerCase().includes(word))).slice(0, SHOWN_MAX);
}

export function Palette() {
  const dialog = useRef<HTMLDialogElement>(null);
  const typed = useSignal("");
  const at = useSignal(0);
  const found = choices(typed.value);
  const close = (): void => void (palette.value = false);
  useEffect(() => dialog.current?.showModal(), []);
  const run = (choice: Choice | undefined): void => {
    close();
    if (choice) setTimeout(choice.run);
  };
  return (
    <dialog ref={dialog} class="palette" onClose={close} aria-label="Go to, or do">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          run(found[at.value]);
        }}
      >
        <input
          type="text"
          role="combobox"
          aria-expanded="true"
          aria-controls="found"
          aria-activedescendant={`found-${at.value}`}
          aria-label="Go to, or do"
          placeholder="A page, a model, an action, an offset"
          autocomplete="off"
          value={typed.value}
          onInput={(event) => {
            typed.value = event.currentTarget.value;
            at.value = 0;
          }}
          onKeyDown={(event) => {
            const by = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
            if (!by) return;
            event.preventDefault();
            at.value = (at.value + by + found.length) % Math.max(1, found.length);
          }}
        />
        <ul id="found" role="listbox" aria-label="Found">
          {found.map((choice, index) => (
            <li key={`${choice.kind} ${choice.text}`} id={`found-${index}`} role="option" aria-selected={index === at.value} onClick={() => run(choice)}>
              <span>{choice.text}</span>
              <span class="soft">{choice.kind}</span>
            </li>
          ))}
        </ul>
        {found.length === 0 && <p class="soft">Nothing has this name.</p>}
      </form>
    </dialog>
  );
}
