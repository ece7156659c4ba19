/** Two versions side by side. */
import { useState } from "preact/hooks";
import { Shown, useAsked } from "../../frame/asked";
import { signed, trimmed } from "../../frame/format";
import { Panel } from "../../frame/parts";
import type { Comparison, Version } from "../../store/api";
import { modelPath } from "../../store/asking";

export function Compare({ name, versions, active, sequence }: { name: string; versions: readonly Version[]; active: string | null; sequence: number }) {
  const names = versions.map((version) => version.model_version);
  const newest = names.find((one) => one !== active) ?? null;
  const [left, setLeft] = useState<string | null>(null);
  const [right, setRight] = useState<string | null>(null);
  const from = left ?? active ?? names[0] ?? null;
  const to = right ?? newest;
  const path = from && to && from !== to ? `${modelPath(name)}/compare?left=${encodeURIComponent(from)}&right=${encodeURIComponent(to)}` : null;
  const asked = useAsked<Comparison>(path, sequence, true);
  if (names.length < 2) return null;
  const choice = (label: string, value: string | null, set: (value: string) => void) => (
    <select aria-label={label} value={value ?? ""} onChange={(event) => set(event.currentTarget.value)}>
      {names.map((one) => (
        <option key={one} value={one}>
          {one}
        </option>
      ))}
    </select>
  );
  return (
    <Panel
      title="Compare"
      extra={
        <span class="choose">
          {choice("Left version", from, setLeft)} <span class="soft">with</span> {choice("Right version", to, setRight)}
        </span>
      }
    >
      {path === null ? (
        <p class="soft">Choose two versions.</p>
      ) : (
        <Shown asked={asked} name="the comparison">
          {(found) => {
            const figures = found.same_validation_set ? found.validation_figures : found.metrics;
            return (
              <>
                <p class="soft small">
                  {found.same_validation_set ? "Measured on the same validation set." : "Measured on different sets: what training measured is shown."}
                  {found.same_artifact && " The artifact is the same."}
                </p>
                <ul class="compare">
                  {figures.slice(0, 24).map((figure) => (
                    <li key={figure.name}>
                      <span class="soft">{figure.name.replaceAll("_", " ")}</span>
                      <span>
                        {value(figure.left)} → {value(figure.right)}
                      </span>
                      <strong>{figure.difference === null ? "" : signed(figure.difference, 4)}</strong>
                    </li>
                  ))}
                </ul>
              </>
            );
          }}
        </Shown>
      )}
    </Panel>
  );
}

function value(figure: number | null): string {
  return figure === null ? "–" : trimmed(figure, 4);
}
