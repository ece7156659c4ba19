/** What many pages are made of. State is always a word and a shape, never a colour alone. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ago, clock } from "./format";
import { command } from "./shown";
import { now } from "./time";

export type Tone = "bad" | "warn" | "move" | "good" | "plain";

const SHAPES: Record<Tone, string> = { bad: "▲", warn: "◆", move: "▶", good: "●", plain: "○" };

export function Badge({ tone, children }: { tone: Tone; children: ComponentChildren }) {
  return (
    <span class={`badge ${tone}`}>
      <span aria-hidden="true">{SHAPES[tone]}</span> {children}
    </span>
  );
}

export function Figure({ label, value, tone, wide }: { label: string; value: ComponentChildren; tone?: Tone; wide?: boolean }) {
  return (
    <div class={`figure ${tone ?? ""} ${wide ? "wide" : ""}`}>
      <dt>{label}</dt>
      <dd>{value}</dd>
    </div>
  );
}

/** How long ago, exact on hover. */
export function Ago({ at, suffix = "ago" }: { at: string | null | undefined; suffix?: string }) {
  if (!at) return <span>–</span>;
  return (
    <time dateTime={at} title={clock(at)}>
      {ago(Date.parse(at), now.value)} {suffix}
    </time>
  );
}

export function Panel({ title, extra, children, id }: { title?: ComponentChildren; extra?: ComponentChildren; children: ComponentChildren; id?: string }) {
  return (
    <section class="panel" id={id}>
      {title && (
        <header>
          <h2>{title}</h2>
          {extra}
        </header>
      )}
      {children}
    </section>
  );
}

/** Says what is not there yet, and what would make it. */
export function Empty({ children, run }: { children: ComponentChildren; run?: string }) {
  return (
    <div class="empty">
      <p>{children}</p>
      {run && <Copied text={run} />}
    </div>
  );
}

/** A command to copy. */
export function Copied({ text, label }: { text: string; label?: string }) {
  const [copied, copy] = useCopy(text);
  return (
    <span class="copied">
      {!label && <code>{text}</code>}
      <button class="plain" title={text} onClick={copy}>
        {copied ? "Copied" : (label ?? "Copy")}
      </button>
    </span>
  );
}

export function useCopy(text: string): [boolean, () => void] {
  const [copied, setCopied] = useState(false);
  const copy = (): void => {
    copyText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 1_500);
  };
  return [copied, copy];
}

export function copyText(text: string): void {
  void globalThis.navigator.clipboard?.writeText(text).catch(() => undefined);
}

interface Heading {
  readonly title: ComponentChildren;
  /** The queries that this page draws. */
  readonly json: string;
  /** What says the same in a terminal. */
  readonly cli: string;
  readonly children?: ComponentChildren;
}

export function PageHead({ title, json, cli, children }: Heading) {
  useEffect(() => {
    command.value = cli;
  }, [cli]);
  return (
    <div class="pagehead">
      <h1>{title}</h1>
      <div class="actions">{children}</div>
      <div class="elsewhere">
        <a href={json.replace(/^\//, "")} target="_blank" rel="noreferrer" title={`GET ${json}`}>
          JSON
        </a>
        <Copied text={cli} label="CLI" />
      </div>
    </div>
  );
}

interface Rows {
  /** Says which table it is. */
  readonly label: string;
  /** Of the columns; `#` before one says that figures stand below it, `-` that only a reader of screens is told. */
  readonly heads: readonly string[];
  readonly class?: string;
  /** Rows of the body. */
  readonly children: ComponentChildren;
}

/** A table that is moved sideways where the screen is too narrow, by the keyboard, too. */
export function Table({ label, heads, class: look, children }: Rows) {
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label={label}>
      <table class={look}>
        <thead>
          <tr>
            {heads.map((head) => {
              const [, sign, text] = /^([#-]?)(.*)/.exec(head) ?? [];
              return <th class={sign === "#" ? "n" : undefined}>{sign === "-" ? <span class="hide">{text}</span> : text}</th>;
            })}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

/** The width that there is, so that a chart is drawn in its own pixels and its text keeps its size. */
export function Wide({ children }: { children: (width: number) => ComponentChildren }) {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const seen = new ResizeObserver(([entry]) => entry && setWidth(Math.floor(entry.contentRect.width)));
    if (box.current) seen.observe(box.current);
    return () => seen.disconnect();
  }, []);
  return <div ref={box}>{width > 0 && children(width)}</div>;
}
