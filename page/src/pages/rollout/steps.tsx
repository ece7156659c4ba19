/** The steps of a rollout in a row: done, the present one, and what comes. */
import { span, weight } from "../../frame/format";
import type { Rollout } from "../../store/api";

interface Shown {
  readonly text: string;
  readonly small: boolean;
}

export function stepsOf(rollout: Rollout): Shown[] {
  const { strategy, policy } = rollout;
  const promote = { text: "promote", small: true };
  const bake = policy.bake_seconds ? [{ text: `bake ${span(policy.bake_seconds)}`, small: true }] : [];
  switch (strategy.kind) {
    case "progressive":
      return [
        ...strategy.steps.map((step) => {
          if (step.step === "set_weight") return { text: weight(step.weight), small: false };
          if (step.step === "pause") return { text: step.duration_seconds ? `pause ${span(step.duration_seconds)}` : "pause", small: true };
          return { text: "analysis", small: true };
        }),
        promote,
        ...bake,
      ];
    case "canary":
      return [{ text: `canary ${weight(strategy.weight)}`, small: false }, promote, ...bake];
    case "shadow":
      return [{ text: `shadow, ${weight(strategy.sample_share ?? 10_000)} of requests`, small: false }];
    default:
      return [{ text: strategy.kind, small: false }, ...bake];
  }
}

export function Steps({ rollout }: { rollout: Rollout }) {
  const steps = stepsOf(rollout);
  const at = rollout.status === "baking" ? steps.length - 1 : (rollout.step_index ?? 0);
  return (
    <ol class="rollout-steps" aria-label="Steps">
      {steps.map((step, index) => {
        const state = index < at ? "done" : index === at ? "here" : "next";
        return (
          <li key={index} class={`${state} ${step.small ? "wait" : ""}`} aria-current={state === "here" ? "step" : undefined}>
            <span aria-hidden="true">{state === "done" ? "●" : state === "here" ? "◉" : "○"}</span> {step.text}
            <span class="hide"> {state === "done" ? "done" : state === "here" ? "now" : "to come"}</span>
          </li>
        );
      })}
    </ol>
  );
}
