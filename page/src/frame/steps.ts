/** From the steps that the API says are legal to what the reader may press. What is not legal is not there. */
import type { Arm, LegalSteps, Model, RolloutNow } from "../store/api";
import { modelPath } from "../store/asking";
import type { Action, Field, Filled } from "./actions";
import { weight } from "./format";

export function armsText(arms: readonly Arm[] | undefined): string {
  return arms?.length ? arms.map((arm) => `${arm.model_version} ${weight(arm.weight)}`).join(" · ") : "nothing in production";
}

export function quoted(text: string): string {
  return /^[\w.@%+=:,/-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

export function line(...words: readonly (string | false | null | undefined)[]): string {
  return words.filter((word): word is string => Boolean(word)).join(" ");
}

/** The step as named, and what it needs besides: `promote v2 with forced`. */
interface Step {
  readonly verb: string;
  readonly needs: readonly string[];
}

export function stepOf(text: string): Step {
  const [verb = "", needs = ""] = text.split(" with ", 2);
  return { verb, needs: needs.split(" and ").filter(Boolean) };
}

function find(steps: readonly string[], verb: string): Step | undefined {
  return steps.map(stepOf).find((step) => step.verb === verb || step.verb.startsWith(`${verb} `));
}

function needed(step: Step): Record<string, boolean> {
  return Object.fromEntries(step.needs.map((name) => [name, true]));
}

/** Of the model as a whole. */
export function modelActions(model: Model, steps: LegalSteps, now: RolloutNow | null): Action[] {
  const name = model.model_name;
  const at = modelPath(name);
  const arms: readonly [string, string] = ["answers now", armsText(now?.traffic.arms)];
  const base = { model: name, sequence: steps.sequence };
  const found: Action[] = [];
  const active = model.active_version ?? null;
  if (active && find(steps.versions[active] ?? [], "roll back") && model.former_version) {
    found.push({
      ...base,
      name: "rollback",
      verb: "Roll back",
      title: `Roll back ${name} to ${model.former_version}`,
      facts: [arms, ["then", `${model.former_version} 100 %`]],
      path: `${at}/rollback`,
      fields: [{ name: "cause", label: "Why in one word", kind: "choice", value: "operator", choices: ["operator", "emergency"] }],
      body: (filled) => ({ from_version: active, cause: filled["cause"] }),
      cli: () => line("hotswap-stream rollback", quoted(name), "--from", active),
      key: "b",
      danger: true,
    });
  }
  if (steps.model.includes("reload")) {
    found.push({
      ...base,
      name: "reload",
      verb: "Reload",
      title: `Reload ${name}`,
      facts: [arms, ["then", "the newest version that passed validation, if it is another one"]],
      path: `${at}/reload`,
      cli: () => line("hotswap-stream reload", quoted(name)),
    });
  }
  const off = steps.model.includes("disable");
  found.push({
    ...base,
    name: "switch",
    verb: off ? "Switch off" : "Switch on",
    title: off ? `Switch ${name} off` : `Switch ${name} on again`,
    facts: [arms, ["then", off ? "every request gets the error model-disabled" : "requests are answered again"]],
    path: `${at}/${off ? "disable" : "enable"}`,
    cli: () => line("hotswap-stream", off ? "disable" : "enable", quoted(name)),
    danger: off,
  });
  return found;
}

const TRAINED_BY: readonly Field[] = [
  { name: "epochs", label: "Epochs", kind: "number", value: 12, min: 1, max: 1000 },
  { name: "learning_rate", label: "Learning rate", kind: "number", value: 0.004, min: 0 },
  { name: "seed", label: "Seed", kind: "number", value: 0, min: 0 },
];

/** For a model that there may not be yet. */
export function trainFirst(): Action {
  return {
    ...trainAction("", 0),
    sequence: null,
    verb: "Train a model",
    title: "Train a model",
    facts: [["then", "a version of it on the bundled digits; the first one that passes goes into production"]],
    path: (filled) => `${modelPath(String(filled["model_name"]))}/training-runs`,
    fields: [{ name: "model_name", label: "Name of the model", kind: "text", value: "digits", required: true }, ...TRAINED_BY],
    body: ({ model_name: _name, ...settings }) => settings,
    cli: (filled) => trainAction(String(filled["model_name"]), 0).cli(filled),
  };
}

export function trainAction(name: string, sequence: number): Action {
  return {
    model: name,
    sequence,
    name: "train",
    verb: "Train",
    title: `Train a version of ${name}`,
    facts: [["then", "a new version, validated against the active one; it is promoted by nobody but you"]],
    path: `${modelPath(name)}/training-runs`,
    fields: TRAINED_BY,
    body: (filled) => filled,
    cli: (filled) => line("hotswap-stream train", quoted(name), "--epochs", String(filled["epochs"]), "--learning-rate", String(filled["learning_rate"]), "--seed", String(filled["seed"])),
  };
}

/** A model that was made elsewhere: its file becomes a version. Without a name it may begin a model. */
export function publishAction(name = ""): Action {
  const of = (filled: Filled): string => name || String(filled["model_name"]);
  return {
    model: name,
    sequence: null,
    name: "publish",
    verb: "Publish a file",
    title: name ? `Publish a file as a version of ${name}` : "Publish a model's file",
    facts: [["then", "it is tried in a process of its own, kept, and registered as the next version; nobody gets its answers yet"]],
    upload: (filled) => `/api/artifacts?${new URLSearchParams(listed(filled["labels"]).map((label) => ["label", label]))}`,
    path: (filled) => `${modelPath(of(filled))}/versions`,
    fields: [
      ...(name ? [] : [{ name: "model_name", label: "Name of the model", kind: "text", value: "", required: true } as const]),
      { name: "file", label: "ONNX graph, or an artifact made before", kind: "file", value: "", accept: ".onnx,.safetensors" },
      { name: "labels", label: "Names of its classes, with commas between them (may be empty)", kind: "text", value: "" },
    ],
    body: (filled) => ({ artifact_digest: filled["artifact_digest"] }),
    cli: (filled) => line("hotswap-stream publish", quoted(of(filled) || "MODEL"), quoted(String(filled["file"] || "FILE")), ...listed(filled["labels"]).map((label) => `--label ${quoted(label)}`)),
  };
}

function listed(text: unknown): string[] {
  return String(text ?? "").split(",").map((one) => one.trim()).filter(Boolean);
}

/** Of one version. */
export function versionActions(model: Model, version: string, steps: LegalSteps, now: RolloutNow | null): Action[] {
  const name = model.model_name;
  const at = modelPath(name);
  const own = steps.versions[version] ?? [];
  const arms: readonly [string, string] = ["answers now", armsText(now?.traffic.arms)];
  const base = { model: name, sequence: steps.sequence };
  const found: Action[] = [];
  const promote = find(own, "promote");
  const whole: readonly [string, string] = ["then", `${version} 100 %`];
  if (promote) {
    found.push({
      ...base,
      name: `promote ${version}`,
      verb: "Promote",
      title: `Promote ${version} of ${name}`,
      facts: [arms, whole, ...needs(promote)],
      path: `${at}/versions/${encodeURIComponent(version)}/promote`,
      body: () => needed(promote),
      cli: () => line("hotswap-stream promote", quoted(name), version, ...promote.needs.map(option)),
    });
  }
  const start = find(steps.rollout, "start");
  if (start && own.length && version !== model.active_version && model.active_version) found.push(...starts(base, name, version, start, arms, promote !== undefined));
  const force = find(own, "switch");
  if (force) {
    found.push({
      ...base,
      name: `activate ${version}`,
      verb: "Activate",
      title: `Activate ${version} of ${name}, past validation`,
      facts: [arms, whole, ...needs(force)],
      path: `${at}/switch`,
      body: () => ({ model_version: version, ...needed(force) }),
      cli: () => line("hotswap-stream switch", quoted(name), version, ...force.needs.map(option)),
      danger: true,
    });
  }
  return found;
}

function option(field: string): string {
  return field === "forced" ? "--force" : `--${field.replaceAll("_", "-")}`;
}

function needs(step: Step): (readonly [string, string])[] {
  return step.needs.length ? [["needs besides", step.needs.join(", ").replaceAll("_", " ")]] : [];
}

function starts(base: Pick<Action, "model" | "sequence">, name: string, version: string, start: Step, arms: readonly [string, string], proven: boolean): Action[] {
  const path = `${modelPath(name)}/rollout`;
  const extra = { ...needed(start), ...(!proven && { forced: true }) };
  const flags = Object.keys(extra).map(option);
  const body = (strategy: unknown): Record<string, unknown> => ({ candidates: [version], strategy, ...extra });
  const common = needs({ ...start, needs: Object.keys(extra) });
  return [
    {
      ...base,
      name: `shadow ${version}`,
      verb: "Shadow",
      title: `Let ${version} of ${name} shadow`,
      facts: [arms, ["then", `nobody gets answers of ${version}; it computes beside, and is compared`], ...common],
      path,
      fields: [{ name: "share", label: "Share of the requests, %", kind: "percent", value: 100, min: 0.01, max: 100 }],
      body: (filled) => body({ kind: "shadow", sample_share: inTenThousand(filled) }),
      cli: (filled) => line("hotswap-stream rollout start", quoted(name), version, "--shadow", `${filled["share"]}%`, ...flags),
    },
    {
      ...base,
      name: `rollout ${version}`,
      verb: "Roll out",
      title: `Roll ${version} of ${name} out in steps`,
      facts: [arms, ["then", `${version} gets its share step by step, as the evidence allows`], ...common],
      path,
      fields: [{ name: "share", label: "First share of the users, %", kind: "percent", value: 10, min: 0.01, max: 100 }],
      body: (filled) => body({ kind: "progressive", steps: stepsFrom(inTenThousand(filled)) }),
      cli: (filled) => line("hotswap-stream rollout start", quoted(name), version, "--steps", stepsText(inTenThousand(filled)), ...flags),
    },
  ];
}

function inTenThousand(filled: Filled): number {
  return Math.max(1, Math.round(Number(filled["share"]) * 100));
}

function stepsFrom(first: number): Record<string, unknown>[] {
  return [first, 5_000, 10_000]
    .filter((weight, index) => index === 0 || weight > first)
    .flatMap((weight, index, all) => [{ step: "set_weight", weight }, ...(index < all.length - 1 || all.length === 1 ? [{ step: "analysis" }] : [])]);
}

function stepsText(first: number): string {
  return stepsFrom(first)
    .map((step) => (step["step"] === "analysis" ? "analysis" : `${Number(step["weight"]) / 100}%`))
    .join(",");
}

/** Of the rollout that goes on. */
export function rolloutActions(name: string, now: RolloutNow): Action[] {
  const rollout = now.rollout;
  if (!rollout) return [];
  const at = `${modelPath(name)}/rollout`;
  const base = { model: name, sequence: now.sequence };
  const arms: readonly [string, string] = ["answers now", armsText(now.traffic.arms)];
  const which: readonly [string, string] = ["rollout", `${rollout.rollout_id}, ${rollout.candidates.join(", ")} against ${rollout.baseline_version}`];
  const body = { rollout_id: rollout.rollout_id };
  const command = (verb: string, ...more: string[]): string => line("hotswap-stream rollout", verb, quoted(name), ...more);
  const found: Action[] = [];
  const plain = (verb: "advance" | "pause" | "resume", label: string, then: string, key?: string): void => {
    if (!find(now.legal, verb)) return;
    found.push({ ...base, name: verb, verb: label, title: `${label} ${rollout.rollout_id} of ${name}`, facts: [which, arms, ["then", then]], path: `${at}/${verb}`, body: () => body, cli: () => command(verb), ...(key && { key }) });
  };
  const paused = rollout.status === "paused";
  plain("advance", "Advance", "the next step, whatever the evidence says", "a");
  plain("pause", "Pause", "the shares stay as they are until somebody resumes", "p");
  plain("resume", "Resume", "it goes on from this step", paused ? "p" : undefined);
  for (const text of now.legal.filter((one) => one === "promote" || one.startsWith("promote "))) {
    const step = stepOf(text);
    const version = step.verb.split(" ")[1] ?? rollout.candidates[0] ?? "";
    found.push({
      ...base,
      name: text,
      verb: step.needs.includes("forced") ? `Promote ${version} by force` : `Promote ${version}`,
      title: `Promote ${version} of ${name}, and end ${rollout.rollout_id}`,
      facts: [which, arms, ["then", `${version} 100 %`], ...needs(step)],
      path: `${at}/promote`,
      body: () => ({ ...body, model_version: version, ...needed(step) }),
      cli: () => command("promote", version, ...step.needs.map(option)),
    });
  }
  if (find(now.legal, "abort")) {
    const shadow = rollout.strategy.kind === "shadow";
    found.push({
      ...base,
      name: "abort",
      verb: shadow ? "Cancel" : "Abort",
      title: `${shadow ? "Cancel" : "Abort"} ${rollout.rollout_id} of ${name}`,
      facts: [which, arms, ["then", `${rollout.baseline_version} 100 %${rollout.policy?.auto_archive === false ? "" : `; ${rollout.candidates.join(", ")} archived`}`]],
      path: `${at}/abort`,
      body: () => body,
      cli: () => command("abort"),
      key: "x",
      danger: true,
    });
  }
  return found;
}
