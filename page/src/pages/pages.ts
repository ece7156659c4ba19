/** Which page is shown where. */
import type { FunctionComponent } from "preact";
import { currentModel } from "../store/current";
import type { Route } from "../store/route";
import { Alerts } from "./alerts";
import { Answer } from "./answer";
import { Events } from "./events";
import { FleetPage } from "./fleet";
import { Keys } from "./keys";
import { ModelPage } from "./model";
import { Overview } from "./overview";
import { RolloutPage } from "./rollout";

export interface Page {
  /** The first part of the route. */
  readonly path: string;
  readonly title: string;
  /** The key after `g`. */
  readonly key?: string;
  readonly component: FunctionComponent<{ route: Route }>;
  /** Where the page is, if that depends on where the reader is. */
  readonly parts?: () => readonly string[];
  /** Not in the navigation. */
  readonly hidden?: boolean;
}

export const PAGES: readonly Page[] = [
  { path: "", title: "Overview", key: "o", component: Overview },
  { path: "rollout", title: "Rollout", key: "r", component: RolloutPage, parts: () => ["rollout", ...[currentModel()].filter((name) => name !== null)] },
  { path: "events", title: "Events", key: "e", component: Events },
  { path: "answer", title: "Answer", key: "a", component: Answer },
  { path: "fleet", title: "Fleet", key: "f", component: FleetPage },
  { path: "alerts", title: "Alerts", component: Alerts, hidden: true },
  { path: "keys", title: "Keys", component: Keys, hidden: true },
  { path: "models", title: "Models", component: ModelPage, hidden: true },
];

export function pageOf(route: Route): Page | undefined {
  return PAGES.find((page) => page.path === (route.parts[0] ?? ""));
}
