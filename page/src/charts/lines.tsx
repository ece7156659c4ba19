/** Figures of several versions over the last minutes; a switch is a vertical line, a rollout a range. */
import { brief, linear, round } from "./scale";

export interface Line {
  readonly name: string;
  /** `first` is drawn in the accent's colour, `other` in grey and dashed, `former` faintly. */
  readonly look: "first" | "other" | "former";
  readonly points: readonly { readonly at: number; readonly value: number | null }[];
}

export interface Mark {
  readonly at: number;
  readonly text: string;
}

/** A time in which something went on: a rollout. */
export interface Stretch {
  readonly from: number;
  /** Null: it goes on. */
  readonly to: number | null;
  readonly text: string;
}

export interface LinesShown {
  readonly title: string;
  readonly unit: string;
  readonly lines: readonly Line[];
  readonly marks: readonly Mark[];
  readonly stretches?: readonly Stretch[];
  readonly from: number;
  readonly to: number;
  readonly width: number;
  readonly height?: number;
}

const LEFT = 44;
const BOTTOM = 18;
const TOP = 14;
/** Without a figure for this long, the line is broken rather than drawn over the gap. */
const GAP_MS = 5_000;

/** Marks nearer than this share one word, that of the later one. */
const WORD_WIDTH = 26;

/** Seconds that the line of a card goes back. */
export const SPARK_POINTS = 120;
/** With fewer, its room stays empty. */
const SPARK_POINTS_MIN = 4;

export function LinesChart({ title, unit, lines, marks, stretches = [], from, to, width, height = 150 }: LinesShown) {
  const values = lines.flatMap((line) => line.points.map((point) => point.value ?? 0));
  const top = round(Math.max(0, ...values));
  const x = linear(from, to, LEFT, width - 8);
  const y = linear(0, top, height - BOTTOM, TOP);
  const seconds = Math.round((to - from) / 1000);
  return (
    <svg class="chart" width={width} height={height} role="img">
      <title>{title}</title>
      <desc>{said(title, unit, lines, marks, stretches)}</desc>
      {stretches
        .filter((one) => (one.to ?? to) > from && one.from < to)
        .map((one) => (
          <rect key={one.text} class="stretch" x={x(Math.max(from, one.from))} width={Math.max(1, x(Math.min(to, one.to ?? to)) - x(Math.max(from, one.from)))} y={TOP} height={height - BOTTOM - TOP}>
            <title>{one.text}</title>
          </rect>
        ))}
      {[0, top / 2, top].map((value) => (
        <g key={value} class="tick">
          <line x1={LEFT} x2={width - 8} y1={y(value)} y2={y(value)} />
          <text x={LEFT - 6} y={y(value) + 4} text-anchor="end">
            {brief(value)}
          </text>
        </g>
      ))}
      <text class="axis" x={LEFT} y={height - 4}>
        −{seconds < 120 ? `${seconds} s` : `${Math.floor(seconds / 60)} min`}
      </text>
      <text class="axis" x={width - 8} y={height - 4} text-anchor="end">
        now
      </text>
      {marks
        .filter((mark) => mark.at >= from && mark.at <= to)
        .map((mark, index, shown) => {
          const at = x(mark.at);
          const next = shown[index + 1];
          const right = at > width - 90;
          return (
            <g key={`${mark.at} ${mark.text}`} class="mark">
              <line x1={at} x2={at} y1={TOP} y2={height - BOTTOM} />
              {(!next || x(next.at) - at > WORD_WIDTH) && (
                <text x={at + (right ? -4 : 4)} y={TOP - 3} text-anchor={right ? "end" : "start"}>
                  {mark.text}
                </text>
              )}
            </g>
          );
        })}
      {lines.map((line) => (
        <path key={line.name} class={`line ${line.look}`} d={path(line, from, x, y)} />
      ))}
    </svg>
  );
}

function path(line: Line, from: number, x: (value: number) => number, y: (value: number) => number): string {
  let last = -Infinity;
  let drawn = "";
  for (const { at, value } of line.points) {
    if (value === null || at < from) continue;
    drawn += `${at - last > GAP_MS ? "M" : "L"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    last = at;
  }
  return drawn;
}

function said(title: string, unit: string, lines: readonly Line[], marks: readonly Mark[], stretches: readonly Stretch[]): string {
  const now = lines.map((line) => {
    const value = line.points.at(-1)?.value;
    return `${line.name} ${value === null || value === undefined ? "not known" : `${Number(value.toPrecision(3))} ${unit}`}`;
  });
  const told = (name: string, all: readonly { readonly text: string }[]): string => (all.length ? ` ${name}: ${all.map((one) => one.text).join(", ")}.` : "");
  return `${title}, now: ${now.join(", ") || "nothing"}.${told("Switches", marks)}${told("Rollouts", stretches)}`;
}

/** A line of words and no axes, for a card: only the shape is of interest. */
export function Spark({ points, width, height = 34, name, most = SPARK_POINTS }: { points: readonly (number | null)[]; width: number; height?: number; name: string; most?: number }) {
  const top = round(Math.max(0, ...points.map((value) => value ?? 0)));
  const x = linear(0, most - 1, 1, width - 36);
  const first = most - points.length;
  const y = linear(0, top, height - 2, 4);
  const drawn = points.map((value, index) => (value === null ? "" : `${index && points[index - 1] !== null ? "L" : "M"}${x(first + index).toFixed(1)} ${y(value).toFixed(1)}`)).join("");
  return (
    <svg class="spark" width={width} height={height} role="img">
      <title>{name}</title>
      <line class="tick" x1={1} x2={width - 36} y1={height - 2} y2={height - 2} />
      {points.length >= SPARK_POINTS_MIN && (
        <>
          <path class="line first" d={drawn} />
          <text x={width - 32} y={11}>
            {brief(top)}/s
          </text>
        </>
      )}
    </svg>
  );
}
