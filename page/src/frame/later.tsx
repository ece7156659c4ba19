/** Pages whose code is loaded with the first look at them: a first visit waits for less. */
import type { FunctionComponent } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Route } from "../store/route";
import { Loading } from "./asked";

type PageComponent = FunctionComponent<{ route: Route }>;

export function later(load: () => Promise<PageComponent>): PageComponent {
  let known: PageComponent | null = null;
  return function Later({ route }) {
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
      const Page = known;
      return <Page route={route} />;
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
