/** What may be asked of triggers: another policy, none, or a run by hand. */
import type { Action, Filled } from "../../frame/actions";
import { line, quoted } from "../../frame/steps";
import type { ModelTriggers, TrainingPolicy } from "../../store/api";
import { modelPath } from "../../store/asking";

const TRAINER = "image-classifier";
const AFTER = ["nothing", "ask", "shadow", "canary"];
const AS_IT_IS = "as it is";

/** The whole policy as it will be: what the form does not ask for stays as it is. */
export function policyOf(filled: Filled, known: TrainingPolicy | null): TrainingPolicy {
  const number = (name: string): number | null => (filled[name] === "" || Number.isNaN(filled[name]) ? null : Number(filled[name]));
  const [cron, drift, drop, rows] = [String(filled["cron"]).trim(), number("drift"), number("drop"), number("rows")];
  const files = known?.data?.files ?? false;
  return {
    ...known,
    trainer: String(filled["trainer"]),
    schedule: cron ? { ...known?.schedule, cron, timezone: String(filled["timezone"]).trim() || "UTC" } : null,
    drift: drift === null ? null : { ...known?.drift, limit: drift },
    quality: drop === null ? null : { ...known?.quality, drop },
    data: rows === null && !files ? null : { ...known?.data, rows, files },
    by_hand: filled["by_hand"] === true,
    cooldown_seconds: Number(filled["cooldown"]),
    ...(filled["after"] !== AS_IT_IS && { after: filled["after"] as "ask" }),
  };
}

export function triggerActions({ model_name: name, policy, sequence }: Pick<ModelTriggers, "model_name" | "policy" | "sequence">): Action[] {
  const base = { model: name, sequence };
  const at = modelPath(name);
  const known = policy ?? null;
  const now: readonly [string, string] = ["now", known ? partsOf(known) : "nothing starts by itself"];
  const after = known?.after ?? "ask";
  const found: Action[] = [];
  if (known && known.by_hand !== false) {
    found.push({
      ...base,
      name: "fire",
      verb: "Fire",
      title: `Start a run of ${name} by its policy`,
      facts: [now, ["then", `a run with ${known.trainer}; its version is treated as the policy says`]],
      path: `${at}/triggers/fire`,
      fields: [{ name: "override", label: "Past cooldown, budget and freeze; it needs a reason", kind: "check", value: false }],
      body: (filled) => filled,
      cli: (filled) => line("hotswap-stream triggers fire", quoted(name), filled["override"] === true && "--override"),
    });
  }
  found.push({
    ...base,
    name: "policy",
    verb: known ? "Change the policy" : "Set a policy",
    title: `What starts training of ${name}`,
    facts: [now],
    path: `${at}/training-policy`,
    method: "PUT",
    fields: [
      { name: "trainer", label: "Trainer", kind: "text", value: known?.trainer ?? TRAINER, required: true },
      { name: "cron", label: "At these times (minute hour day month weekday)", kind: "text", value: known?.schedule?.cron ?? "" },
      { name: "timezone", label: "Time zone of these times", kind: "text", value: known?.schedule?.timezone ?? "UTC" },
      { name: "drift", label: "When input drift is above, 0 to 1", kind: "number", value: known?.drift?.limit ?? "", min: 0, max: 1, optional: true },
      { name: "drop", label: `When ${known?.quality?.metric ?? "accuracy"} is worse by`, kind: "number", value: known?.quality?.drop ?? "", min: 0, optional: true },
      { name: "rows", label: "After so many pieces of feedback", kind: "number", value: known?.data?.rows ?? "", min: 1, optional: true },
      { name: "cooldown", label: "Seconds between two runs", kind: "number", value: known?.cooldown_seconds ?? 3_600, min: 0 },
      { name: "after", label: "A version that passes", kind: "choice", value: typeof after === "string" ? after : AS_IT_IS, choices: typeof after === "string" ? AFTER : [AS_IT_IS, ...AFTER] },
      { name: "by_hand", label: "People may start a run, too", kind: "check", value: known?.by_hand ?? true },
    ],
    body: (filled) => ({ policy: policyOf(filled, known) }),
    cli: (filled) => {
      const { trainer, schedule, drift, quality, data, cooldown_seconds: cooldown } = policyOf(filled, known);
      return line(
        "hotswap-stream triggers set",
        quoted(name),
        `--trainer ${quoted(trainer)}`,
        schedule && `--cron ${quoted(schedule.cron)} --timezone ${quoted(schedule.timezone ?? "UTC")}`,
        drift && `--drift ${drift.limit}`,
        quality && `--quality ${quality.metric ?? "accuracy"}:${quality.drop}`,
        data?.rows ? `--rows ${data.rows}` : null,
        `--cooldown ${cooldown}`,
        filled["after"] !== AS_IT_IS && `--after ${filled["after"]}`,
      );
    },
  });
  if (known) {
    found.push({
      ...base,
      name: "no policy",
      verb: "Take the policy away",
      title: `Nothing starts training of ${name} by itself`,
      facts: [now, ["then", "only people start runs"]],
      path: `${at}/training-policy`,
      method: "PUT",
      body: () => ({ policy: null }),
      cli: () => line("hotswap-stream triggers set", quoted(name), "--none"),
      danger: true,
    });
  }
  return found;
}

/** The parts of a policy in words. */
export function partsOf({ trainer, schedule, drift, quality, data, by_hand: hand }: TrainingPolicy): string {
  const parts = [
    schedule && `at ${schedule.cron} (${schedule.timezone ?? "UTC"})`,
    drift && `${drift.metric ?? "input-drift"} above ${drift.limit}`,
    quality && `${quality.metric ?? "accuracy"} worse by ${quality.drop}`,
    data?.rows && `after ${data.rows} pieces of feedback`,
    data?.files && "for each new file",
    hand !== false && "by hand",
  ].filter(Boolean);
  return `${trainer}: ${parts.join(", ") || "nothing starts it"}`;
}
