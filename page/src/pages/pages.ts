/** Which page is shown where. */
import type { FunctionComponent } from "preact";
import { later } from "../frame/later";
import { currentModel } from "../store/current";
import type { Route } from "../store/route";
import { Overview } from "./overview";

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
  { path: "rollout", title: "Rollout", key: "r", component: later(() => import("./acting").then((all) => all.RolloutPage)), parts: () => ["rollout", ...[currentModel()].filter((name) => name !== null)] },
  { path: "events", title: "Events", key: "e", component: later(() => import("./reading").then((all) => all.Events)) },
  { path: "answer", title: "Answer", key: "a", component: later(() => import("./reading").then((all) => all.Answer)) },
  { path: "fleet", title: "Fleet", key: "f", component: later(() => import("./reading").then((all) => all.FleetPage)) },
  { path: "training", title: "Training", key: "t", component: later(() => import("./keeping").then((all) => all.Training)) },
  { path: "alerts", title: "Alerts", component: later(() => import("./keeping").then((all) => all.Alerts)), hidden: true },
  { path: "keys", title: "Keys", component: later(() => import("./keeping").then((all) => all.Keys)), hidden: true },
  { path: "models", title: "Models", component: later(() => import("./acting").then((all) => all.ModelPage)), hidden: true },
];

export function pageOf(route: Route): Page | undefined {
  return PAGES.find((page) => page.path === (route.parts[0] ?? ""));
}
