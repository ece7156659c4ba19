/**
 * How evidence becomes a decision: the interval narrows as answers come, until all of it is on one side of the limit.
 *
 * The axis of answers is logarithmic, as an interval narrows with their root. The axis of the figure is four margins to
 * each side and stays, so that nothing jumps; what leaves it ends in an arrow.
 */
import { brief, linear, logarithmic, powers, round, ticks } from "./scale";

export interface FunnelPoint {
  readonly count: number;
  readonly estimate: number | null;
  readonly lower: number | null;
  readonly upper: number | null;
}

export interface FunnelShown {
  readonly title: string;
  readonly points: readonly FunnelPoint[];
  /** Where the interval must get past. */
  readonly limit: number | null;
  readonly margin: number | null;
  readonly lowerIsBetter: boolean;
  /** What a figure of the axis looks like: points, or a value with its unit. */
  readonly format: (value: number) => string;
  readonly width: number;
  readonly height?: number;
  /** Of the difference to the baseline: then 0 is where neither is better. */
  readonly difference: boolean;
  /** A figure between 0 and 1. */
  readonly share?: boolean;
}

const LEFT = 56;
const BOTTOM = 20;
const TOP = 10;
const RIGHT = 12;

/** The ends of the axis: four margins around nothing, or around the limit where the figure itself is held to it. */
export function span(points: readonly FunnelPoint[], limit: number | null, margin: number | null, difference: boolean, share = false): [number, number] {
  const last = points.at(-1);
  const middle = difference ? 0 : (limit ?? last?.estimate ?? 0);
  const given = margin || (limit !== null && difference ? Math.abs(limit) : 0);
  const half = given ? 4 * given : round(Math.max(1e-6, Math.abs((last?.upper ?? 0) - middle), Math.abs((last?.lower ?? 0) - middle)));
  return share ? [Math.max(0, middle - half), Math.min(1, middle + half)] : [middle - half, middle + half];
}

export function Funnel({ title, points, limit, margin, lowerIsBetter, format, width, height = 190, difference, share = false }: FunnelShown) {
  const known = points.filter((point) => point.lower !== null && point.upper !== null && point.count > 0);
  const [from, to] = span(known, limit, margin, difference, share && !difference);
  const last = known.at(-1);
  const first = known[0]?.count ?? 1;
  const most = Math.max(10, 10 ** Math.ceil(Math.log10(Math.max(1, last?.count ?? 1) * 1.3)));
  const least = 10 ** Math.floor(Math.log10(Math.max(1, first)));
  const x = logarithmic(least, most, LEFT, width - RIGHT);
  const y = linear(from, to, height - BOTTOM, TOP);
  const held = (value: number): number => Math.min(to, Math.max(from, value));
  const place = (count: number, value: number): string => `${x(count).toFixed(1)} ${y(held(value)).toFixed(1)}`;
  const band = known.length
    ? `M${known.map((point) => place(point.count, point.upper ?? 0)).join("L")}L${[...known].reverse().map((point) => place(point.count, point.lower ?? 0)).join("L")}Z`
    : "";
  const middle = known.filter((point) => point.estimate !== null).map((point) => place(point.count, point.estimate ?? 0));
  return (
    <svg class="chart funnel" width={width} height={height} role="img">
      <title>{title}</title>
      <desc>{saidOf(title, last, limit, format)}</desc>
      {ticks(from, to).map((value) => (
        <g key={value} class="tick">
          <line x1={LEFT} x2={width - RIGHT} y1={y(value)} y2={y(value)} />
          <text x={LEFT - 6} y={y(value) + 4} text-anchor="end">
            {format(value)}
          </text>
        </g>
      ))}
      {powers(least, most).map((value) => (
        <text key={value} class="axis" x={x(value)} y={height - 5} text-anchor={value === most ? "end" : value === least ? "start" : "middle"}>
          {brief(value)}
          {value === most && " answers"}
        </text>
      ))}
      {limit !== null && (
        <g class="limit">
          <rect
            class="harm"
            x={LEFT}
            width={width - RIGHT - LEFT}
            y={lowerIsBetter ? TOP : y(held(limit))}
            height={lowerIsBetter ? y(held(limit)) - TOP : height - BOTTOM - y(held(limit))}
          />
          <line x1={LEFT} x2={width - RIGHT} y1={y(held(limit))} y2={y(held(limit))} />
          <text x={width - RIGHT - 4} y={y(held(limit)) + (lowerIsBetter ? -5 : 13)} text-anchor="end">
            limit {format(limit)}
          </text>
        </g>
      )}
      <path class="band" d={band} />
      <path class="line first" d={middle.length ? `M${middle.join("L")}` : ""} />
      {last && <End point={last} x={x} y={y} from={from} to={to} />}
    </svg>
  );
}

function End({ point, x, y, from, to }: { point: FunnelPoint; x: (value: number) => number; y: (value: number) => number; from: number; to: number }) {
  const at = x(point.count);
  const { lower, upper, estimate } = point;
  if (lower === null || upper === null) return null;
  const top = y(Math.min(to, upper));
  const foot = y(Math.max(from, lower));
  return (
    <g class="end">
      <line x1={at} x2={at} y1={top} y2={foot} />
      {upper > to ? <path class="arrow up" d={`M${at - 4} ${top + 6}L${at} ${top}L${at + 4} ${top + 6}`} /> : <line x1={at - 4} x2={at + 4} y1={top} y2={top} />}
      {lower < from ? <path class="arrow down" d={`M${at - 4} ${foot - 6}L${at} ${foot}L${at + 4} ${foot - 6}`} /> : <line x1={at - 4} x2={at + 4} y1={foot} y2={foot} />}
      {estimate !== null && <circle cx={at} cy={y(Math.min(to, Math.max(from, estimate)))} r="3.5" />}
    </g>
  );
}

function saidOf(title: string, last: FunnelPoint | undefined, limit: number | null, format: (value: number) => string): string {
  if (!last || last.lower === null || last.upper === null) return `${title}: nothing was counted yet.`;
  const about = last.estimate === null ? "" : `, about ${format(last.estimate)}`;
  return `${title}: between ${format(last.lower)} and ${format(last.upper)}${about}, after ${last.count} answers${limit === null ? "" : `; the limit is ${format(limit)}`}.`;
}
