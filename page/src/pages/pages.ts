/** Which page is shown where. */
import type { FunctionComponent } from "preact";
import { Overview } from "./overview";
import type { Route } from "../store/route";

export interface Page {
  /** The first part of the route. */
  readonly path: string;
  readonly title: string;
  /** The key after `g`. */
  readonly key: string;
  readonly component: FunctionComponent<{ route: Route }>;
}

export const PAGES: readonly Page[] = [{ path: "", title: "Overview", key: "o", component: Overview }];

export function pageOf(route: Route): Page | undefined {
  return PAGES.find((page) => page.path === (route.parts[0] ?? ""));
}
