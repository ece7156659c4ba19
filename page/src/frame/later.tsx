/** Pages and parts whose code is loaded with the first look at them: a first visit waits for less. */
import type { FunctionComponent } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Loading } from "./asked";

export function later<P extends object>(load: () => Promise<FunctionComponent<P>>): FunctionComponent<P> {
  let known: FunctionComponent<P> | null = null;
  return function Later(props) {
    const [state, setState] = useState<"waits" | "there" | "gone">(known ? "there" : "waits");
    useEffect(() => {
      if (known) return;
      load().then(
        (page) => {
          known = page;
          setState("there");
        },
        () => setState("gone"),
      );
    }, []);
    if (known) {
      const Known = known;
      return <Known {...props} />;
    }
    if (state === "waits") return <Loading name="this page" />;
    return (
      <p class="note bad" role="alert">
        This page could not be loaded: the API is away, or has another release since.{" "}
        <button type="button" onClick={() => globalThis.location.reload()}>
          Load all of it anew
        </button>
      </p>
    );
  };
}
