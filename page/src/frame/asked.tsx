/** Queries of a page, and what is shown while they are not answered. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Refused, get } from "../store/asking";
import { asOf } from "../store/route";

export interface Asked<T> {
  /** The last answer; it stays while the next one is waited for, so that nothing jumps. */
  readonly value: T | null;
  readonly etag: string | null;
  readonly refused: Refused | null;
  /** Whether the answer is that of another moment, while the one of this moment is waited for. */
  readonly stale: boolean;
  readonly again: () => void;
}

/** A skeleton at first, words after this. */
const SLOW_MS = 200;

/**
 * Ask a query, and again whenever `after` changes.
 *
 * @param path null asks nothing yet.
 * @param after what makes the last answer old: the sequence of a model, the head of the log.
 * @param past whether it may be asked of the past.
 */
export function useAsked<T>(path: string | null, after: unknown = 0, past = false): Asked<T> {
  const [turn, setTurn] = useState(0);
  const [answer, setAnswer] = useState<{ path: string | null; value: T | null; etag: string | null; refused: Refused | null }>({ path, value: null, etag: null, refused: null });
  const moment = past ? asOf.value : null;
  const key = `${path} ${moment}`;
  const shown = useRef(key);
  useEffect(() => {
    if (path === null) return undefined;
    const stop = new AbortController();
    get<T>(path, past, stop.signal)
      .then(({ value, etag }) => {
        shown.current = key;
        setAnswer({ path: key, value, etag, refused: null });
      })
      .catch((error: unknown) => {
        if (stop.signal.aborted) return;
        const refused = error instanceof Refused ? error : new Refused({ title: "Failed", detail: String(error), code: "failed", status: 0 });
        setAnswer((last) => ({ ...last, path: key, value: last.path === key ? last.value : null, refused }));
      });
    return () => stop.abort();
  }, [key, after, turn]);
  const again = (): void => setTurn(turn + 1);
  // Of another question the old answer would be a wrong one; of the same one in another moment it stays until the next.
  const same = answer.path?.split(" ")[0] === path;
  return { value: same ? answer.value : null, etag: answer.etag, refused: same ? answer.refused : null, stale: same && answer.path !== key, again };
}

interface Showing<T> {
  readonly asked: Asked<T>;
  /** What is waited for, in words. */
  readonly name: string;
  readonly children: (value: T) => ComponentChildren;
}

/** Draw an answer; or that it is waited for, or what went wrong. An old answer stays, grey, with how old it is. */
export function Shown<T>({ asked, name, children }: Showing<T>) {
  if (asked.value !== null) {
    return (
      <div class={asked.refused || asked.stale ? "old" : "fresh"} aria-busy={asked.stale}>
        {asked.refused && <Broken refused={asked.refused} again={asked.again} />}
        {children(asked.value)}
      </div>
    );
  }
  return asked.refused ? <Broken refused={asked.refused} again={asked.again} /> : <Loading name={name} />;
}

export function Loading({ name }: { name: string }) {
  const [slow, setSlow] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setSlow(true), SLOW_MS);
    return () => clearTimeout(timer);
  }, []);
  return slow ? (
    <p class="waits" role="status">
      Asking for {name} …
    </p>
  ) : (
    <div class="skeleton" aria-hidden="true">
      <i />
      <i />
      <i />
    </div>
  );
}

export function Broken({ refused, again }: { refused: Refused; again?: () => void }) {
  const { problem } = refused;
  return (
    <div class="note bad" role="alert">
      <strong>{problem.title}</strong> {problem.detail}
      {problem.legal && problem.legal.length > 0 && <span class="soft"> Possible: {problem.legal.join(", ")}.</span>}
      {again && (
        <button class="plain" onClick={again}>
          Try again
        </button>
      )}
    </div>
  );
}
